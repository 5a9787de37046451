"""What critique made, as Markdown, which Kubeflow shows."""

import json
from typing import Any

from components.critique.attempts import NO_ATTEMPT
from components.critique.combine import CONTINUATIONS, KINDS, REASONS
from components.critique.critique import REPORT
from components.critique.mix import LEARNT
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.text.counted import counted

REPLAY = "replay"
NAMES = {
    "trace": "traces",
    REPLAY: "the student's own answers",
    "diagnosis": "diagnoses",
    "repair": "corrected solutions",
}
FATES = {
    LEARNT: "learnt",
    "capped": "good, but over the cap",
    "unbalanced": "good, but nothing balances it",
    "no_verdict": "could not be checked",
    "unrepaired": "no continuation is right",
    "disagrees": "disagrees with the check",
    "mentions_reference": "mentions the reference solution",
    "truncated": "ended by max_tokens",
    "unreadable": "without a readable verdict or a reason",
    "template_refused": "a chat template refuses the conversation",
    "failed": "did not come: refused by the endpoint, or failed",
    NO_ATTEMPT: "its rollouts are truncated, or have no answer",
}
"""What became of critiques, by fate, and of problems without any."""
CONTINUED = {
    "chosen": "learnt, or left out by the cap",
    "spare": "right, but another one is taken",
    "wrong": "with a wrong answer, or none",
    "no_verdict": "could not be checked",
    "truncated": "ended by max_tokens",
    "not_continued": "do not begin with the step that was asked for",
    "template_refused": "a chat template refuses the conversation",
    "failed": "did not come: refused by the endpoint, or failed",
}
"""What became of continuations, by fate."""


def summarise(library: Library, manifest: Manifest) -> str:
    """The mix with its caps, what became of diagnoses and continuations, and what was lost."""
    report: dict[str, Any] = json.loads(library.read_bytes(manifest, REPORT))
    return "\n".join(
        [
            f"**{counted(report['sft_rows'], 'row')}** to learn, for "
            f"{counted(report.get('unsolved_problems', 0), 'unsolved problem')} of {report.get('problems', 0):,}",
            *(f"\n{remark}" for remark in report["remarks"]),
            "",
            "| learnt | rows | share | at most |",
            "|---|---:|---:|---:|",
            *(_kind(report, kind) for kind in KINDS if kind != REPLAY or report.get(f"{REPLAY}_rows")),
            "",
            f"The diagnoses are of {counted(report['right_diagnosis_rows'], 'right solution')} and "
            f"{report['wrong_diagnosis_rows']:,} wrong",
            *_table(report, "diagnoses", FATES, (LEARNT, *REASONS)),
            *_table(report, "repairs", FATES, (LEARNT, *REASONS)),
            *_table(report, "continuations", CONTINUED, CONTINUATIONS),
            *_dropped(report),
            "",
        ]
    )


def _kind(report: dict[str, Any], kind: str) -> str:
    cap = f"{report['caps'][kind]:.0%}" if kind in report["caps"] else ""
    return f"| {NAMES[kind]} | {report[f'{kind}_rows']:,} | {report['shares'][kind]:.1%} | {cap} |"


def _table(report: dict[str, Any], what: str, words: dict[str, str], fates: tuple[str, ...]) -> list[str]:
    rows = [f"| {words[fate]} | {count:,} |" for fate in fates if (count := report.get(f"{what}_{fate}"))]
    return ["", f"| {what} | {report[what]:,} |", "|---|---:|", *rows] if rows else []


def _dropped(report: dict[str, Any]) -> list[str]:
    lines = [
        f"- {counted(count, 'unsolved problem')} without a critique to learn ({reason}): {FATES[reason]}"
        for reason in (NO_ATTEMPT, *REASONS)
        if (count := report.get(f"dropped_{reason}"))
    ]
    return ["", *lines] if lines else []
