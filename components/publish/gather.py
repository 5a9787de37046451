"""Gather what the steps left in the store about data and losses."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from components.publish.lineage import Lineage
from components.publish.report_schema import DataFacts, LossCurve, LossPoint, NotRead
from components.shared.errors import DamagedError
from components.shared.manifest import Manifest
from components.shared.rows import Dropped, Rejected
from components.shared.shards import read_bytes, read_rows

STEP_REPORT = "report.json"
LOSSES = "losses.json"
MOST_POINTS = 500
"""Points of one loss curve; neighbours are averaged where there are more."""


def gather_data(root: str, lineage: Lineage) -> DataFacts:
    """What became of the data, from collect's and curate's rows and the reports of curate and select.

    Raises:
        DamagedError: a file is not what its manifest promises.
    """
    curate, select = _report_of(root, lineage, "curate"), _report_of(root, lineage, "select")
    return DataFacts(
        labels_before=_counts(curate, "labels", "before"),
        labels_after=_counts(curate, "labels", "after"),
        rejected=_reasons(root, lineage, "collect", "rejected", Rejected),
        not_read=_not_read(root, lineage),
        drops=_reasons(root, lineage, "curate", "dropped", Dropped),
        diversity_before=_numbers(curate, "diversity", "before"),
        diversity_after=_numbers(curate, "diversity", "after"),
        chosen_origins=_counts(select, "origins"),
        check_pass_rates=_pass_rates(select),
    )


def gather_losses(root: str, manifests: Iterable[Manifest], names: Mapping[str, str]) -> tuple[LossCurve, ...]:
    """The training loss of every trained model among the outputs. Raises DamagedError."""
    curves = []
    for manifest in (manifest for manifest in manifests if manifest.step == "train"):
        points = _loss_points(_read_json(root, manifest, LOSSES))
        if points:
            curves.append(LossCurve(task=names[manifest.address], points=tuple(thin(points))))
    return tuple(curves)


def thin(points: list[LossPoint], most: int = MOST_POINTS) -> list[LossPoint]:
    """At most `most` points: each the mean of as many neighbours, at the last one's step."""
    width = -(-len(points) // most)
    groups = [points[start : start + width] for start in range(0, len(points), width)]
    return [LossPoint(step=group[-1].step, loss=sum(p.loss for p in group) / len(group)) for group in groups]


def _loss_points(value: Any) -> list[LossPoint]:
    """A list of log entries; those without a training loss (evaluations, the summary) are passed over."""
    entries = value if isinstance(value, list) else (value or {}).get("losses", [])
    return [LossPoint(step=entry["step"], loss=entry["loss"]) for entry in entries if {"step", "loss"} <= entry.keys()]


def _not_read(root: str, lineage: Lineage) -> dict[str, NotRead]:
    """What collect did not read, by source; sources that were read whole are left out."""
    reports = [_read_json(root, manifest, STEP_REPORT) for manifest in lineage.of_step("collect")]
    sources = [source for report in reports for source in _at(report, "sources") or []]
    found = {
        str(source["name"]): NotRead(fields=source.get("ignored_fields", {}), files=source.get("unread", {}))
        for source in sources
    }
    return {name: left for name, left in found.items() if left.fields or left.files}


def _report_of(root: str, lineage: Lineage, step: str) -> Any:
    """The report of the only output of a step, None when there is none or several."""
    found = lineage.of_step(step)
    return _read_json(root, found[0], STEP_REPORT) if len(found) == 1 else None


def _read_json(root: str, manifest: Manifest, name: str) -> Any:
    if all(shard.name != name for shard in manifest.shards):
        return None
    try:
        return json.loads(read_bytes(root, manifest, name))
    except json.JSONDecodeError as error:
        raise DamagedError(
            f"{manifest.address}/{name} is no JSON: {error}", remedy=f"run the {manifest.step} step again"
        ) from error


def _reasons(
    root: str, lineage: Lineage, step: str, part: str, row_type: type[Rejected] | type[Dropped]
) -> dict[str, int] | None:
    """Rows of a part by reason, most frequent first; None when no output of the step is in the lineage."""
    found = lineage.of_step(step)
    if not found:
        return None
    rows: Iterable[Rejected | Dropped] = (row for m in found for row in read_rows(root, m, row_type, part=part))
    return _sorted_counts(Counter(row.reason for row in rows))


def _at(report: Any, *path: str) -> Any:
    for name in path:
        report = report.get(name) if isinstance(report, dict) else None
    return report


def _pass_rates(select: Any) -> dict[str, float] | None:
    checks = _at(select, "checks")
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
