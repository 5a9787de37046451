"""Settings of one evaluation set: original files that an importer reads, or rows of a source that have a check."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from components.collect.files.encodings import AUTO
from components.collect.importers.registry import IMPORTERS
from components.collect.source_settings import NAME, Source
from components.shared.settings import Settings, known
from components.shared.settings_union import SettingsUnion

TEST = "test"
OWN_SET = "{name: …, uri: …, check: {kind: exact, ignore_case: false}}"
"""How a set of one's own is written, for messages."""
SUBJECTS = Field((), description="subjects to keep; empty: all")
SAMPLED = Field(None, ge=1, description="questions to sample at random; none: all")


def _replaced(name: str) -> str:
    """Refuse the importer that sources with a check replaced."""
    if name == "questions":
        raise ValueError(f"the importer 'questions' was replaced by sets with a check: write {OWN_SET}")
    return name


ImporterName = Annotated[str, AfterValidator(_replaced), known(IMPORTERS, "importer", also=[AUTO])]


class BenchmarkSource(Settings):
    """One evaluation set, from its original files (a zip, a folder or a single file)."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"uri"})

    name: str = Field(pattern=NAME, description="the benchmark's name in questions, scores and reports")
    uri: str = Field(min_length=1, description="the original file or folder: a path, s3://… or package:FOLDER")
    importer: ImporterName = Field(AUTO, description="which importer reads the files; auto: the one of this name")
    limit: int | None = SAMPLED
    subjects: tuple[str, ...] = SUBJECTS

    @property
    def importer_name(self) -> str:
        """The importer to use."""
        return self.name if self.importer == AUTO else self.importer

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.importer_name not in IMPORTERS:
            raise ValueError(
                f"there is no importer {self.name!r}: set `importer` to one of {', '.join(IMPORTERS)}; "
                f"or, for questions of your own: {OWN_SET}"
            )
        return self


class CheckedSource(Source):
    """One evaluation set of your own: rows in any form that a source may have, whose answers can be checked.

    A record without an answer is rejected, and so is one whose response is labelled bad.
    """

    response_required: bool = Field(
        False, description="reject rows without a response; a question needs an answer to compare with, not a response"
    )
    split: str = Field(
        TEST, min_length=1, description="split of a hub data set, or of a folder whose file names say theirs"
    )
    limit: int | None = SAMPLED
    subjects: tuple[str, ...] = SUBJECTS
    id_field: str = Field(
        "id", description="the record's field that identifies the question; without a value: its file and line"
    )
    subject_field: str = Field(
        "subject", description="the record's field that holds the subject; every subject gets a score of its own"
    )

    @property
    def fields_read(self) -> frozenset[str]:
        """The record's fields that are read besides those of the shape."""
        return super().fields_read | {self.id_field, self.subject_field}


ORIGINALS, CHECKED = "original files", "rows with a check"
ONLY_CHECKED = CheckedSource.model_fields.keys() - BenchmarkSource.model_fields.keys()


def form_of(given: Mapping[str, Any]) -> str:
    """Which of the two an entry is: it has a key, such as `check` or `shape`, that only rows with a check have."""
    return ORIGINALS if ONLY_CHECKED.isdisjoint(given) else CHECKED


AnySet = Annotated[
    BenchmarkSource | CheckedSource,
    SettingsUnion(
        key="", members={ORIGINALS: BenchmarkSource, CHECKED: CheckedSource}, what="evaluation set of", choose=form_of
    ),
]
