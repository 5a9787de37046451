"""Counts what was routed, for the manifest, the report and the log."""

from collections import Counter
from typing import Any

from components.shared.pass_rate import histogram
from components.shared.pools import POOLS, Pool
from components.shared.rollout_rows import Probed

PARTS = ("sft", "rl", "dropped")
NO_VERDICT = "no-verdict"
REASONS = (*POOLS, NO_VERDICT)
"""Why a problem is dropped: its pool, or that it has none."""


def count_of(reason: str) -> str:
    """The name of the count of problems that were dropped for a reason."""
    return f"dropped_{reason.replace('-', '_')}"


class RouteTally:
    """Counts problems by pool and part; a problem may be in two parts."""

    def __init__(self) -> None:
        self.problems = 0
        self.parts: Counter[str] = Counter()
        self.pools: Counter[str] = Counter()
        self.ways: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[str] = Counter()
        self.rates: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
        self.lengths: Counter[str] = Counter()
        self.rollouts: Counter[str] = Counter()

    def add(self, row: Probed, pool: Pool, parts: tuple[str, ...]) -> None:
        """Count a problem that has a pool, and the parts that it is in."""
        self.problems += 1
        self.pools[pool] += 1
        self.lengths[pool] += sum(row.lengths)
        self.rollouts[pool] += len(row.lengths)
        for part in parts:
            self.parts[part] += 1
            self.ways[pool, part] += 1
            self.rates[part].update(histogram([row.pass_rate]))
        if "dropped" in parts:
            self.reasons[pool] += 1

    def add_undecided(self) -> None:
        """Count a problem without a pool, which is dropped."""
        self.problems += 1
        self.parts["dropped"] += 1
        self.reasons[NO_VERDICT] += 1

    def counts(self) -> dict[str, float]:
        """What the manifest counts."""
        return {
            "problems": self.problems,
            **{f"{part}_rows": self.parts[part] for part in PARTS},
            **{f"{pool}_problems": self.pools[pool] for pool in POOLS},
            **{count_of(reason): self.reasons[reason] for reason in REASONS},
        }

    def report(self) -> dict[str, Any]:
        """The counts, those of each pool by part, mean lengths in tokens, and the histogram of each part."""
        return {
            **self.counts(),
            "pools": {
                pool: {
                    "problems": self.pools[pool],
                    **{part: self.ways[pool, part] for part in PARTS},
                    "mean_length": round(self.lengths[pool] / max(self.rollouts[pool], 1), 1),
                }
                for pool in POOLS
            },
            "rates": {part: dict(self.rates[part]) or histogram([]) for part in PARTS},
        }
