"""The selection in numbers: `report.json`, the counts of the manifest, and the text that Kubeflow shows."""

import bisect
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from components.select.choose import FLAGS, REFUSED, Choice, Evidence
from components.select.contrast import NO_PAIR
from components.select.settings import SelectSettings
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Answered, Scores
from components.shared.text.counted import counted

BINS = 20
PERPLEXITY_EDGES = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0)
"""Upper bounds of the bins of the perplexity histogram; the last bin is open."""

ORIGINS = ("original", "teacher", "student")


class SelectionTally:
    """Counts rows as they are chosen; its size is independent of their number."""

    def __init__(self, settings: SelectSettings) -> None:
        self.settings = settings
        self.rows = self.control_text = 0
        self.refusal = ""
        self.flags: Counter[str] = Counter()
        self.best: Counter[str] = Counter()
        self.reasoned = 0
        self.worst: Counter[str] = Counter()
        self.checked: dict[str, Counter[str]] = {origin: Counter() for origin in ORIGINS}
        self.any_of: dict[str, Counter[bool]] = defaultdict(Counter)
        self.kto: Counter[bool] = Counter()
        self.labelled_alone = self.pairs = 0
        self.no_pair: Counter[str] = Counter()
        self.margins = 0.0
        self.histograms: dict[str, dict[str, list[int]]] = defaultdict(dict)

    def add(self, row: Answered, evidence: Evidence, choice: Choice) -> None:
        """Count one row."""
        self.rows += 1
        self.control_text += evidence.control_text
        self.refusal = self.refusal or evidence.refused
        self.flags.update(choice.flags)
        for response, scores in zip(row.responses, choice.scores, strict=True):
            self._add_scores(response.origin, scores)
        self._add_samples(row, choice)
        self.kto.update(label for _, label in choice.kto)
        self.labelled_alone += len(choice.kto) == 1
        self._add_pair(choice)
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
            "pair_rows": self.pairs,
            "best_with_reasoning": self.reasoned,
        }
        no_pair = {f"no_pair_{reason.replace('-', '_')}": self.no_pair[reason] for reason in NO_PAIR}
        return {**facts, **no_pair, **origins, **flags}

    def report(self) -> dict[str, Any]:
        """The content of `report.json`."""
        return {
            "rows": self.rows,
            "rows_with_control_text": self.control_text,
            "first_refusal": self.refusal,
            "formula": self.settings.formula.model_dump(mode="json"),
            "reasoning": {"best_with_reasoning": self.reasoned, "learnt": self.settings.learn_reasoning},
            "origins": {origin: self.best[origin] for origin in ORIGINS},
            "undesirable_origins": {origin: self.worst[origin] for origin in ORIGINS},
            "flags": {flag: self.flags[flag] for flag in FLAGS},
            "checks": {
                origin: {**_pass_rate(counts), **_any_pass(self.any_of[origin])}
                for origin, counts in self.checked.items()
            },
            "kto": {"desirable": self.kto[True], "undesirable": self.kto[False]},
            "pairs": {
                "rows": self.pairs,
                "mean_margin": round(self.margins / self.pairs, 6) if self.pairs else None,
                "without": {reason: self.no_pair[reason] for reason in NO_PAIR},
            },
            "bins": {"perplexity": list(PERPLEXITY_EDGES), "other": [(index + 1) / BINS for index in range(BINS)]},
            "histograms": self.histograms,
        }

    def reasoning_in_words(self) -> str:
        """Whether the reasoning of the best responses is learnt; empty where none has any."""
        return reasoning_in_words(self.reasoned, self.settings.learn_reasoning)

    def flags_in_words(self) -> str:
        """The flags that occur, with their counts."""
        return ", ".join(f"{flag} {count}" for flag, count in self.flags.most_common()) or "no flags"

    def _add_pair(self, choice: Choice) -> None:
        """A pair and its margin, or why there is none."""
        self.pairs += choice.pair is not None
        self.margins += choice.margin
        if choice.no_pair:
            self.no_pair[choice.no_pair] += 1

    def _add_samples(self, row: Answered, choice: Choice) -> None:
        """Whether any of the checked answers of an origin is right, where it gave several."""
        verdicts: dict[str, list[bool]] = defaultdict(list)
        for response, scores in zip(row.responses, choice.scores, strict=True):
            if scores.checked is not None:
                verdicts[response.origin].append(scores.checked)
        for origin, checked in verdicts.items():
            if len(checked) > 1:
                self.any_of[origin][any(checked)] += 1

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
    """Rows that were dropped or contain control tokens, for the log and for Kubeflow's page."""
    refused, control_text = report["flags"][REFUSED], report["rows_with_control_text"]
    said = {
        f"{counted(refused, 'row')} dropped, the first: {report['first_refusal']}": refused,
        f"{counted(control_text, 'row')} spelt a control token: encoded as text": control_text,
    }
    return [line for line, count in said.items() if count]


def reasoning_in_words(count: int, learnt: bool) -> str:
    """Whether the reasoning of this many best responses is learnt; empty where there are none."""
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


def _any_pass(rows: Counter[bool]) -> dict[str, int]:
    """Rows with several checked answers of an origin, and those of them with a right one; nothing without such rows."""
    return {"rows_with_samples": rows.total(), "rows_with_a_pass": rows[True]} if rows else {}


def summarise(library: Library, manifest: Manifest) -> str:
    """The selection as Markdown."""
    report = json.loads(library.read_bytes(manifest, "report.json"))
    counts = manifest.counts
    parts = (("sft_rows", "SFT row"), ("kto_rows", "KTO row"), ("pair_rows", "pair"))
    sft, kto, pairs = (counted(counts[name], noun) for name, noun in parts)
    lines = [
        f"## {sft}, {kto} and {pairs} of {counted(counts['rows'], 'instruction')}",
        "",
        "| origin | best | undesirable | checks passed |",
        "|---|---|---|---|",
    ]
    for origin in ORIGINS:
        rate = report["checks"][origin]["pass_rate"]
        passed = "no checks" if rate is None else f"{rate:.1%}"
        if rows := report["checks"][origin].get("rows_with_samples"):
            passed += (
                f" of the answers; one or more in {report['checks'][origin]['rows_with_a_pass'] / rows:.1%} of rows"
            )
        lines.append(f"| {origin} | {report['origins'][origin]} | {report['undesirable_origins'][origin]} | {passed} |")
    for line in remarks(report):
        lines += ["", line]
    reasoning = report["reasoning"]
    if note := reasoning_in_words(reasoning["best_with_reasoning"], reasoning["learnt"]):
        lines += ["", note]
    without = {f"{reason}: {NO_PAIR[reason]}": count for reason, count in report["pairs"]["without"].items()}
    lines += _counted("without a pair", without) + _counted("flag", report["flags"])
    return "\n".join(lines) + "\n"


def _counted(what: str, counts: Mapping[str, int]) -> list[str]:
    """A table of the rows by what they have; nothing where none has any."""
    given = [f"| {name} | {count} |" for name, count in counts.items() if count]
    return ["", f"| {what} | rows |", "|---|---|", *given] if given else []
