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


def token_shares(ranks: Sequence[RankSpeed]) -> list[float]:
    """Each rank's share of a step's tokens, with which all end at the same time."""
    total = sum(rank.tokens_a_second for rank in ranks)
    return [rank.tokens_a_second / total for rank in ranks]


def slowdown(dealt_by: Sequence[RankSpeed], now: Sequence[RankSpeed]) -> float:
    """Time of a step with shares by earlier speeds to its time with shares by those of now; 1 is the least."""
    pairs = zip(token_shares(dealt_by), token_shares(now), strict=True)
    return max(dealt / fitting for dealt, fitting in pairs)


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
