"""What came of the selection in numbers: `report.json`, the manifest's counts, and the text that Kubeflow shows."""

import bisect
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from components.select.choose import FLAGS, REFUSED, Choice, Evidence
from components.select.settings import SelectSettings
from components.shared.manifest import Manifest
from components.shared.rows import Answered, Scores
from components.shared.shards import read_bytes

BINS = 20
PERPLEXITY_EDGES = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0)
"""Upper bounds of the perplexity histogram's bins; the last bin is open."""

ORIGINS = ("original", "teacher", "student")
LOW_RATIO, HIGH_RATIO = 1.0, 4 / 3
"""Bounds of desirable weight x count over undesirable weight x count (KTO, arXiv 2402.01306, section 4.2)."""


class Tally:
    """Counts rows as they are chosen; its size does not grow with them."""

    def __init__(self, settings: SelectSettings) -> None:
        self.settings = settings
        self.rows = self.control_text = 0
        self.refusal = ""
        self.flags: Counter[str] = Counter()
        self.best: Counter[str] = Counter()
        self.reasoned = 0
        self.worst: Counter[str] = Counter()
        self.checked: dict[str, Counter[str]] = {origin: Counter() for origin in ORIGINS}
        self.kto: Counter[bool] = Counter()
        self.labelled_alone = 0
        self.histograms: dict[str, dict[str, list[int]]] = defaultdict(dict)

    def add(self, row: Answered, evidence: Evidence, choice: Choice) -> None:
        """Count one row."""
        self.rows += 1
        self.control_text += evidence.control_text
        self.refusal = self.refusal or evidence.refused
        self.flags.update(choice.flags)
        for response, scores in zip(row.responses, choice.scores, strict=True):
            self._add_scores(response.origin, scores)
        self.kto.update(label for _, label in choice.kto)
        self.labelled_alone += len(choice.kto) == 1
        if choice.best is not None:
            self.best[row.responses[choice.best].origin] += 1
            self.reasoned += bool(row.responses[choice.best].reasoning)
        if choice.worst is not None:
            self.worst[row.responses[choice.worst].origin] += 1

    def counts(self) -> dict[str, float]:
        """The manifest's counts."""
        sft, kto = self.best.total(), self.kto.total()
        flags = {f"flagged_{flag.replace('-', '_')}": self.flags[flag] for flag in FLAGS}
        origins = {f"best_from_{origin}": self.best[origin] for origin in ORIGINS}
        facts = {
            "rows": self.rows,
            "rows_with_control_text": self.control_text,
            "sft_rows": sft,
            "kto_rows": kto,
            "kto_labelled_alone": self.labelled_alone,
            "best_with_reasoning": self.reasoned,
        }
        return {**facts, **origins, **flags}

    def report(self) -> dict[str, Any]:
        """Everything, for `report.json`."""
        return {
            "rows": self.rows,
            "rows_with_control_text": self.control_text,
            "first_refusal": self.refusal,
            "formula": self.settings.formula.model_dump(mode="json"),
            "reasoning": {"best_with_reasoning": self.reasoned, "learnt": self.settings.learn_reasoning},
            "origins": {origin: self.best[origin] for origin in ORIGINS},
            "undesirable_origins": {origin: self.worst[origin] for origin in ORIGINS},
            "flags": {flag: self.flags[flag] for flag in FLAGS},
            "checks": {origin: _pass_rate(counts) for origin, counts in self.checked.items()},
            "kto": balance(self.kto[True], self.kto[False]),
            "bins": {"perplexity": list(PERPLEXITY_EDGES), "other": [(index + 1) / BINS for index in range(BINS)]},
            "histograms": self.histograms,
        }

    def reasoning_in_words(self) -> str:
        """What becomes of the reasoning of the best responses; empty where none has any."""
        return reasoning_in_words(self.reasoned, self.settings.learn_reasoning)

    def flags_in_words(self) -> str:
        """The flags that were given, with their counts."""
        return ", ".join(f"{flag} {count}" for flag, count in self.flags.most_common()) or "no flags"

    def _add_scores(self, origin: str, scores: Scores) -> None:
        if scores.checked is not None:
            self.checked[origin]["passed" if scores.checked else "failed"] += 1
        for name in ("perplexity", "safety", "quality", "total"):
            value: float | None = getattr(scores, name)
            if value is None:
                continue
            size = len(PERPLEXITY_EDGES) + 1 if name == "perplexity" else BINS
            bins = self.histograms[name].setdefault(origin, [0] * size)
            bins[_bin(name, value)] += 1


def remarks(report: Mapping[str, Any]) -> list[str]:
    """What scorers did with rows besides scoring them, for the log and for Kubeflow's page."""
    refused, control_text = report["flags"][REFUSED], report["rows_with_control_text"]
    said = {
        f"{refused} rows are left out, the first: {report['first_refusal']}": refused,
        f"{control_text} rows spell a control token in their text; it was encoded as text": control_text,
    }
    return [line for line, count in said.items() if count]


def balance(desirable: int, undesirable: int) -> dict[str, float]:
    """The KTO set's balance, and weights that bring weight x count of the desirable to 1 to 4/3 of the undesirable."""
    ratio = desirable / undesirable if undesirable else 0.0
    low, high = (LOW_RATIO / ratio, HIGH_RATIO / ratio) if ratio else (1.0, 1.0)
    return {
        "desirable": desirable,
        "undesirable": undesirable,
        "desirable_weight": round(max(1.0, low), 4),
        "undesirable_weight": round(max(1.0, 1 / high), 4),
    }


def reasoning_in_words(count: int, learnt: bool) -> str:
    """What becomes of the reasoning of so many best responses; empty where there are none."""
    what = "is learnt with them" if learnt else "is left out (learn_reasoning)"
    return f"{count} of the best responses came with a reasoning, which {what}" if count else ""


def _bin(name: str, value: float) -> int:
    if name == "perplexity":
        return bisect.bisect_left(PERPLEXITY_EDGES, value)
    return min(BINS - 1, int(value * BINS))


def _pass_rate(counts: Counter[str]) -> dict[str, float | None]:
    whole = counts.total()
    return {
        "passed": counts["passed"],
        "failed": counts["failed"],
        "pass_rate": round(counts["passed"] / whole, 6) if whole else None,
    }


def summarise(root: str, manifest: Manifest) -> str:
    """The selection as Markdown."""
    report = json.loads(read_bytes(root, manifest, "report.json"))
    counts = manifest.counts
    sft, kto, rows = (f"{counts[name]:.0f}" for name in ("sft_rows", "kto_rows", "rows"))
    lines = [
        f"## {sft} SFT rows and {kto} KTO rows of {rows} instructions",
        "",
        "| origin | best | undesirable | checks passed |",
        "|---|---|---|---|",
    ]
    for origin in ORIGINS:
        rate = report["checks"][origin]["pass_rate"]
        passed = "no checks" if rate is None else f"{rate:.1%}"
        lines.append(f"| {origin} | {report['origins'][origin]} | {report['undesirable_origins'][origin]} | {passed} |")
    for line in remarks(report):
        lines += ["", line]
    reasoning = report["reasoning"]
    if note := reasoning_in_words(reasoning["best_with_reasoning"], reasoning["learnt"]):
        lines += ["", note]
    given = [f"| {flag} | {count} |" for flag, count in report["flags"].items() if count]
    return "\n".join([*lines, *(["", "| flag | rows |", "|---|---|", *given] if given else [])]) + "\n"
