"""Settings of the curate step."""

from typing import ClassVar, Literal

from pydantic import Field

from components.curate.labels.settings import LabelSettings
from components.curate.overlap.settings import OverlapSettings

TOKENS_NOTE = "tokens: words and numbers; in scripts without spaces, letters with their marks"
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


class CurateSettings(OverlapSettings, LabelSettings):
    """Which collected instructions are kept, and how they are labelled and balanced."""

    # The content of the types file is an input of the step, so its location is not part of the cache key.
    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"types_file"})

    types_file: str = Field("", description="YAML of the 50 instruction types: a path or s3://…; empty: the built-in")
    type_characters: int = Field(
        250, ge=50, description="characters at the start and at the end of an instruction that the type rules read"
    )

    minimum_tokens: int = Field(2, ge=1, description=f"shorter instructions are dropped as too-short; {TOKENS_NOTE}")
    maximum_characters: int = Field(
        20_000, ge=1, description="longer conversations, up to the answer, are dropped as too-long; characters"
    )

    distance: int = Field(
        3, ge=0, le=8, description="largest Hamming distance of near-duplicates, of 64 bits; Manku et al. (WWW 2007): 3"
    )
    shingle: int = Field(
        2, ge=1, le=5, description="features of the simhash: all runs of 1 to this many tokens, so that order counts"
    )
    short_tokens: int = Field(
        32,
        ge=0,
        description="below this many words only equal tokens are a duplicate: one word changes more than 3 bits",
    )
    numbers_distinguish: bool = Field(
        True, description="instructions with different numbers are never near-duplicates: their answers differ"
    )
    system_counts: bool = Field(
        False, description="the system message is part of the text that is compared for near-duplicates"
    )
    fillers: tuple[str, ...] = Field(
        FILLERS, description="phrases that are ignored at the start and the end of an instruction"
    )

    label_level: Literal["pair", "primary"] = Field(
        "pair",
        description="level at which rare labels and the cap are counted: primary with secondary, or primary alone",
    )
    rare_below: int = Field(10, ge=0, description="labels with fewer rows are dropped; the paper: 10")
    cap: int | None = Field(None, ge=1, description="most rows of one label; none: no limit")
    cap_of_median: float | None = Field(
        4.0, gt=0, description="most rows of one label, as a multiple of the median over labels; none: no limit"
    )
    maximum_rows: int | None = Field(
        None, ge=1, description="most rows in total, sampled in proportion to the labels; none: no limit"
    )
    seed: int = Field(0, description="seed of the choice among rows of one label, and of the diversity sample")

    diversity_rows: int = Field(
        10_000, ge=1, description="rows sampled before and after for distinct-n, which is comparable at equal size only"
    )
