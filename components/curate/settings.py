"""Settings of the curate step."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.models.teacher import Sampling, TeacherSettings
from components.shared.settings import Settings

TOKENS_NOTE = "tokens: words and numbers; in scripts without spaces, letters with their marks"
WORDS_NOTE = "words: a Chinese character is 2/3 of one, a kana or Korean syllable 1/2, a Thai or Khmer cluster 1/3"
OVERLAP_RUN = 8
OVERLAP_SHARE = 0.7
OVERLAP_PASSAGE = 50.0
INSTRUCTION_PLACE = "{instruction}"

LABEL_TEMPLATE = """Give the instruction below two labels: a broad category and a narrower one within it.
Answer with exactly one line in lower case, of the form: PRIMARY / SECONDARY
Each label is one to three words, such as: mathematics / algebra

Instruction:
{instruction}"""

FILLERS = (
    "please",
    "kindly",
    "can you please",
    "could you please",
    "would you please",
    "thanks",
    "many thanks",
    "thanks in advance",
    "thank you",
    "thank you in advance",
    "thank you very much",
    "请",
    "请你",
    "请帮我",
    "麻烦",
    "谢谢",
)


class CurateSettings(Settings):
    """What is kept of the collected instructions, and how it is labelled and balanced."""

    # The content of the types file is an input of the step, so where it lies is not part of the key.
    apart_from_key: ClassVar[frozenset[str]] = frozenset({"types_file"})

    types_file: str = Field("", description="YAML of the 50 instruction types: a path or s3://…; empty: the built-in")
    type_characters: int = Field(
        250, ge=50, description="characters at the start and at the end that the type rules read"
    )

    minimum_tokens: int = Field(2, ge=1, description=f"a shorter instruction is dropped as too-short; {TOKENS_NOTE}")
    maximum_characters: int = Field(
        20_000, ge=1, description="a longer conversation up to the answer is dropped as too-long; characters"
    )

    overlap_tokens: int = Field(
        13,
        ge=5,
        le=50,
        description="an evaluation question of this many words or more is compared word by word, a shorter one has to "
        f"be there whole (GPT-3, appendix C: 13); {WORDS_NOTE}",
    )
    overlap_run: int = Field(
        OVERLAP_RUN,
        ge=5,
        le=50,
        description="words in a row that make a longer question a candidate (PaLM, section 8: 8), at most "
        "overlap_tokens; fewer find questions with more edits",
    )
    overlap_minimum_tokens: int = Field(
        3, ge=1, description="a question with fewer words counts only when it is the whole instruction"
    )
    overlap_common: int = Field(
        10,
        ge=1,
        description="a run of words in more questions than this is boilerplate and counts nothing (GPT-3: 10); "
        "in k questions, up to this many, a word weighs 1 / k²",
    )
    overlap_share: float = Field(
        OVERLAP_SHARE,
        gt=0,
        le=1,
        description="share of a longer question's weight that a row has to hold (PaLM, section 8: 0.7 of its 8-grams)",
    )
    overlap_passage: float = Field(
        OVERLAP_PASSAGE,
        ge=5,
        description="weight that is enough whatever its share: as much as this many words of no other question "
        "(an exact copy in Lee et al., ACL 2022: 50)",
    )
    overlap_responses: bool = Field(True, description="look into the response too, not only at what is asked")
    overlap_splits: tuple[Literal["test", "dev"], ...] = Field(
        ("test", "dev"), min_length=1, description="splits of the benchmarks that training data may not overlap"
    )

    distance: int = Field(
        3, ge=0, le=8, description="largest Hamming distance of near-duplicates, of 64 bits; Manku et al. (WWW 2007): 3"
    )
    shingle: int = Field(
        2, ge=1, le=5, description="features of the simhash: all runs of 1 to this many tokens, so that order counts"
    )
    short_tokens: int = Field(
        32, ge=0, description="with fewer words than this only equal tokens are a duplicate: one word is over 3 bits"
    )
    numbers_distinguish: bool = Field(
        True, description="instructions whose numbers differ are never near-duplicates: they have different answers"
    )
    system_counts: bool = Field(False, description="the system message is part of what near-duplicates are told by")
    fillers: tuple[str, ...] = Field(
        FILLERS, description="phrases that do not count at the start and the end of an instruction"
    )

    labeller: Literal["teacher", "rules"] = Field(
        "teacher", description="who gives the two-level labels; rules: the type's group and name, without a teacher"
    )
    teacher: TeacherSettings | None = Field(None, description="the teacher that labels")
    label_sampling: Sampling = Field(Sampling(max_tokens=32), description="how labels are drawn from the teacher")
    label_template: str = Field(LABEL_TEMPLATE, description="the prompt; {instruction} stands for the instruction")
    label_characters: int = Field(2000, ge=50, description="characters of the instruction shown to the labeller")
    unlabelled_share: float = Field(
        0.1, ge=0, le=1, description="the step fails when a larger share of the replies holds no label"
    )

    label_level: Literal["pair", "primary"] = Field(
        "pair", description="what rare labels and the cap are counted on: primary with secondary, or primary alone"
    )
    rare_below: int = Field(10, ge=0, description="labels seen fewer times are dropped; the paper: 10")
    cap: int | None = Field(None, ge=1, description="most rows of one label; none: no such limit")
    cap_of_median: float | None = Field(
        4.0, gt=0, description="most rows of one label, as a multiple of the median label's rows; none: no such limit"
    )
    maximum_rows: int | None = Field(
        None, ge=1, description="most rows in all, thinned in proportion to the labels; none: no limit"
    )
    seed: int = Field(0, description="seed of the choice among rows of one label, and of the diversity sample")

    diversity_rows: int = Field(
        10_000, ge=1, description="rows sampled before and after for distinct-n, which only compares at equal size"
    )

    @property
    def model_asked(self) -> tuple[TeacherSettings, Sampling] | None:
        """The model that is asked for labels, and how; None where rules give them, whatever `teacher` names."""
        return (self.teacher, self.label_sampling) if self.labeller == "teacher" and self.teacher else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.labeller == "teacher" and self.teacher is None:
            raise ValueError("labeller 'teacher' needs `teacher` (backend and model); or set labeller to 'rules'")
        if self.label_template.count(INSTRUCTION_PLACE) != 1:
            raise ValueError(f"label_template must hold {INSTRUCTION_PLACE} exactly once")
        if self.overlap_minimum_tokens > self.overlap_tokens:
            raise ValueError("overlap_minimum_tokens may not be above overlap_tokens")
        return self
