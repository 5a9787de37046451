"""The record of how steps were dealt to ranks: one line of shares.jsonl for each change."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from components.shared.settings import Settings
from components.train.balance.shares import RankSpeed, token_shares

SHOWN_RANKS = 8
"""A line for the log lists at most so many ranks."""


class SharesRecord(Settings):
    """From which step on ranks get which shares, and why."""

    step: int = Field(ge=1, description="the first optimizer step that is dealt so")
    reason: Literal["given", "measured", "changed"] = Field(
        description="given: by launch.speeds; measured: at the start; changed: measured again during training"
    )
    ranks: tuple[RankSpeed, ...] = Field(description="speeds that are given are relative, not tokens a second")
    shares: tuple[float, ...] = Field(description="each rank's share of a step's tokens, as far as rows allow")

    def __str__(self) -> str:
        """A line for the log."""
        unit = "" if self.reason == "given" else " tokens/s"
        told = [
            f"{rank.name} {share:.1%} ({rank.tokens_a_second:,.4g}{unit})"
            for rank, share in zip(self.ranks, self.shares, strict=True)
        ]
        if len(told) > SHOWN_RANKS:
            least, most = (self.shares.index(limit(self.shares)) for limit in (min, max))
            told = [f"{len(told)} ranks, from {told[least]}", f"to {told[most]}"]
        return f"shares by speed ({self.reason}) from step {self.step}: {', '.join(told)}"


def recorded_shares(
    step: int, reason: Literal["given", "measured", "changed"], ranks: Sequence[RankSpeed]
) -> SharesRecord:
    """The record of ranks that get shares by their speeds."""
    shares = tuple(round(share, 6) for share in token_shares(ranks))
    return SharesRecord(step=step, reason=reason, ranks=tuple(ranks), shares=shares)
