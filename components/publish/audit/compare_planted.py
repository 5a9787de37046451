"""What was planted in the sources against what the run caught: recall and precision for each kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from components.publish.audit.truth import (
    DROPPED,
    FLAGGED,
    NEAR_DUPLICATE,
    REJECTED,
    STAGES,
    Detection,
    Location,
    Planted,
    Truth,
    location,
)
from components.publish.lineage.lineage import Lineage
from components.publish.lineage.names import selections
from components.publish.report_schema import PlantedFacts
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Dropped, Instruction, Rejected, Verdict

DROPPING_ORDER = (
    "too-short",
    "too-long",
    "evaluation-overlap",
    "evaluation-duplicate",
    "near-duplicate",
    "unlabelled",
    "rare-label",
)
"""Reasons of dropped rows in the order in which a row meets them; what balancing drops has passed all of these."""


@dataclass
class Observed:
    """What the run did to rows.

    `caught` maps each row that a stage caught to its reasons; `removed` each row that went to the stage and reason;
    `kept` a dropped near-duplicate to the row that was kept instead; `judged` holds the rows that were selected from.
    """

    caught: dict[str, dict[Location, tuple[str, ...]]] = field(default_factory=lambda: {stage: {} for stage in STAGES})
    removed: dict[Location, tuple[str, str]] = field(default_factory=dict)
    kept: dict[Location, Location] = field(default_factory=dict)
    judged: set[Location] = field(default_factory=set)

    def remove(self, at: Location, stage: str, reason: str) -> None:
        """Note a row that a stage removed."""
        self.caught[stage][at] = (reason,)
        self.removed[at] = (stage, reason)

    def flagged(self, kind: str, detection: Detection) -> dict[Location, Location | None]:
        """All rows that count as caught for a kind; near-duplicates with the row that was kept."""
        return {
            at: self.kept.get(at) if kind == NEAR_DUPLICATE else None
            for at, reasons in self.caught[detection.stage].items()
            if detection.counts(detection.stage, reasons)
        }


def compare_planted(library: Library, lineage: Lineage, truth: Truth) -> tuple[PlantedFacts, ...]:
    """Each planted kind against what the run caught; kinds whose stage the run does not have are left out.

    Raises:
        DamagedError: rows of an earlier step are not what its manifest promises.
        InputError: rows of an earlier step are not what this version expects.
    """
    observed = observe(library, lineage)
    steps = {stage: [manifest.step for manifest in _outputs(lineage, stage)] for stage in STAGES}
    return tuple(
        _facts(kind, steps[detection.stage][0], truth, observed)
        for kind, detection in truth.detections.items()
        if steps[detection.stage]
    )


def observe(library: Library, lineage: Lineage) -> Observed:
    """Which rows were rejected, dropped and flagged, from the outputs in the store."""
    observed = Observed()
    for manifest in _outputs(lineage, REJECTED):
        for rejected in library.read_rows(manifest, Rejected, part="rejected"):
            observed.remove(location(rejected.source, rejected.line), REJECTED, rejected.reason)
    dropped = [
        row for manifest in _outputs(lineage, DROPPED) for row in library.read_rows(manifest, Dropped, part="dropped")
    ]
    places = _locations(library, lineage, {_kept_id(row) for row in dropped if row.reason == NEAR_DUPLICATE})
    for row in dropped:
        at = location(row.source, row.line)
        observed.remove(at, DROPPED, row.reason)
        if row.reason == NEAR_DUPLICATE and _kept_id(row) in places:
            observed.kept[at] = places[_kept_id(row)]
    for manifest in _outputs(lineage, FLAGGED):
        for verdict in library.read_rows(manifest, Verdict, part="verdicts"):
            at = location(verdict.source, verdict.line)
            observed.judged.add(at)
            if verdict.flags:
                observed.caught[FLAGGED][at] = verdict.flags
    return observed


def _outputs(lineage: Lineage, stage: str) -> list[Manifest]:
    """The outputs that record what a stage caught."""
    return selections(lineage) if stage == FLAGGED else lineage.holding(STAGES[stage])


def _kept_id(row: Dropped) -> str:
    """A near-duplicate's evidence begins with the id of the row that was kept."""
    return row.evidence.split(maxsplit=1)[0] if row.evidence else ""


def _locations(library: Library, lineage: Lineage, ids: set[str]) -> dict[str, Location]:
    """Where the instructions with these ids came from."""
    if not ids:
        return {}
    return {
        row.id: location(row.source, row.line)
        for manifest in lineage.holding(Instruction.content)
        for row in library.read_rows(manifest, Instruction)
        if row.id in ids
    }


def _facts(kind: str, step: str, truth: Truth, observed: Observed) -> PlantedFacts:
    detection, rows = truth.detections[kind], [row for row in truth.rows if row.kind == kind]
    flagged = observed.flagged(kind, detection)
    groups = {at: original for row in rows for at, original in _group(row)}
    right = {at for at, kept in flagged.items() if at in groups and (kept is None or groups.get(kept) == groups[at])}
    caught = [row for row in rows if _is_caught(row, right, flagged)]
    removed = [row for row in rows if row not in caught and _went_earlier(row, detection, observed)]
    return PlantedFacts(
        kind=kind,
        step=step,
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
    """The rows whose removal is right for this plant, each with the row that represents the group.

    Of a pair of near-duplicates either row may be the one that is kept.
    """
    if row.kind == NEAR_DUPLICATE:
        yield row.original, row.original
        yield row.at, row.original
    else:
        yield row.at, row.at


def _is_caught(row: Planted, right: set[Location], flagged: Mapping[Location, Location | None]) -> bool:
    if row.at in right:
        return True
    return row.kind == NEAR_DUPLICATE and row.original in right and flagged[row.original] in {None, row.at}


def _went_earlier(row: Planted, detection: Detection, observed: Observed) -> bool:
    """Whether something else removed the row before the kind's own check could see it."""
    if detection.stage == FLAGGED:
        return row.at not in observed.judged
    if row.at not in observed.removed:
        return False
    own = min((_place(detection.stage, reason) for reason in detection.reasons), default=_place(detection.stage, ""))
    return _place(*observed.removed[row.at]) < own


def _place(stage: str, reason: str) -> tuple[int, int]:
    """When a row meets a check."""
    order = DROPPING_ORDER.index(reason) if reason in DROPPING_ORDER else len(DROPPING_ORDER)
    return list(STAGES).index(stage), order


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
