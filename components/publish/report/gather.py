"""Collects what the steps have recorded about data and losses."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.publish.lineage.lineage import Lineage
from components.publish.lineage.names import selections
from components.publish.report_schema import DataFacts, LossCurve, LossPoint, NotRead
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.parse_json import parse_json
from components.shared.rows import Dropped, Instruction, Labelled, Rejected

STEP_REPORT = "report.json"
LOSSES = "losses.jsonl"
MOST_POINTS = 500
"""Points of one loss curve; neighbours are averaged where there are more."""


def gather_data(library: Library, lineage: Lineage) -> DataFacts:
    """What became of the data: rows that were rejected or dropped, and the reports beside curated and selected rows.

    Raises:
        DamagedError: a file is not what its manifest promises.
    """
    curated = _report_of(library, lineage.holding(Labelled.content))
    selected = _report_of(library, selections(lineage))
    return DataFacts(
        labels_before=_counts(curated, "labels", "before"),
        labels_after=_counts(curated, "labels", "after"),
        rejected=_reasons(library, lineage, Instruction.content, "rejected", Rejected),
        not_read=_not_read(library, lineage),
        drops=_reasons(library, lineage, Labelled.content, "dropped", Dropped),
        diversity_before=_numbers(curated, "diversity", "before"),
        diversity_after=_numbers(curated, "diversity", "after"),
        chosen_origins=_counts(selected, "origins"),
        check_pass_rates=_pass_rates(selected),
    )


def gather_losses(library: Library, manifests: Iterable[Manifest], names: Mapping[str, str]) -> tuple[LossCurve, ...]:
    """The training loss of every trained model among the outputs. Raises DamagedError."""
    curves = []
    for manifest in manifests:
        points = _loss_points(library, manifest)
        if points:
            curves.append(LossCurve(task=names[manifest.address], points=tuple(thin(points))))
    return tuple(curves)


def thin(points: list[LossPoint], most: int = MOST_POINTS) -> list[LossPoint]:
    """At most `most` points: each the mean of as many neighbours, at the last one's step."""
    width = -(-len(points) // most)
    groups = [points[start : start + width] for start in range(0, len(points), width)]
    return [LossPoint(step=group[-1].step, loss=sum(p.loss for p in group) / len(group)) for group in groups]


def _loss_points(library: Library, manifest: Manifest) -> list[LossPoint]:
    """The loss of every recorded step; none for an output without such a record."""
    records = read_records(library, manifest, LOSSES) if has_file(manifest, LOSSES) else []
    return [LossPoint(step=record["step"], loss=record["loss"]) for record in records]


def has_file(manifest: Manifest, name: str) -> bool:
    """Whether an output has a file."""
    return any(shard.name == name for shard in manifest.shards)


def read_records(library: Library, manifest: Manifest, name: str) -> list[dict[str, Any]]:
    """The JSON lines of a file of an output. Raises DamagedError."""
    where, remedy = f"{manifest.address}/{name}", f"run the {manifest.step} step again"
    lines = library.read_bytes(manifest, name).splitlines()
    return [parse_json(line, dict[str, Any], f"{where} line {n}", remedy) for n, line in enumerate(lines, 1)]


def _not_read(library: Library, lineage: Lineage) -> dict[str, NotRead]:
    """What was not read of the sources; those that were read completely are left out."""
    reports = [read_json(library, manifest, STEP_REPORT) for manifest in lineage.holding(Instruction.content)]
    sources = [source for report in reports for source in _at(report, "sources") or []]
    found = {
        str(source["name"]): NotRead(fields=source.get("ignored_fields", {}), files=source.get("unread", {}))
        for source in sources
    }
    return {name: left for name, left in found.items() if left.fields or left.files}


def _report_of(library: Library, found: Sequence[Manifest]) -> Any:
    """The report of the only output of a kind, None when there is none or several."""
    return read_json(library, found[0], STEP_REPORT) if len(found) == 1 else None


def read_json(library: Library, manifest: Manifest, name: str) -> Any:
    """A JSON document of an output; None for an output without it. Raises DamagedError."""
    if not has_file(manifest, name):
        return None
    where = f"{manifest.address}/{name}"
    return parse_json(library.read_bytes(manifest, name), object, where, f"run the {manifest.step} step again")


def _reasons(
    library: Library, lineage: Lineage, content: str, part: str, row_type: type[Rejected] | type[Dropped]
) -> dict[str, int] | None:
    """Rows of a part by reason, most frequent first; None when no output in the lineage has the content."""
    found = lineage.holding(content)
    if not found:
        return None
    rows: Iterable[Rejected | Dropped] = (row for m in found for row in library.read_rows(m, row_type, part=part))
    return _sorted_counts(Counter(row.reason for row in rows))


def _at(report: Any, *path: str) -> Any:
    for name in path:
        report = report.get(name) if isinstance(report, dict) else None
    return report


def _pass_rates(selected: Any) -> dict[str, float] | None:
    checks = _at(selected, "checks")
    if not isinstance(checks, dict):
        return None
    rates = {str(origin): _at(check, "pass_rate") for origin, check in checks.items()}
    return {origin: rate for origin, rate in rates.items() if isinstance(rate, (int, float))} or None


def _counts(report: Any, *path: str) -> dict[str, int] | None:
    numbers = _numbers(report, *path)
    return None if numbers is None else _sorted_counts({name: int(value) for name, value in numbers.items()})


def _numbers(report: Any, *path: str) -> dict[str, float] | None:
    """The numbers of an object inside a step's report, None when it has no such object."""
    value = _at(report, *path)
    if not isinstance(value, dict):
        return None
    return {str(name): number for name, number in value.items() if isinstance(number, (int, float))}


def _sorted_counts(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
