"""The step's summary for people, in Markdown."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from components.shared.manifest import Manifest
from components.shared.shards import read_bytes

SHOWN = 12


def summarise(root: str, dataset: Manifest, questions: Manifest) -> str:
    """Tables of the sources, the reasons for rejected rows, and the evaluation sets."""
    sources = _report(root, dataset)["sources"]
    benchmarks = _report(root, questions)["benchmarks"]
    counts = dataset.counts
    lines = [
        "# Collected",
        f"{counts['rows']:,.0f} instructions from {counts['sources']:.0f} sources; "
        f"{counts['rejected']:,.0f} of {counts['records']:,.0f} records rejected.",
        *_labelled(counts),
        "",
        *_table(
            ("source", "format", "shape", "rows", "rejected", "reasons", "fields not read", "files not read"),
            [
                (
                    source["name"],
                    ", ".join(source["formats"]),
                    ", ".join(source["shapes"]),
                    f"{source['rows']:,}",
                    f"{sum(source['rejected'].values()):,}",
                    ", ".join(f"{reason} {count:,}" for reason, count in source["rejected"].items()),
                    _first(f"{name} {count:,}" for name, count in _most_first(source["ignored_fields"])),
                    _first(source["unread"]),
                )
                for source in sources
            ],
        ),
    ]
    if benchmarks:
        header = ("evaluation set", "importer", "subjects", "asked", "examples")
        cells = [
            tuple(str(item[name]) for name in ("name", "importer", "subjects", "test", "dev")) for item in benchmarks
        ]
        lines += ["", *_table(header, cells)]
    return "\n".join(lines) + "\n"


def _labelled(counts: Mapping[str, float]) -> list[str]:
    good, bad = counts["labelled_desirable"], counts["labelled_undesirable"]
    return [f"{good:,.0f} responses are labelled desirable, {bad:,.0f} undesirable."] if good + bad else []


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _first(names: Iterable[str]) -> str:
    """The first few names; a bar would end the table's cell."""
    listed = [name.replace("|", "¦") for name in names]
    return ", ".join(listed[:SHOWN]) + (" …" if len(listed) > SHOWN else "")


def _report(root: str, manifest: Manifest) -> dict[str, Any]:
    return dict(json.loads(read_bytes(root, manifest, "report.json")))


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows)]
