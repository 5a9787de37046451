"""The truth file: which source rows are defective on purpose, and which check has to catch each kind.

JSON lines, one for each defective row; README.md has the format and an example.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from components.models.reference import PACKAGE, package_folder
from components.shared.errors import InputError
from components.shared.outputs.shards import parse_row
from components.shared.rows import SELECTION, Instruction, Labelled
from components.shared.store.open_store import open_store
from components.shared.store.uri import absolute

Location = tuple[str, int]
"""A source row: the file's name without its folder, and the line or record from 1."""

REJECTED, DROPPED, FLAGGED = "rejected", "dropped", "flagged"
STAGES: Mapping[str, str] = {REJECTED: Instruction.content, DROPPED: Labelled.content, FLAGGED: SELECTION}
"""What can happen to a row, in the order of a run, and the content of the outputs that record it."""


@dataclass(frozen=True)
class Detection:
    """What counts as catching a kind: a stage, and the reasons or flags it gives (none: any)."""

    stage: str
    reasons: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, names: Iterable[str]) -> Self:
        """From `STAGE` or `STAGE:REASON`, all of one stage. Raises ValueError."""
        parts = [name.partition(":") for name in names]
        stages = {stage for stage, _, _ in parts}
        if len(stages) != 1 or not stages <= STAGES.keys():
            raise ValueError(
                f"caught_as is STAGE or STAGE:REASON, with one stage of {', '.join(STAGES)}; given: {', '.join(names)}"
            )
        return cls(stages.pop(), frozenset(reason for _, _, reason in parts if reason))

    def counts(self, stage: str, reasons: Iterable[str]) -> bool:
        """Whether a row that was caught at a stage for these reasons counts."""
        return stage == self.stage and (not self.reasons or not self.reasons.isdisjoint(reasons))


NEAR_DUPLICATE = "near-duplicate"
KINDS: Mapping[str, Detection] = {
    "malformed": Detection(REJECTED),
    NEAR_DUPLICATE: Detection(DROPPED, frozenset({"near-duplicate"})),
    "evaluation-overlap": Detection(DROPPED, frozenset({"evaluation-overlap"})),
    "rare-label": Detection(DROPPED, frozenset({"rare-label"})),
    "wrong-reference": Detection(FLAGGED, frozenset({"reference-contradicted"})),
    "unsafe": Detection(FLAGGED, frozenset({"unsafe-request", "unsafe-response"})),
}
"""The kinds that need no `caught_as`, in the order of a run."""


class Planted(BaseModel):
    """One line of the truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(description="the file's name; its folder is ignored")
    line: int = Field(description="line (JSONL) or record (JSON, CSV, Parquet) in the file, from 1")
    kind: str = Field(min_length=1, description="one of KINDS, or a name of one's own with `caught_as`")
    caught_as: tuple[str, ...] = Field((), description="what counts as catching it: STAGE or STAGE:REASON")
    note: str = Field("", description="for people")
    original_source: str = Field("", description="near-duplicate: the file of the row that it repeats")
    original_line: int = Field(0, description="near-duplicate: that row's line or record")

    @property
    def at(self) -> Location:
        """The defective row."""
        return location(self.source, self.line)

    @property
    def original(self) -> Location:
        """The row that a near-duplicate repeats."""
        return location(self.original_source, self.original_line)


@dataclass(frozen=True)
class Truth:
    """The planted rows, how each kind is caught, and the file's bytes."""

    data: bytes
    rows: tuple[Planted, ...]
    detections: Mapping[str, Detection]


def location(source: str, line: int) -> Location:
    """A row by the last part of its source's name, which is the file's name, and its line."""
    return source.replace("\\", "/").rsplit("/", 1)[-1], line


def read_truth(reference: str) -> Truth:
    """Read a truth file: a path, a store's URI or `package:FILE`. Raises InputError and NotFoundError."""
    uri = str(package_folder(reference)) if reference.startswith(PACKAGE) else absolute(reference)
    folder, _, name = uri.rpartition("/")
    data = open_store(folder).read(name)
    rows: list[Planted] = []
    detections: dict[str, Detection] = {}
    for number, row in _parse(data, reference):
        detection = _detection(row, f"{reference} line {number}")
        if detections.setdefault(row.kind, detection) != detection:
            raise InputError(
                f"{reference} line {number} gives the kind {row.kind!r} another caught_as than an earlier line",
                rule="every row of a kind is caught by the same check",
                remedy="give all of them the same caught_as, or two kinds",
            )
        rows.append(row)
    in_order = [*(kind for kind in KINDS if kind in detections), *(kind for kind in detections if kind not in KINDS)]
    return Truth(data, tuple(rows), {kind: detections[kind] for kind in in_order})


def _parse(data: bytes, reference: str) -> Iterator[tuple[int, Planted]]:
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            yield number, parse_row(line, Planted, where=f"{reference} line {number}")


def _detection(row: Planted, where: str) -> Detection:
    if not row.caught_as:
        if row.kind in KINDS:
            return KINDS[row.kind]
        raise InputError(
            f"{where} plants the unknown kind {row.kind!r}",
            rule="a kind that is not built in says with caught_as what counts as catching it",
            allowed=tuple(KINDS),
            remedy='correct the kind, or add caught_as, such as ["dropped:too-long"]',
        )
    try:
        return Detection.parse(row.caught_as)
    except ValueError as error:
        raise InputError(f"{where}: {error}", remedy="correct caught_as") from None
