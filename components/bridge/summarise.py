"""What bridge made, as Markdown, which Kubeflow shows."""

import json
from typing import Any

from components.bridge.bridge import REPORT, TOO_FEW_SOLVED
from components.bridge.choose import ORIGINS, REASONS
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.text.counted import counted

FATES = {
    "chosen": "learnt",
    "spare": "good, but another one is learnt",
    "wrong": "with a wrong answer, or none",
    "no_verdict": "could not be checked",
    "failed": "did not come: refused by the endpoint, or failed",
    "truncated": "ended by max_tokens",
    "repeated": "equal to an earlier one",
    "too_long": "longer than the cap",
    "unnumbered": "without numbered steps",
    "unfinished": "whose first steps did not help the student",
}
"""What became of rewritings, by fate."""
GROUPS = {
    "raw": "the teacher's traces",
    "rewritten": "rewritings, verified",
    "chosen_rewritten": "learnt: rewritings",
    "chosen_raw": "learnt: raw traces",
    "chosen_reference": "learnt: reference solutions",
}


def summarise(library: Library, manifest: Manifest) -> str:
    """Where the texts come from, how far they moved from the traces, and what was lost."""
    report: dict[str, Any] = json.loads(library.read_bytes(manifest, REPORT))
    cap = report["token_cap"]
    # An output that was made before there was replay counts none.
    replayed, lacking = report.get("replay_rows", 0), report.get("replay_lacking", 0)
    origins = ", ".join(f"{report[f'{origin}_rows']:,} {origin}" for origin in ORIGINS)
    by = f"from {counted(cap['rollouts'], 'correct rollout')} of the student" if cap["is_own"] else "the fallback"
    return "\n".join(
        [
            f"**{counted(report['sft_rows'] - replayed, 'text')}** to learn for "
            f"{counted(report['problems'], 'problem')}: {origins}; {report['dropped_rows']:,} dropped; "
            f"at most {cap['tokens']} tokens ({by}); "
            f"{report['verified_share']:.0%} of the rewritings verified",
            *_replayed(replayed, lacking),
            "",
            "| under the student | texts | tokens | nats a token | rank | RSR |",
            "|---|---:|---:|---:|---:|---:|",
            *(
                _group(name, report["texts"][group])
                for group, name in GROUPS.items()
                if report["texts"][group]["texts"]
            ),
            *_moved(report),
            "",
            "| rewritings | |",
            "|---|---:|",
            *(f"| {what} | {count:,} |" for fate, what in FATES.items() if (count := report.get(f"candidates_{fate}"))),
            *_dropped(report),
            "",
        ]
    )


def _replayed(rows: int, lacking: int) -> list[str]:
    if not rows and not lacking:
        return []
    fewer = f"; {lacking:,} fewer than asked for: {TOO_FEW_SOLVED}" if lacking else ""
    return ["", f"Beside them {counted(rows, 'right answer')} of the student's own{fewer}"]


def _group(name: str, group: dict[str, float]) -> str:
    return (
        f"| {name} | {group['texts']:,.0f} | {group['tokens']:.1f} | {group['nll']:.3f} | {group['rank']:.2f} "
        f"| {group['rsr']:.2f} |"
    )


def _moved(report: dict[str, Any]) -> list[str]:
    if "moved_tokens" not in report:
        return []
    tokens, nats = report["moved_tokens"], report["moved_nll"]
    return ["", f"A rewriting that is learnt has {tokens:+.1f} tokens and {nats:+.3f} nats a token beside its trace."]


def _dropped(report: dict[str, Any]) -> list[str]:
    lines = [
        f"- {counted(count, 'problem')} dropped ({reason}): {why}"
        for reason, why in REASONS.items()
        if (count := report[f"dropped_{reason}"])
    ]
    return ["", *lines] if lines else []
