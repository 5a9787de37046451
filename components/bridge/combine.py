"""Counts what the finished slices hold, and how far the texts moved from the teacher's traces."""

from collections import Counter
from collections.abc import Sequence

from components.bridge.choose import NO_TEXT, NO_TRACE, ORIGINS, REASONS, REFUSED
from components.bridge.results import BridgeShards
from components.bridge.settings import BridgeAssignment
from components.bridge.taught_problem import WrittenProblem
from components.launch.hand_back.files import JobResult
from components.models.rollouts.fates import FAILED, NO_VERDICT, TRUNCATED, WRONG
from components.shared.errors import EmptyDataError
from components.shared.outputs.manifest import Cost, Shard
from components.shared.rollout_rows import Bridged, BridgeText
from components.shared.scores import mean
from components.shared.store.open_store import open_store

DECIMALS = 6
TRACE_FATES = ("right", WRONG, TRUNCATED, NO_VERDICT, FAILED)
REMEDIES = {
    REFUSED: "use models whose chat templates accept these conversations (system message, alternating turns)",
    NO_TRACE: "use a stronger teacher, raise traces, or collect problems with their solutions",
    NO_VERDICT: "see the log for why the checks failed; the teacher's replies are kept, so a new run only checks them",
    NO_TEXT: "look at bridged/: raise cap or candidates, lower least_steps, or leave the prefix test out",
}


class BridgeResult(JobResult):
    """What the job hands back, with the means of groups of texts under the student (see `Means`), by group.

    `moved` are the mean differences of chosen rewritings to the raw traces of the same problems.
    """

    means: dict[str, dict[str, float]]
    moved: dict[str, float]


class Means:
    """Means over texts, each of which counts once; the ratio is that of the means (arXiv 2601.14249, A.8)."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._ranks: list[float] = []
        self._nlls: list[float] = []

    def add(self, text: BridgeText) -> None:
        """Add a text that was measured."""
        if text.tokens is not None and text.rank is not None and text.nll is not None:
            self._tokens.append(text.tokens)
            self._ranks.append(text.rank)
            self._nlls.append(text.nll)

    def report(self) -> dict[str, float]:
        """The means, with the number of texts; nothing else where there are none."""
        if not self._tokens:
            return {"texts": 0}
        rank, nll = mean(self._ranks), mean(self._nlls)
        values = {"tokens": mean(self._tokens), "nll": nll, "rank": rank, "rsr": rank / nll if nll else 0.0}
        return {"texts": len(self._tokens), **{name: round(value, DECIMALS) for name, value in values.items()}}


class BridgeTally:
    """Sums the problems of all slices, one slice in memory at a time."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.groups = {name: Means() for name in ("raw", "rewritten", *(f"chosen_{origin}" for origin in ORIGINS))}
        self._moved: list[tuple[int, float]] = []

    def add_written(self, problem: WrittenProblem) -> None:
        """Count what the teacher wrote for a problem."""
        for fate in TRACE_FATES:
            self.counts[f"traces_{fate}"] += problem.traces.get(fate, 0)
        self.counts["traces"] += sum(problem.traces.values())
        self.counts["tokens_in"] += problem.tokens_in
        self.counts["tokens_out"] += problem.tokens_out
        self.counts["problems_with_trace"] += any(text.origin == "raw" for text in problem.texts)

    def add(self, row: Bridged) -> None:
        """Count a problem and its texts."""
        self.counts["problems"] += 1
        for text in row.texts:
            self._add_text(text)
        if row.chosen is None:
            self.counts["dropped_rows"] += 1
            self.counts[f"dropped_{row.reason}"] += 1
            return
        chosen = row.texts[row.chosen]
        self.counts["sft_rows"] += 1
        self.counts[f"{chosen.origin}_rows"] += 1
        self.groups[f"chosen_{chosen.origin}"].add(chosen)
        raw = next((text for text in row.texts if text.origin == "raw"), None)
        if raw is not None and chosen.origin == "rewritten":
            self._add_move(raw, chosen)

    def result(self, shards: Sequence[Shard], seconds: float, *, may_be_empty: bool) -> BridgeResult:
        """The job's result. Raises EmptyDataError when there is nothing to learn, unless that may be."""
        if not self.counts["sft_rows"] and not may_be_empty:
            self._give_up()
        named = ("problems", "sft_rows", *(f"{origin}_rows" for origin in ORIGINS), "dropped_rows", "candidates")
        counts: dict[str, float] = dict.fromkeys((*named, *(f"dropped_{reason}" for reason in REASONS)), 0.0)
        counts |= self.counts
        verdicts = self.counts["candidates_passed"] + self.counts[f"candidates_{WRONG}"]
        counts["verified_share"] = round(self.counts["candidates_passed"] / max(verdicts, 1), DECIMALS)
        tokens = {name: int(self.counts[name]) for name in ("tokens_in", "tokens_out")}
        return BridgeResult(
            shards=tuple(shards),
            counts=counts,
            cost=Cost(seconds=round(seconds, 3), **tokens),
            means={name: group.report() for name, group in self.groups.items()},
            moved=self._means_moved(),
        )

    def _add_text(self, text: BridgeText) -> None:
        if text.origin in self.groups:
            self.groups[text.origin].add(text)
        if text.origin != "rewritten":
            return
        self.counts["candidates"] += 1
        self.counts["candidates_passed"] += text.passed is True
        self.counts[f"candidates_{text.fate}"] += 1
        self.counts["beginnings"] += text.finishes
        self.counts["beginnings_finished"] += text.finished

    def _add_move(self, raw: BridgeText, chosen: BridgeText) -> None:
        if raw.tokens is not None and chosen.tokens is not None and raw.nll is not None and chosen.nll is not None:
            self._moved.append((chosen.tokens - raw.tokens, chosen.nll - raw.nll))

    def _means_moved(self) -> dict[str, float]:
        if not self._moved:
            return {}
        tokens, nlls = zip(*self._moved, strict=True)
        return {"moved_tokens": round(mean(tokens), DECIMALS), "moved_nll": round(mean(nlls), DECIMALS)}

    def _give_up(self) -> None:
        reasons = {reason: self.counts[f"dropped_{reason}"] for reason in REASONS}
        most = max(reasons, key=reasons.__getitem__)
        shown = ", ".join(f"{reason} {count}" for reason, count in reasons.items() if count)
        raise EmptyDataError(
            f"none of {self.counts['problems']} problems has a text to learn: {shown}",
            rule=f"{most}: {REASONS[most]}",
            remedy=REMEDIES[most],
        )


def combine(assignment: BridgeAssignment, slices: int, seconds: float) -> BridgeResult:
    """What the finished slices say together.

    Raises:
        EmptyDataError: there is nothing to learn, and the settings do not take that for a result.
        DamagedError: a slice is damaged.
    """
    found, tally = BridgeShards(open_store(assignment.root).at(assignment.address)), BridgeTally()
    shards: list[Shard] = []
    for index in range(slices):
        for problem in found.read_texts(index):
            tally.add_written(problem)
        rows, files = found.read(index)
        shards += files
        for row in rows:
            tally.add(row)
    try:
        return tally.result(shards, seconds, may_be_empty=assignment.settings.when_empty == "finish")
    except EmptyDataError:
        # The next run checks the teacher's replies again.
        for index in range(slices):
            found.discard(index)
        raise
