"""What each rank computes of a step's tokens: in proportion to its speed, in micro-batches that fit its memory."""

import dataclasses
from collections.abc import Sequence

from pydantic import Field

from components.shared.errors import SettingsError
from components.shared.settings import Settings
from components.train.memory import Need, make_plan

MOST_TOKENS = 2**20
"""Where the search for the largest micro-batch ends."""


class RankSpeed(Settings):
    """One rank, as measured on its device."""

    name: str = Field(description="for messages, such as rank 3 (A10)")
    tokens_a_second: float = Field(gt=0, description="tokens trained a second, both passes, at its own micro-batch")
    most_tokens: int = Field(ge=1, description="most tokens of one micro-batch in its memory")
    fixed_seconds: float = Field(0.0, ge=0, description="of a step before its reduction, however few its tokens are")

    @classmethod
    def of_work(cls, name: str, most_tokens: int, *, tokens: float, seconds: float, speed: float) -> "RankSpeed":
        """A rank by the time of its own work in a step; it takes exactly that for as many tokens.

        Args:
            name: for messages.
            most_tokens: of one micro-batch in its memory.
            tokens: of its part of the step.
            seconds: from the step's beginning to the reduction of gradients, without waiting.
            speed: tokens a second of its passes alone; what they leave of `seconds` is fixed.
        """
        fixed = max(seconds - tokens / speed, 0.0)
        return cls(
            name=name, tokens_a_second=max(speed, tokens / seconds), most_tokens=most_tokens, fixed_seconds=fixed
        )


def token_shares(ranks: Sequence[RankSpeed], tokens: float) -> list[float]:
    """Each rank's share of a step of so many tokens, with which all end at the same time.

    A rank whose fixed time alone is longer than that of such a step has 0.
    """
    active = set(range(len(ranks)))
    while True:
        speed = sum(ranks[place].tokens_a_second for place in active)
        fixed = sum(ranks[place].tokens_a_second * ranks[place].fixed_seconds for place in active)
        end = (tokens + fixed) / speed
        late = {place for place in active if ranks[place].fixed_seconds > end}
        if not late:
            break
        active -= late
    return [
        rank.tokens_a_second * (end - rank.fixed_seconds) / tokens if place in active else 0.0
        for place, rank in enumerate(ranks)
    ]


def slowdown(dealt_by: Sequence[RankSpeed], now: Sequence[RankSpeed], tokens: float) -> float:
    """Time of a step of so many tokens with shares by earlier speeds to its time with shares by those of now.

    1 is the least.
    """
    return _step_seconds(token_shares(dealt_by, tokens), now, tokens) / _step_seconds(
        token_shares(now, tokens), now, tokens
    )


def _step_seconds(shares: Sequence[float], ranks: Sequence[RankSpeed], tokens: float) -> float:
    pairs = zip(shares, ranks, strict=True)
    return max(rank.fixed_seconds + share * tokens / rank.tokens_a_second for share, rank in pairs)


def most_tokens(name: str, need: Need, free: int, longest: int) -> int:
    """The most tokens of a micro-batch that fit a device beside the model.

    Args:
        name: of the device, for messages.
        need: of the training; its tokens are those that are searched for.
        free: bytes of the device that a process may have.
        longest: tokens of the longest row.

    Raises:
        SettingsError: the device cannot hold the model, or a micro-batch of its longest row. Every rank needs a row in
            each step, and a step may have none but long ones.
    """
    if not _fits(need, free, 1):
        raise SettingsError(
            f"{name}: {free / 2**30:.1f} GiB cannot hold the model",
            rule="every rank holds its part of the model, gradients and optimizer state",
            remedy="leave the device out, shard more (ZeRO stage 3), train adapters (lora), or offload",
        )
    if not _fits(need, free, longest):
        raise SettingsError(
            f"{name}: {free / 2**30:.1f} GiB hold {_largest(need, free, longest):,} tokens beside the model, "
            f"and the longest row has {longest:,}",
            rule="every rank can hold every row",
            remedy="lower max_length, or leave the device out",
        )
    return _largest(need, free, MOST_TOKENS + 1)


def _largest(need: Need, free: int, too_many: int) -> int:
    """The most tokens below `too_many` that fit, by bisection; one token is known to fit."""
    least = 1
    while too_many - least > 1:
        middle = (least + too_many) // 2
        least, too_many = (middle, too_many) if _fits(need, free, middle) else (least, middle)
    return least


def _fits(need: Need, free: int, tokens: int) -> bool:
    return make_plan(dataclasses.replace(need, tokens=tokens), free).fits
