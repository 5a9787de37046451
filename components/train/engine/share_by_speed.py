"""Gives ranks shares of a step's tokens by their speeds: given or measured at the start, and again while they train.

What a rank's step takes beside its passes (collating rows, the loop) counts too, where it can be told from waiting. The
work after the reduction is the same for all shares, so shares cannot make up for it.
"""

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

WARM_UP, WINDOW = 1, 20
"""Steps that are not measured, and the steps after which speeds are compared again."""
EARLY = (4, 10)
"""Steps after which they are compared too: the measurement at the start is of seconds, and of passes alone."""
SLOWDOWN = 1.03
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
        self._steps, self._window_began = 0, 0

    def begin(self, step: int) -> None:
        """Find all ranks' speeds and budgets before the first step; measuring takes seconds."""
        from components.train.engine.measure_speed import measure_speed
        from components.train.engine.pass_clock import PassClock

        began = time.monotonic()
        if self._given is None:
            self._measured = measure_speed(self._trainer, self._order)
            self._trainer.clock = PassClock()
            self._adopt(self._gathered(self._rank(self._measured.both)), step, "measured")
        else:
            self._adopt(self._gathered(self._rank(self._given[self._ranks.rank])), step, "given")
        self._trainer.counts["seconds_speeds"] = round(time.monotonic() - began, 3)

    def after_step(self, step: int) -> None:
        """Compare the speeds of a window of steps with those by which they were dealt; speeds that are given stay.

        Only forward passes and the rank's own work before the reduction are timed, without waiting for other ranks.
        """
        self._steps += 1
        if self._measured is None or not _ends_window(self._steps):
            return
        mine, self._window_began = self._rank_now(self._measured), self._steps
        if self._steps == WARM_UP:
            return
        now = self._gathered(mine)
        if slowdown(self._speeds, [rank for rank, _ in now], self._order.step_positions) > SLOWDOWN:
            self._adopt(now, step + 1, "changed")
            self._trainer.counts["shares_changed"] += 1

    def _rank_now(self, measured: "MeasuredSpeed") -> RankSpeed:
        """This rank in the window that ends."""
        assert self._trainer.clock is not None, "set where the speed was measured"
        positions, steps = self._trainer.take_load(), self._steps - self._window_began
        speed = measured.both * (positions / self._trainer.clock.take() / measured.forward)
        if self._trainer.own_clock is None:
            return self._rank(speed)
        seconds = self._trainer.own_clock.take()
        return RankSpeed.of_work(
            self._name, self._order.limits.tokens, tokens=positions / steps, seconds=seconds / steps, speed=speed
        )

    def _adopt(self, found: Sequence[tuple[RankSpeed, int]], step: int, reason: Reason) -> None:
        record = recorded_shares(step, reason, found, self._order.step_positions)
        self._speeds = record.ranks
        self._order.adopt(record.ranks)
        # Checkpoints keep the trainer's log, so a training that continues has the records from before.
        self._trainer.state.log_history.append({"shares": record.model_dump(mode="json"), "step": step})
        if self._ranks.is_main:
            say(self._task, str(record))

    @property
    def _name(self) -> str:
        import torch

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        return f"rank {self._ranks.rank} ({device})"

    def _rank(self, speed: float) -> RankSpeed:
        return RankSpeed(name=self._name, tokens_a_second=speed, most_tokens=self._order.limits.tokens)

    def _gathered(self, mine: RankSpeed) -> list[tuple[RankSpeed, int]]:
        """All ranks' speeds and budgets, and their free memory in bytes."""
        import torch.distributed

        found: list[Any] = [None] * self._ranks.world
        torch.distributed.all_gather_object(found, (mine, free_bytes()))
        return found


def _ends_window(steps: int) -> bool:
    return steps in {WARM_UP, *EARLY} or steps % WINDOW == 0


def time_own_work(trainer: "PackedTrainer", engine: Any) -> None:
    """Time what this rank does in a step before its gradients are reduced, where that never waits for other ranks.

    DeepSpeed reduces after the last pass at ZeRO stages 0 and 1, unless reducing overlaps with it, as on GPUs.
    """
    from components.shared.patch_libraries import before_reduction
    from components.train.engine.pass_clock import PassClock

    stage = engine.zero_optimization_stage()
    if stage == 0 or (stage == 1 and not engine.zero_overlap_comm()):
        trainer.own_clock = PassClock()
        before_reduction(engine, trainer.own_clock.stop)


def speed_shares(trainer: Any, settings: TrainSettings, task: str, ranks: Ranks) -> Any:
    """A callback that deals the trainer's steps by speed."""
    from transformers import TrainerCallback

    shares = SpeedShares(trainer, trainer.micro_batches, settings, task, ranks)

    class ShareBySpeed(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            shares.begin(state.global_step + 1)
            if settings.launch.speeds is None:
                time_own_work(trainer, trainer.model_wrapped)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            shares.after_step(state.global_step)

    return ShareBySpeed()
