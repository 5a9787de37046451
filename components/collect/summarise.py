"""The step's summary in Markdown, for the Kubeflow UI."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.text.counted import counted

SHOWN = 12


def summarise(library: Library, dataset: Manifest, questions: Manifest) -> str:
    """Tables of the sources, with the reasons for rejected rows, and of the evaluation sets."""
    sources = _report(library, dataset)["sources"]
    benchmarks = _report(library, questions)["benchmarks"]
    counts = dataset.counts
    lines = [
        "# Collected",
        f"{counted(counts['rows'], 'instruction')} from {counted(counts['sources'], 'source')}; "
        f"{counts['rejected']:,.0f} of {counts['records']:,.0f} records rejected.",
        *_labelled(counts),
        "",
        *_table(
            (
                "source",
                "format",
                "shape",
                "rows",
                "held out",
                "rejected",
                "reasons",
                "fields not read",
                "files not read",
            ),
            [
                (
                    source["name"],
                    ", ".join(source["formats"]),
                    ", ".join(source["shapes"]),
                    f"{source['rows']:,}",
                    f"{source['held_out']:,}",
                    f"{sum(source['rejected'].values()):,}",
                    _reasons(source),
                    _first(f"{name} {count:,}" for name, count in _most_first(source["ignored_fields"])),
                    _first(source["unread"]),
                )
                for source in sources
            ],
        ),
    ]
    if benchmarks:
        header = ("evaluation set", "read by", "subjects", "asked", "examples", "rejected")
        cells = [
            (*(str(item[name]) for name in ("name", "importer", "subjects", "test", "dev")), _reasons(item))
            for item in benchmarks
        ]
        lines += ["", *_table(header, cells)]
    return "\n".join(lines) + "\n"


def _reasons(item: Mapping[str, Any]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in item["rejected"].items())


def _labelled(counts: Mapping[str, float]) -> list[str]:
    good, bad = counts["labelled_desirable"], counts["labelled_undesirable"]
    said = {
        f"Labelled: {counted(good, 'desirable response')}, {bad:,.0f} undesirable.": good + bad,
        f"Preferences: {counted(counts['pairs'], 'row')} with a preferred and a rejected response.": counts["pairs"],
    }
    return [line for line, count in said.items() if count]


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _first(names: Iterable[str]) -> str:
    """The first few names; bars are replaced, because they would end the table's cell."""
    listed = [name.replace("|", "¦") for name in names]
    return ", ".join(listed[:SHOWN]) + (" …" if len(listed) > SHOWN else "")


def _report(library: Library, manifest: Manifest) -> dict[str, Any]:
    return dict(json.loads(library.read_bytes(manifest, "report.json")))


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows)]
