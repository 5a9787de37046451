"""Settings of one source: where its rows are, how they are read, and how their answers are checked."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from components.collect.files.data_file import TRAIN
from components.collect.files.encodings import AUTO, known_encoding
from components.collect.formats.registry import FORMATS
from components.collect.shapes.registry import SHAPES
from components.collect.shapes.shape import ShapeSettings
from components.rewards.checks.registry import comparing_checks
from components.shared.settings import Settings, known

NAME = r"^[a-z][a-z0-9_]{0,39}$"
HUB = "hub:"
NO_CHECK = "none"

FormatName = Annotated[str, known(FORMATS, "format", also=[AUTO])]
CheckName = Annotated[str, known(comparing_checks, "check of answers", also=[NO_CHECK])]
EncodingName = Annotated[str, AfterValidator(known_encoding)]
ShapeName = Annotated[str, known(SHAPES, "shape", also=[AUTO])]


class Checking(Settings):
    """How answers of a source can be checked, and where the right answer is. GSM8K rows have their own check."""

    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"ignore_punctuation"})

    kind: CheckName = Field(
        NO_CHECK,
        description="math compares values, exact compares text, choice compares a letter, chrf grades likeness",
    )
    field: str = Field("", description="the record's field that holds the right answer; empty: the response")
    after: str = Field(
        "", description="the right answer is the text after the last occurrence of this marker; empty: all of it"
    )
    ignore_case: bool = Field(True, description="exact only: `paris` is a right answer where `Paris` is expected")
    ignore_punctuation: bool = Field(
        False, description="exact only: so is `“Paris.”`: quotes, brackets and marks around words do not count"
    )


class Source(ShapeSettings):
    """One source of instructions: a file, a folder, an S3 prefix or a data set of the Hugging Face hub."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"uri"})

    name: str = Field(pattern=NAME, description="the source's name in rows, counts and reports")
    uri: str = Field(
        min_length=1, description="file or folder: a path, s3://…, package:FOLDER; or hub:OWNER/NAME (needs internet)"
    )
    format: FormatName = Field(
        AUTO, description="container format; auto: by the suffix, which unquoted_tsv and texts lack"
    )
    shape: ShapeName = Field(AUTO, description="shape of the rows; auto: that of the first row with a known one")
    check: Checking = Field(Checking(), description="how answers can be checked")
    limit: int | None = Field(None, ge=1, description="rows to take, from the start; none: all")
    encoding: EncodingName = Field(
        AUTO,
        description="encoding of text, such as gb18030; auto: UTF-8, or as a byte order mark says (UTF-16, UTF-32)",
    )
    subset: str = Field(
        "", description="configuration of a hub data set, or of a folder whose README names configurations"
    )
    split: str = Field(
        TRAIN, min_length=1, description="split of a hub data set, or of a folder whose file names say theirs"
    )
    revision: str = Field(
        "", description="hub only: commit, tag or branch; empty: the newest commit when the step starts"
    )
    template_field: str = Field(
        "",
        description="the record's field that names the template its text was made from, for `holdout`; empty: templates"
        " are recognised by the words that instructions begin or end with",
    )

    @property
    def fields_read(self) -> frozenset[str]:
        """The record's fields that are read besides those of the shape."""
        return frozenset({self.check.field, self.template_field})


class ReadingLimits(Settings):
    """What is rejected, and how much of it is tolerated."""

    max_rejected_share: float = Field(
        0.05, ge=0, le=1, description="share of a source's rows that may be rejected before the step fails"
    )
    max_characters: int = Field(
        100_000, ge=1, description="characters of one row (system, history, instruction, response); longer is rejected"
    )
