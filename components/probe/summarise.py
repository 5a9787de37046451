"""A probe as Markdown, which Kubeflow shows."""

import json
from typing import Any

from components.probe.probe import REPORT
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.text.counted import counted

REMARKS = {
    "undecided_problems": ("problem", "lacks verdicts: without a pool"),
    "refused_problems": ("problem", "refused by the model's chat template: dropped"),
    "no_verdict": ("rollout", "could not be checked: no try, and drawn again"),
    "failed": ("rollout", "failed for good"),
    "truncated": ("rollout", "ended by max_tokens"),
}
"""What is reported of unusual problems and rollouts, by the count."""


def summarise(library: Library, manifest: Manifest) -> str:
    """The pools, pass@k and what RL can close of it, the histogram of pass rates, and what was unusual."""
    report: dict[str, Any] = json.loads(library.read_bytes(manifest, REPORT))
    pools = ", ".join(f"{report[f'{pool}_problems']:,} {pool}" for pool in ("hard", "mixed", "easy"))
    return "\n".join(
        [
            f"**{counted(report['problems'], 'problem')}**: {pools}; {counted(report['rollouts'], 'rollout')} of "
            f"{report['mean_length']:.0f} tokens on average, {report['draws_of_full']:.0%} of the tries without early "
            "stopping",
            "",
            "| estimate | value ± standard error, % |",
            "|---|---:|",
            *_estimates(report),
            "",
            "| pass rate | problems |",
            "|---|---:|",
            *(f"| {name} | {count:,} |" for name, count in report["rates"].items()),
            *_remarks(report),
            "",
        ]
    )


def _estimates(report: dict[str, Any]) -> list[str]:
    found = {int(k): one for k, one in report["pass_at"].items()}
    lines = [
        f"| pass@{k} | {100 * one['value']:.1f} ± {100 * one['standard_error']:.1f} |"
        for k, one in sorted(found.items())
    ]
    least, most = min(found), max(found)
    if least < most:
        gap = found[most]["value"] - found[least]["value"]
        lines.append(f"| pass@{most} - pass@{least}: what RL can close | {100 * gap:.1f} |")
    return lines


def _remarks(report: dict[str, Any]) -> list[str]:
    found = [(report.get(name, 0), noun, what) for name, (noun, what) in REMARKS.items()]
    lines = [f"- {counted(count, noun)} {what}" for count, noun, what in found if count]
    return ["", *lines] if lines else []
