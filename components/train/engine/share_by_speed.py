"""Gives ranks shares of a step's tokens by their speeds: given or measured at the start, and again while they train."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.shared.log import say
from components.train.balance.record import Reason, recorded_shares
from components.train.balance.shares import RankSpeed, slowdown
from components.train.batches.balanced_order import BalancedOrder
from components.train.engine.fit_memory import free_bytes
from components.train.ranks import Ranks
from components.train.settings import TrainSettings

if TYPE_CHECKING:
    from components.train.engine.measure_speed import MeasuredSpeed
    from components.train.engine.packed_trainer import PackedTrainer

WINDOW = 20
"""Optimizer steps after which speeds are compared again."""
SLOWDOWN = 1.1
"""Shares change where their steps take so much longer than with shares by the speeds of the last window."""


class SpeedShares:
    """Deals a training's steps by speed. Every rank has one, and all call its methods at the same steps.

    Args:
        trainer: of the training; its forward passes are timed.
        order: whose steps are dealt.
        settings: of the training.
        task: the step's name in the log.
        ranks: this process among all.
    """

    def __init__(
        self, trainer: "PackedTrainer", order: BalancedOrder, settings: TrainSettings, task: str, ranks: Ranks
    ) -> None:
        self._trainer, self._order, self._task, self._ranks = trainer, order, task, ranks
        self._given = settings.launch.speeds
        self._measured: MeasuredSpeed | None = None
        self._speeds: tuple[RankSpeed, ...] = ()
        self._steps = 0

    def begin(self, step: int) -> None:
        """Find all ranks' speeds and budgets before the first step; measuring takes seconds."""
        from components.train.engine.measure_speed import measure_speed
        from components.train.engine.pass_clock import PassClock

        began = time.monotonic()
        if self._given is None:
            self._measured = measure_speed(self._trainer, self._order)
            self._trainer.clock = PassClock()
            self._adopt(self._gathered(self._measured.both), step, "measured")
        else:
            self._adopt(self._gathered(self._given[self._ranks.rank]), step, "given")
        self._trainer.counts["seconds_speeds"] = round(time.monotonic() - began, 3)

    def after_step(self, step: int) -> None:
        """Compare the speeds of a window of steps with those by which they were dealt; speeds that are given stay.

        Only forward passes are timed, which never wait for other ranks.
        """
        self._steps += 1
        clock = self._trainer.clock
        if self._measured is None or clock is None or self._steps % WINDOW:
            return
        seconds, positions = clock.take(), self._trainer.take_load()
        relative = positions / seconds / self._measured.forward
        now = self._gathered(self._measured.both * relative)
        if slowdown(self._speeds, [rank for rank, _ in now]) > SLOWDOWN:
            self._adopt(now, step + 1, "changed")
            self._trainer.counts["shares_changed"] += 1

    def _adopt(self, found: Sequence[tuple[RankSpeed, int]], step: int, reason: Reason) -> None:
        record = recorded_shares(step, reason, found)
        self._speeds = record.ranks
        self._order.adopt(record.ranks)
        # Checkpoints keep the trainer's log, so a training that continues has the records from before.
        self._trainer.state.log_history.append({"shares": record.model_dump(mode="json"), "step": step})
        if self._ranks.is_main:
            say(self._task, str(record))

    def _gathered(self, speed: float) -> list[tuple[RankSpeed, int]]:
        """All ranks' speeds and budgets, and their free memory in bytes."""
        import torch.distributed

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        mine = RankSpeed(
            name=f"rank {self._ranks.rank} ({device})", tokens_a_second=speed, most_tokens=self._order.limits.tokens
        )
        found: list[Any] = [None] * self._ranks.world
        torch.distributed.all_gather_object(found, (mine, free_bytes()))
        return found


def speed_shares(trainer: Any, settings: TrainSettings, task: str, ranks: Ranks) -> Any:
    """A callback that deals the trainer's steps by speed."""
    from transformers import TrainerCallback

    shares = SpeedShares(trainer, trainer.micro_batches, settings, task, ranks)

    class ShareBySpeed(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            shares.begin(state.global_step + 1)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            shares.after_step(state.global_step)

    return ShareBySpeed()
