"""The finished slices at the output's address, and what they say together.

rows/00007.jsonl.gz      the problems of slice 7 with their rollouts; it exists = the slice is finished
dropped/00007.jsonl.gz   the problems of slice 7 that the model cannot be asked, if any
"""

from collections import Counter
from collections.abc import Sequence

from components.launch.hand_back.files import JobResult
from components.models.conversation.chat_template import REMEDY
from components.probe.estimate import pass_at_stopped
from components.probe.settings import ProbeSettings
from components.shared.errors import EmptyDataError, InputError
from components.shared.outputs.manifest import Cost, Shard
from components.shared.outputs.slice_files import SliceFiles
from components.shared.pass_rate import histogram
from components.shared.rollout_rows import Probed
from components.shared.rows import Dropped
from components.shared.scores import mean, standard_error
from components.shared.store.store import Store

DECIMALS = 6
ROWS, DROPPED = "rows", "dropped"


class ProbeResult(JobResult):
    """What the job hands back, with pass@k as value and standard error by k, and how many problems have which rate."""

    pass_at: dict[int, tuple[float, float]]
    rates: dict[str, int]


class ProbedShards:
    """The slices of one output."""

    def __init__(self, store: Store) -> None:
        self._files = SliceFiles(store, (ROWS, DROPPED))

    def done(self) -> set[int]:
        """The numbers of the finished slices."""
        return self._files.numbers(ROWS)

    def write(self, index: int, rows: Sequence[Probed], dropped: Sequence[Dropped]) -> None:
        """Write a slice; its rows come last, since they mark it as finished."""
        self._files.write_some(DROPPED, index, dropped)
        self._files.write(ROWS, index, rows)

    def discard(self, index: int) -> None:
        """Delete a slice, so that what it lacks is drawn by the next run."""
        self._files.discard(index)

    def read(self, index: int) -> tuple[list[Probed], list[Shard]]:
        """A slice's problems, and its files. Raises DamagedError, after which the slice is drawn again."""
        rows, shard = self._files.read(ROWS, index, Probed)
        return rows, [shard, *self._files.described(index, (DROPPED,))]


class Summing:
    """Sums the problems of all slices, one slice in memory at a time."""

    def __init__(self, settings: ProbeSettings) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.values: dict[int, list[float]] = {k: [] for k in settings.pass_at}
        self.rates: Counter[str] = Counter()

    def add(self, row: Probed) -> None:
        """Count one problem."""
        rule = self.settings.rule
        counted = {
            "problems": 1,
            "rollouts": len(row.rollouts),
            "tries": row.tries,
            "successes": row.successes,
            "no_verdict": row.no_verdict,
            "failed": row.failed,
            "truncated": row.truncated,
            "undecided_problems": not row.decided,
            "tokens_in": sum(rollout.tokens_in for rollout in row.rollouts),
            "tokens_out": sum(row.lengths),
        }
        self.counts.update({name: int(count) for name, count in counted.items()})
        if row.decided:
            self.counts[f"{rule.pool(row.tries, row.successes)}_problems"] += 1
            self.rates.update(histogram([row.pass_rate]))
            self.counts["full_tries"] += rule.full_tries(row.tries, row.successes)
            for k, values in self.values.items():
                values.append(pass_at_stopped(k, rule, row.tries, row.successes))

    def result(self, shards: Sequence[Shard], seconds: float) -> ProbeResult:
        """The job's result. Raises EmptyDataError and InputError."""
        self._require_verdicts(shards)
        estimates = {
            k: (round(mean(values), DECIMALS), round(standard_error(values), DECIMALS))
            for k, values in self.values.items()
        }
        counts: dict[str, float] = dict.fromkeys(("hard_problems", "mixed_problems", "easy_problems"), 0.0)
        counts |= self.counts
        counts["refused_problems"] = sum(shard.rows for shard in shards if shard.name.startswith(f"{DROPPED}/"))
        tokens = {name: int(self.counts[name]) for name in ("tokens_in", "tokens_out")}
        return ProbeResult(
            shards=tuple(shards),
            counts=counts,
            cost=Cost(seconds=round(seconds, 3), **tokens),
            pass_at=estimates,
            rates=dict(self.rates),
        )

    def _require_verdicts(self, shards: Sequence[Shard]) -> None:
        if not self.counts["problems"]:
            refused = sum(shard.rows for shard in shards)
            raise EmptyDataError(
                f"the model's chat template refuses all {refused} problems; dropped/ has the reasons", remedy=REMEDY
            )
        if not any(self.values.values()):
            raise InputError(
                f"no problem of {self.counts['problems']} was decided: {self.counts['no_verdict']} rollouts could not "
                f"be checked, {self.counts['failed']} failed",
                rule="a rollout without a verdict says nothing about its problem",
                remedy="see the log for why the checks failed; the rollouts are kept, so a new run only checks them",
            )


def combine(store: Store, settings: ProbeSettings, slices: int, seconds: float) -> ProbeResult:
    """What the finished slices say together.

    Raises:
        EmptyDataError: the chat template refuses all problems.
        InputError: no problem has enough verdicts.
        DamagedError: a slice is damaged.
    """
    summing, found = Summing(settings), ProbedShards(store)
    shards: list[Shard] = []
    for index in range(slices):
        rows, files = found.read(index)
        shards += files
        for row in rows:
            summing.add(row)
    try:
        return summing.result(shards, seconds)
    except EmptyDataError:
        raise
    except InputError:
        # The next run checks the rollouts again.
        for index in range(slices):
            found.discard(index)
        raise
