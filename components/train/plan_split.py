"""Plans a data-parallel training over devices of one or several kinds: shares, memory and time, without torch.

Every rank holds the model. Evenly, each has as many rows of a step; balanced, tokens in proportion to its speed. Rows
are taken to be equally long. Transfers: gradients are reduced over a ring of all ranks (`balance/step_time.py`); ZeRO
stages 0 and 1 do that once in a step, stage 1 with sharded sums and updated weights; stage 2 reduces in every pass and
gathers the updated weights; stage 3 also gathers the weights for both passes (Rajbhandari and others, arXiv 1910.02054,
section 7).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.train.balance.deal import deal_step
from components.train.balance.devices import DeviceKind, Fleet, Link
from components.train.balance.measured_costs import LayerSeconds
from components.train.balance.shares import MOST_TOKENS, RankSpeed
from components.train.balance.split_plan import RankGroup, SplitPlan
from components.train.balance.step_time import ring_seconds
from components.train.balance.work import FORWARD, operations, published_speed
from components.train.batches.split import budget_rows, split_batch
from components.train.engine.fit_memory import choose_plan, need_of, set_stage
from components.train.memory import (
    FP32_GRADIENT,
    GRADIENT,
    DecoderShape,
    Need,
    PassSize,
    Plan,
    fit_tokens,
    make_plan,
)
from components.train.methods.registry import method_of
from components.train.settings import TrainSettings

GIB = 2**30
MATTERS = 0.05
"""Share of a step from which waiting or recomputing is what binds it."""


@dataclass(frozen=True)
class TrainingDevices:
    """Devices of one kind, each with a rank.

    Attributes:
        kind: their number, memory and links.
        operations: a second, by the published numbers; None where they are not known.
        tokens_a_second: measured; None: by `operations`.
        relative: speed beside other devices, where no other is known: it decides shares and no times.
        on_cpu: whether their memory is the host's.
        layers: what a micro-batch of a training in stages takes on one device, measured by the job.
        to_next: the measured link from the last of these to the first device of the next kind.
    """

    kind: DeviceKind
    operations: float | None = None
    tokens_a_second: float | None = None
    relative: float | None = None
    on_cpu: bool = False
    layers: LayerSeconds | None = None
    to_next: Link | None = None


@dataclass(frozen=True)
class _FittedMemory:
    """What is decided for all ranks, and the estimate for each kind of devices."""

    need: Need
    size: PassSize
    plan: Plan
    budgets: tuple[int | None, ...]

    def positions(self, place: int) -> int:
        """Most positions of a forward pass on one kind of devices."""
        return self.size.positions(self.budgets[place])


@dataclass(frozen=True)
class _DealtWork:
    """What ranks compute, by kind of devices.

    Attributes:
        rows: of a step, in the rank that has the most.
        row_tokens: of a row.
        speeds: tokens a second of one device, or relative numbers.
        timed: whether `speeds` are tokens a second.
    """

    rows: tuple[int, ...]
    row_tokens: int
    speeds: tuple[float, ...]
    timed: bool

    @property
    def relative_seconds(self) -> list[float]:
        """Time of that rank; where it is not timed, in a unit of its own."""
        return [rows * self.row_tokens / speed for rows, speed in zip(self.rows, self.speeds, strict=True)]


def largest_pass(settings: TrainSettings) -> PassSize:
    """How large forward passes become where the longest row has `max_length` tokens in each response."""
    split = split_batch(settings, settings.ranks)
    longest = settings.max_length * method_of(settings).responses
    if settings.micro_batch_tokens is None and settings.shares == "even":
        return PassSize(split.micro_batch, longest, longest)
    undivided = math.ceil(settings.rows_together / split.ranks) * longest
    return PassSize(budget_rows(settings, split.ranks), longest, undivided)


def least_bytes(settings: TrainSettings, shape: DecoderShape, *, on_cpu: bool) -> int:
    """What a device needs at least for its part of the model, gradients and optimizer state."""
    need = replace(need_of(shape, settings, settings.ranks, on_cpu=on_cpu), tokens=1, drawn=None)
    return make_plan(need, 0, set_stage(settings), settings.gradient_checkpointing).estimate.total


def reference_seconds(settings: TrainSettings, shape: DecoderShape, plan: SplitPlan, tokens: int) -> float | None:
    """Time of the reference's log-probs, computed once and evenly before training; None where no speed is known.

    Args:
        settings: of the training.
        shape: of the model.
        plan: whose speeds these are.
        tokens: of all rows.
    """
    method = method_of(settings)
    if not method.has_reference:
        return 0.0
    speeds = [group.tokens_a_second for group in plan.groups if group.tokens_a_second]
    if len(speeds) < len(plan.groups):
        return None
    others = method.reads_others(settings)
    share = (
        FORWARD * (1 + others) * shape.parameters / operations(shape, recomputed=plan.recomputed, reads_others=others)
    )
    return tokens / settings.ranks * share / min(speeds)


def plan_split(
    settings: TrainSettings, shape: DecoderShape, devices: Sequence[TrainingDevices], row_tokens: int
) -> SplitPlan:
    """One split of a training; the settings' `shares` say which.

    Args:
        settings: of the training, with as many ranks as there are devices.
        shape: of the model.
        devices: in the order of ranks.
        row_tokens: of a row, both responses of a pair.
    """
    memory = _fit(settings, shape, devices)
    work = _deal(settings, memory, devices, row_tokens)
    step_tokens = settings.global_batch * row_tokens
    together = sum(each.kind.count * speed for each, speed in zip(devices, work.speeds, strict=True))
    plan = SplitPlan(
        split="even" if settings.shares == "even" else "balanced",
        stage=memory.plan.stage,
        recomputed=memory.plan.recomputed,
        groups=tuple(_group(place, memory, work, devices, step_tokens) for place in range(len(devices))),
        step_tokens=step_tokens,
        computing_seconds=max(work.relative_seconds) if work.timed else None,
        transfer_seconds=_transfers(memory, work, devices) if work.timed else None,
        bound_seconds=step_tokens / together if work.timed else None,
        why="",
    )
    return plan.model_copy(update={"why": _why(plan, devices)})


def _fit(settings: TrainSettings, shape: DecoderShape, devices: Sequence[TrainingDevices]) -> _FittedMemory:
    """As the job decides: by the smallest memory; with shares by speed, each device has a budget of its own."""
    ranks, size = sum(each.kind.count for each in devices), largest_pass(settings)
    need = need_of(shape, settings, ranks, on_cpu=any(each.on_cpu for each in devices))
    free = min(each.kind.memory_bytes for each in devices)
    plan, budget = choose_plan(need, size, free, settings, set_stage(settings))
    budgets: list[int | None] = [budget] * len(devices)
    if settings.shares == "speed" and settings.micro_batch_tokens == "auto":
        budgets = [fit_tokens(need, size, each.kind.memory_bytes, plan.stage, plan.recomputed)[1] for each in devices]
    return _FittedMemory(need, size, plan, tuple(budgets))


def _deal(
    settings: TrainSettings, memory: _FittedMemory, devices: Sequence[TrainingDevices], row_tokens: int
) -> _DealtWork:
    others = method_of(settings).reads_others(settings)
    token = operations(memory.need.shape, recomputed=memory.plan.recomputed, reads_others=others)
    speeds = tuple(device_speed(each, token) for each in devices)
    timed = all(each.tokens_a_second or each.operations for each in devices)
    if settings.shares == "even":
        return _DealtWork((settings.global_batch // settings.ranks,) * len(devices), row_tokens, speeds, timed)
    return _DealtWork(_rows_by_speed(settings, devices, speeds), row_tokens, speeds, timed)


def device_speed(devices: TrainingDevices, token_operations: int) -> float:
    """Tokens a second of one device, or a relative number where that is not known."""
    if devices.tokens_a_second is not None:
        return devices.tokens_a_second
    beside = devices.relative or 1.0
    return beside if devices.operations is None else published_speed(devices.operations, token_operations) * beside


def _rows_by_speed(
    settings: TrainSettings, devices: Sequence[TrainingDevices], speeds: Sequence[float]
) -> tuple[int, ...]:
    """Rows of a step in the rank of each kind that has the most, as a job deals rows of equal length."""
    ranks = [
        RankSpeed(name=each.kind.name, tokens_a_second=speed, most_tokens=MOST_TOKENS)
        for each, speed in zip(devices, speeds, strict=True)
        for _ in range(each.kind.count)
    ]
    groups = [row // settings.rows_together for row in range(settings.global_batch)]
    rows = deal_step([1] * settings.global_batch, ranks, groups).tokens
    firsts = [_first_rank(devices, place) for place in range(len(devices))]
    return tuple(max(rows[first : first + each.kind.count]) for first, each in zip(firsts, devices, strict=True))


def _first_rank(devices: Sequence[TrainingDevices], place: int) -> int:
    return sum(each.kind.count for each in devices[:place])


def _group(
    place: int, memory: _FittedMemory, work: _DealtWork, devices: Sequence[TrainingDevices], step_tokens: int
) -> RankGroup:
    """The ranks of one kind."""
    kind, tokens, seconds = devices[place].kind, work.rows[place] * work.row_tokens, work.relative_seconds
    need = replace(memory.need, tokens=memory.positions(place))
    estimate = need.estimate(memory.plan.stage, memory.plan.recomputed)
    return RankGroup(
        devices=kind.name,
        first_rank=_first_rank(devices, place),
        ranks=kind.count,
        share=tokens / step_tokens,
        tokens=tokens,
        positions=need.tokens,
        state_bytes=estimate.state,
        activation_bytes=estimate.beside_state,
        host_bytes=estimate.copies.total,
        device_bytes=kind.memory_bytes,
        usable_bytes=int(need.usable(kind.memory_bytes)),
        fits=estimate.total <= need.usable(kind.memory_bytes),
        tokens_a_second=work.speeds[place] if work.timed else None,
        seconds=seconds[place] if work.timed else None,
        waits=1 - seconds[place] / max(seconds) if work.timed else None,
    )


def _transfers(memory: _FittedMemory, work: _DealtWork, devices: Sequence[TrainingDevices]) -> float:
    """Seconds of a step in which ranks exchange gradients and weights; a ring moves each byte twice."""
    shape, low = memory.need.shape, memory.need.precision == "bf16"
    fleet, size = Fleet(kinds=tuple(each.kind for each in devices)), GRADIENT if low else FP32_GRADIENT
    ranks = sum(each.kind.count for each in devices)
    link = fleet.ring_link(range(len(devices)), ranks)
    passes = max(_passes(memory, work, place) for place in range(len(devices)))
    gradients = ring_seconds(shape.trained * size, ranks, link) / 2
    if memory.plan.stage == 3:
        return passes * (gradients + ring_seconds(shape.parameters * size, ranks, link))
    return gradients * (passes + 1 if memory.plan.stage == 2 else 2)


def _passes(memory: _FittedMemory, work: _DealtWork, place: int) -> int:
    """Forward passes of a step in the rank that has the most rows."""
    fitting = max(1, memory.positions(place) // work.row_tokens)
    return math.ceil(work.rows[place] / max(1, min(memory.size.rows, fitting)))


def _why(plan: SplitPlan, devices: Sequence[TrainingDevices]) -> str:
    """What does not fit, or what determines the time of a step: memory, transfers, the slowest rank, or computing."""
    tight = [group for group in plan.groups if not group.fits]
    if tight:
        need = max(_device_bytes(group, devices[plan.groups.index(group)]) for group in tight)
        return (
            f"memory: {', '.join(group.devices for group in tight)} would need {need / GIB:,.1f} GiB, and "
            f"{tight[0].usable_bytes / GIB:,.1f} GiB are usable: lower micro_batch, micro_batch_tokens or max_length"
        )
    computing, transfers, bound = plan.computing_seconds, plan.transfer_seconds, plan.bound_seconds
    if computing is None or transfers is None or bound is None:
        return "no time is predicted, since the speed of these devices is not known"
    if transfers > computing:
        slow = min(devices, key=lambda each: each.kind.network.bytes_a_second).kind
        return f"transfers: {transfers / (computing + transfers):.0%} of a step, at the network of {slow.name}"
    return _why_computing(plan, computing / bound)


def _device_bytes(group: RankGroup, devices: TrainingDevices) -> int:
    return group.state_bytes + group.activation_bytes + (group.host_bytes if devices.on_cpu else 0)


def _why_computing(plan: SplitPlan, ratio: float) -> str:
    slowest = max(plan.groups, key=lambda group: group.seconds or 0.0)
    if ratio > 1 + MATTERS and plan.split == "even":
        waiting = ", ".join(f"{one.devices} {one.waits:.0%}" for one in plan.groups if (one.waits or 0) > MATTERS)
        return f"computing: all wait for {slowest.devices} ({waiting} of the passes): {ratio:.2f} times the bound"
    if ratio > 1 + MATTERS:
        return (
            f"rows: a step has too few to divide them by speed, {ratio:.2f} times the bound ({slowest.devices} is the "
            "last): raise global_batch"
        )
    if plan.recomputed:
        return "memory: activations are recomputed, about a third more computing than if they were kept"
    return "computing: all ranks end within 5 % of the bound"
