"""The step's summary for people, in Markdown."""

import json
from typing import Any

from components.shared.manifest import Manifest
from components.shared.shards import read_bytes


def summarise(root: str, dataset: Manifest, questions: Manifest) -> str:
    """Tables of the sources, the reasons for rejected rows, and the evaluation sets."""
    sources = _report(root, dataset)["sources"]
    benchmarks = _report(root, questions)["benchmarks"]
    counts = dataset.counts
    lines = [
        "# Collected",
        f"{counts['rows']:,.0f} instructions from {counts['sources']:.0f} sources; "
        f"{counts['rejected']:,.0f} of {counts['records']:,.0f} records rejected.",
        "",
        *_table(
            ("source", "format", "shape", "rows", "rejected", "reasons"),
            [
                (
                    source["name"],
                    ", ".join(source["formats"]),
                    ", ".join(source["shapes"]),
                    f"{source['rows']:,}",
                    f"{sum(source['rejected'].values()):,}",
                    ", ".join(f"{reason} {count:,}" for reason, count in source["rejected"].items()),
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


def _report(root: str, manifest: Manifest) -> dict[str, Any]:
    return dict(json.loads(read_bytes(root, manifest, "report.json")))


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows)]
