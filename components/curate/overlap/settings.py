"""Settings of the search for overlap with the evaluation sets."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.shared.settings import Settings

WORDS_NOTE = "words: a Chinese character is 2/3 of one, a kana or Korean syllable 1/2, a Thai or Khmer cluster 1/3"


class OverlapSettings(Settings):
    """When a row counts as overlapping an evaluation question."""

    overlap_tokens: int = Field(
        13,
        ge=5,
        le=50,
        description="an evaluation question of this many words or more is compared word by word; a shorter one has to "
        f"occur completely (GPT-3, appendix C: 13); {WORDS_NOTE}",
    )
    overlap_run: int = Field(
        8,
        ge=5,
        le=50,
        description="consecutive words that make a longer question a candidate (PaLM, section 8: 8), at most "
        "overlap_tokens; lower values find questions with more edits",
    )
    overlap_minimum_tokens: int = Field(
        3, ge=1, description="a question with fewer words counts only when it is the complete instruction"
    )
    overlap_common: int = Field(
        10,
        ge=1,
        description="a run of words in more questions than this is boilerplate with weight 0 (GPT-3: 10); "
        "a word in k questions, up to this many, has weight 1 / k²",
    )
    overlap_share: float = Field(
        0.7,
        gt=0,
        le=1,
        description="share of a longer question's weight that a row must contain (PaLM, section 8: 0.7 of its 8-grams)",
    )
    overlap_passage: float = Field(
        50.0,
        ge=5,
        description="weight that suffices whatever its share: that of this many words unique to the question "
        "(an exact copy in Lee et al., ACL 2022: 50)",
    )
    overlap_responses: bool = Field(True, description="search the response too, not only the conversation before it")
    overlap_splits: tuple[Literal["test", "dev"], ...] = Field(
        ("test", "dev"), min_length=1, description="splits of the benchmarks that training data must not overlap"
    )

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.overlap_minimum_tokens > self.overlap_tokens:
            raise ValueError("overlap_minimum_tokens may not be above overlap_tokens")
        return self
