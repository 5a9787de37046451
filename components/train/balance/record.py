"""The record of how steps were dealt to ranks: one line of shares.jsonl for each change."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from components.shared.settings import Settings
from components.train.balance.shares import RankSpeed, token_shares

GIB = 2**30
Reason = Literal["given", "measured", "changed"]
SHOWN_RANKS = 8
"""A line for the log lists at most so many ranks."""


class SharesRecord(Settings):
    """From which step on ranks get which shares, and why."""

    step: int = Field(ge=1, description="the first optimizer step that is dealt so")
    reason: Reason = Field(
        description="given: by launch.speeds; measured: at the start; changed: measured again during training"
    )
    ranks: tuple[RankSpeed, ...] = Field(description="speeds that are given are relative, not tokens a second")
    shares: tuple[float, ...] = Field(description="each rank's share of a mean step's tokens, as far as rows allow")
    free_gib: tuple[float, ...] = Field(description="each rank's free memory beside the loaded model, GiB")

    def __str__(self) -> str:
        """A line for the log."""
        unit = "" if self.reason == "given" else " tokens/s"
        told = [
            f"{rank.name} {share:.1%} ({rank.tokens_a_second:,.4g}{unit}{_fixed(rank)})"
            for rank, share in zip(self.ranks, self.shares, strict=True)
        ]
        if len(told) > SHOWN_RANKS:
            least, most = (self.shares.index(limit(self.shares)) for limit in (min, max))
            told = [f"{len(told)} ranks, from {told[least]}", f"to {told[most]}"]
        return f"shares by speed ({self.reason}) from step {self.step}: {', '.join(told)}"


def _fixed(rank: RankSpeed) -> str:
    return f", {rank.fixed_seconds * 1000:,.3g} ms fixed" if rank.fixed_seconds else ""


def recorded_shares(step: int, reason: Reason, found: Sequence[tuple[RankSpeed, int]], tokens: float) -> SharesRecord:
    """The record of ranks that get shares by their speeds.

    Args:
        step: the first that is dealt so.
        reason: why.
        found: ranks, and beside each its free memory in bytes.
        tokens: of a mean step.
    """
    ranks = tuple(rank for rank, _ in found)
    return SharesRecord(
        step=step,
        reason=reason,
        ranks=ranks,
        shares=tuple(round(share, 6) for share in token_shares(ranks, tokens)),
        free_gib=tuple(round(free / GIB, 3) for _, free in found),
    )
