"""What was planted against what was caught.

The truth is a file of JSON lines, one for each defective row of the sources: `source` (file name), `line`, `kind`,
and for a near-duplicate the row that it repeats. Each kind has the one check that is to catch it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from components.models.reference import PACKAGE, package_folder
from components.publish.lineage import Lineage
from components.publish.report_schema import PlantedFacts
from components.shared.errors import InputError
from components.shared.manifest import Manifest
from components.shared.rows import Dropped, Instruction, Rejected, Verdict
from components.shared.shards import parse_row, read_rows
from components.shared.store import absolute, open_store

Location = tuple[str, int]
"""A source row: the file's name without its folder, and the line or record from 1."""


@dataclass(frozen=True)
class Check:
    """Where rows of a kind are caught: the step, and the reasons or flags it gives (none: whatever it rejects)."""

    step: str
    marks: frozenset[str] = frozenset()


CHECKS: Mapping[str, Check] = {
    "malformed": Check("collect"),
    "near-duplicate": Check("curate", frozenset({"near-duplicate"})),
    "evaluation-overlap": Check("curate", frozenset({"evaluation-overlap"})),
    "rare-label": Check("curate", frozenset({"rare-label"})),
    "wrong-reference": Check("select", frozenset({"reference-contradicted"})),
    "unsafe": Check("select", frozenset({"unsafe-request", "unsafe-response"})),
}
"""By kind, in the order of the pipeline. A new kind is a line here."""

NEAR_DUPLICATE = "near-duplicate"
REMOVAL_ORDER = (
    "malformed",
    "too-short",
    "too-long",
    "evaluation-overlap",
    "near-duplicate",
    "unlabelled",
    "rare-label",
)
"""The order in which collect and curate remove rows; what balancing removes has passed all of these."""


class Planted(BaseModel):
    """One line of the truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    line: int
    kind: str
    note: str = ""
    original_source: str = ""
    original_line: int = 0

    @property
    def at(self) -> Location:
        """The defective row."""
        return location(self.source, self.line)

    @property
    def original(self) -> Location:
        """The row that a near-duplicate repeats."""
        return location(self.original_source, self.original_line)


@dataclass
class Seen:
    """What the steps did to rows.

    `caught` maps each kind to the rows its check caught, with the row that was kept instead where there is one;
    `removed` maps a row to the reason it went; `judged` holds the rows that reached select.
    """

    caught: dict[str, dict[Location, Location | None]] = field(default_factory=lambda: {kind: {} for kind in CHECKS})
    removed: dict[Location, str] = field(default_factory=dict)
    judged: set[Location] = field(default_factory=set)


def location(source: str, line: int) -> Location:
    """A row by the last part of its source's name, which is the file's name, and its line."""
    return source.replace("\\", "/").rsplit("/", 1)[-1], line


def read_truth(reference: str) -> tuple[bytes, list[Planted]]:
    """The planted truth and its bytes. Raises InputError and NotFoundError."""
    uri = str(package_folder(reference)) if reference.startswith(PACKAGE) else absolute(reference)
    folder, _, name = uri.rpartition("/")
    data = open_store(folder).read(name)
    return data, list(_parse(data, reference))


def _parse(data: bytes, reference: str) -> Iterator[Planted]:
    for number, line in enumerate(data.splitlines(), start=1):
        row = parse_row(line, Planted, where=f"{reference} line {number}")
        if row.kind not in CHECKS:
            raise InputError(
                f"{reference} line {number} plants the unknown kind {row.kind!r}",
                allowed=tuple(CHECKS),
                remedy="correct the kind, or say in components/publish/planted.py which check is to catch it",
            )
        yield row


def compare_planted(root: str, lineage: Lineage, truth: list[Planted]) -> tuple[PlantedFacts, ...]:
    """Each planted kind against what the run's steps caught; kinds whose step the run does not have are left out.

    Raises:
        DamagedError: rows of an earlier step are not what its manifest promises.
        InputError: rows of an earlier step are not what this version expects.
    """
    seen = observe(root, lineage)
    planted = {row.kind for row in truth}
    kinds = [kind for kind, check in CHECKS.items() if kind in planted and lineage.of_step(check.step)]
    return tuple(_facts(kind, [row for row in truth if row.kind == kind], seen) for kind in kinds)


def observe(root: str, lineage: Lineage) -> Seen:
    """What collect rejected, curate dropped and select flagged, from the rows in the store."""
    seen = Seen()
    for manifest in lineage.of_step("collect"):
        for rejected in read_rows(root, manifest, Rejected, part="rejected"):
            seen.caught["malformed"][location(rejected.source, rejected.line)] = None
            seen.removed[location(rejected.source, rejected.line)] = "malformed"
    for manifest in lineage.of_step("curate"):
        _observe_dropped(root, lineage, manifest, seen)
    for manifest in lineage.of_step("select"):
        for verdict in read_rows(root, manifest, Verdict, part="verdicts"):
            at = location(verdict.source, verdict.line)
            seen.judged.add(at)
            for kind in _kinds_marked("select", verdict.flags):
                seen.caught[kind][at] = None
    return seen


def _observe_dropped(root: str, lineage: Lineage, manifest: Manifest, seen: Seen) -> None:
    dropped = list(read_rows(root, manifest, Dropped, part="dropped"))
    kept = _locations(root, lineage, {_kept_id(row) for row in dropped if row.reason == NEAR_DUPLICATE})
    for row in dropped:
        at = location(row.source, row.line)
        seen.removed[at] = row.reason
        for kind in _kinds_marked("curate", (row.reason,)):
            seen.caught[kind][at] = kept.get(_kept_id(row)) if kind == NEAR_DUPLICATE else None


def _kinds_marked(step: str, marks: Iterable[str]) -> list[str]:
    return [kind for kind, check in CHECKS.items() if check.step == step and check.marks.intersection(marks)]


def _kept_id(row: Dropped) -> str:
    """A near-duplicate's evidence begins with the id of the row that was kept."""
    return row.evidence.split(maxsplit=1)[0] if row.evidence else ""


def _locations(root: str, lineage: Lineage, ids: set[str]) -> dict[str, Location]:
    """Where the instructions of these ids came from."""
    if not ids:
        return {}
    return {
        row.id: location(row.source, row.line)
        for manifest in lineage.of_step("collect")
        if manifest.content == Instruction.content
        for row in read_rows(root, manifest, Instruction)
        if row.id in ids
    }


def _facts(kind: str, rows: list[Planted], seen: Seen) -> PlantedFacts:
    flagged = seen.caught[kind]
    groups = {at: original for row in rows for at, original in _group(row)}
    right = {at for at, kept in flagged.items() if at in groups and (kept is None or groups.get(kept) == groups[at])}
    caught = [row for row in rows if _is_caught(row, kind, right, flagged)]
    removed = [row for row in rows if row not in caught and _went_earlier(row, kind, seen)]
    return PlantedFacts(
        kind=kind,
        step=CHECKS[kind].step,
        planted=len(rows),
        caught=len(caught),
        missed=len(rows) - len(caught) - len(removed),
        removed_earlier=len(removed),
        flagged=len(flagged),
        false_alarms=len(flagged) - len(right),
        recall=_share(len(caught), len(rows)),
        reached_recall=_share(len(caught), len(rows) - len(removed)),
        precision=_share(len(right), len(flagged)),
    )


def _group(row: Planted) -> Iterator[tuple[Location, Location]]:
    """The rows whose removal is right for this plant, each with what stands for the group.

    Of a pair of near-duplicates either row may be the one that is kept.
    """
    if row.kind == NEAR_DUPLICATE:
        yield row.original, row.original
        yield row.at, row.original
    else:
        yield row.at, row.at


def _is_caught(row: Planted, kind: str, right: set[Location], flagged: Mapping[Location, Location | None]) -> bool:
    if row.at in right:
        return True
    return kind == NEAR_DUPLICATE and row.original in right and flagged[row.original] in {None, row.at}


def _went_earlier(row: Planted, kind: str, seen: Seen) -> bool:
    """Whether something else removed the row before the kind's own check saw it."""
    if CHECKS[kind].step == "select":
        return row.at not in seen.judged
    reason = seen.removed.get(row.at)
    return reason in REMOVAL_ORDER and REMOVAL_ORDER.index(reason) < REMOVAL_ORDER.index(kind)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
