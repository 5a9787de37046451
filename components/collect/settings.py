"""Settings of collect: where instructions and evaluation sets come from, and how they are read."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.collect.encodings import AUTO, known_encoding
from components.collect.files import TRAIN
from components.collect.formats.registry import FORMATS
from components.collect.importers.registry import IMPORTERS
from components.collect.shapes.reading import Reading
from components.collect.shapes.registry import SHAPES
from components.shared.settings import Settings, known

NAME = r"^[a-z][a-z0-9_]{0,39}$"
HUB = "hub:"


FormatName = Annotated[str, known([AUTO, *FORMATS], "format"), Field(json_schema_extra={"enum": [AUTO, *FORMATS]})]
EncodingName = Annotated[str, AfterValidator(known_encoding)]
ShapeName = Annotated[str, known([AUTO, *SHAPES], "shape"), Field(json_schema_extra={"enum": [AUTO, *SHAPES]})]
ImporterName = Annotated[
    str, known([AUTO, *IMPORTERS], "importer"), Field(json_schema_extra={"enum": [AUTO, *IMPORTERS]})
]


class Checking(Settings):
    """How answers of a source can be checked, and where the right answer stands. GSM8K rows bring their own check."""

    kind: Literal["none", "math", "exact", "choice"] = Field(
        "none", description="math compares values, exact compares text, choice compares a letter"
    )
    field: str = Field("", description="the record's field that holds the right answer; empty: the response")
    after: str = Field("", description="the right answer is what follows the last of these marks; empty: all of it")


class Source(Reading):
    """One source of instructions: a file, a folder, an S3 prefix or a data set of the Hugging Face hub."""

    apart_from_key: ClassVar[frozenset[str]] = frozenset({"uri"})

    name: str = Field(pattern=NAME, description="the source's name in rows, counts and reports")
    uri: str = Field(
        min_length=1, description="file or folder: a path, s3://…, package:FOLDER; or hub:OWNER/NAME (needs internet)"
    )
    format: FormatName = Field(AUTO, description="container format; auto goes by the suffix")
    shape: ShapeName = Field(AUTO, description="shape of the rows; auto goes by the first row that has a known one")
    check: Checking = Field(Checking(), description="how answers can be checked")
    limit: int | None = Field(None, ge=1, description="rows to take from the beginning; none: all")
    encoding: EncodingName = Field(
        AUTO,
        description="encoding of text, such as gb18030; auto: UTF-8, or what a byte order mark says (UTF-16, UTF-32)",
    )
    subset: str = Field("", description="configuration of a data set of the hub, or of a folder whose README names any")
    split: str = Field(
        TRAIN, min_length=1, description="split of a data set of the hub, or of a folder whose files' names say theirs"
    )
    revision: str = Field("", description="hub only: commit, tag or branch; empty: the newest commit, looked up")


class BenchmarkSource(Settings):
    """One evaluation set, from its original files (a zip, a folder or a single file)."""

    apart_from_key: ClassVar[frozenset[str]] = frozenset({"uri"})

    name: str = Field(pattern=NAME, description="the benchmark's name in questions, scores and reports")
    uri: str = Field(min_length=1, description="the original file or folder: a path, s3://… or package:FOLDER")
    importer: ImporterName = Field(AUTO, description="which importer reads the files; auto: the one of this name")
    limit: int | None = Field(None, ge=1, description="asked questions to draw at random; none: all")
    subjects: tuple[str, ...] = Field((), description="subjects to keep; empty: all")

    @property
    def importer_name(self) -> str:
        """The importer to use."""
        return self.name if self.importer == AUTO else self.importer

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.importer_name not in IMPORTERS:
            raise ValueError(f"no importer is called {self.name!r}: name one in `importer`: {', '.join(IMPORTERS)}")
        return self


class DatasetSettings(Settings):
    """What makes the instructions."""

    sources: tuple[Source, ...] = Field(min_length=1, description="where instructions come from, in this order")
    max_rejected_share: float = Field(
        0.05, ge=0, le=1, description="share of a source's rows that may be rejected before the step fails"
    )
    max_characters: int = Field(
        100_000, ge=1, description="characters of one row (system, history, instruction, response); longer is rejected"
    )

    @model_validator(mode="after")
    def _distinct_sources(self) -> Self:
        _require_distinct([source.name for source in self.sources])
        return self


class BenchmarkSettings(Settings):
    """What makes the evaluation questions."""

    benchmarks: tuple[BenchmarkSource, ...] = Field((), description="evaluation sets")
    seed: int = Field(0, ge=0, description="which questions a benchmark's `limit` draws")

    @model_validator(mode="after")
    def _distinct_benchmarks(self) -> Self:
        _require_distinct([benchmark.name for benchmark in self.benchmarks])
        return self


class CollectSettings(DatasetSettings, BenchmarkSettings):
    """Settings of collect. Its two outputs have addresses of their own, each made by its own part of these."""

    @property
    def dataset_part(self) -> DatasetSettings:
        """What makes the instructions."""
        return DatasetSettings(**{name: getattr(self, name) for name in DatasetSettings.model_fields})

    @property
    def benchmark_part(self) -> BenchmarkSettings:
        """What makes the evaluation questions."""
        return BenchmarkSettings(**{name: getattr(self, name) for name in BenchmarkSettings.model_fields})


def _require_distinct(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}; every name must be its own")
