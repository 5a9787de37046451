"""The routing as Markdown, which Kubeflow shows."""

import json
from typing import Any

from components.route.route import REPORT
from components.route.tally import PARTS
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.pass_rate import BINS
from components.shared.text.counted import counted


def summarise(library: Library, manifest: Manifest) -> str:
    """Pools by part with their lengths, the histogram of pass rates by part, and remarks."""
    report: dict[str, Any] = json.loads(library.read_bytes(manifest, REPORT))
    totals = ", ".join(f"{report[f'{part}_rows']:,} {part}" for part in PARTS)
    return "\n".join(
        [
            f"**{counted(report['problems'], 'problem')}** by policy `{report['policy']['policy']}`: {totals}",
            "",
            "| pool | problems | sft | rl | dropped | tokens of a rollout |",
            "|---|---:|---:|---:|---:|---:|",
            *(
                f"| {pool} | {facts['problems']:,} | {facts['sft']:,} | {facts['rl']:,} | {facts['dropped']:,} "
                f"| {facts['mean_length']:.0f} |"
                for pool, facts in report["pools"].items()
            ),
            "",
            "| pass rate | sft | rl | dropped |",
            "|---|---:|---:|---:|",
            *(_bin(name, report["rates"]) for name in BINS),
            *(["", *(f"- {remark}" for remark in report["remarks"])] if report["remarks"] else []),
            "",
        ]
    )


def _bin(name: str, rates: dict[str, dict[str, int]]) -> str:
    """The row of one bin of the histogram."""
    return f"| {name} | {' | '.join(f'{rates[part].get(name, 0):,}' for part in PARTS)} |"
