"""The token cap: how long the student's own correct answers are."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.bridge.settings import TokenCap
from components.shared.rollout_rows import Probed


@dataclass(frozen=True)
class Cap:
    """The cap in tokens, and from how many correct rollouts it is; `is_own` is False for the fallback."""

    tokens: int
    rollouts: int
    is_own: bool


def token_cap(rows: Iterable[Probed], settings: TokenCap) -> Cap:
    """The cap by the student's correct rollouts, or the fallback where there are too few of them."""
    lengths = sorted(
        rollout.tokens_out
        for row in rows
        for rollout in row.rollouts
        if rollout.passed and rollout.finish == "stop" and rollout.tokens_out > 0
    )
    if len(lengths) < settings.from_rollouts:
        return Cap(settings.fallback_tokens, len(lengths), is_own=False)
    return Cap(percentile(lengths, settings.percentile), len(lengths), is_own=True)


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least this share of ascending values does not exceed (nearest rank)."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
