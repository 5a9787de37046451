"""Plans a training in pipeline stages, for every number of equal pipelines, where something asks for stages."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.train.balance.work import FORWARD, operations
from components.train.memory import DecoderShape
from components.train.methods.registry import method_of
from components.train.plan_stages import StagePlanner, chosen_micro_batches
from components.train.settings import TrainSettings
from components.train.stages.settings import StageSettings
from pipelines.plan.change_settings import change_settings
from pipelines.plan.compare_layouts import LayoutComparison, fastest
from pipelines.plan.count_rows import RowCount
from pipelines.plan.document import PlannedLayout, PlannedSplit, PlannedStages
from pipelines.plan.list_devices import NamedDevices
from pipelines.plan.time_and_cost import planned_time


@dataclass(frozen=True)
class TrainingOnDevices:
    """What a training is planned with: its settings, the shape of its model, its devices, its rows and its steps."""

    settings: TrainSettings
    shape: DecoderShape
    devices: Sequence[NamedDevices]
    count: RowCount
    steps: int

    @property
    def ranks(self) -> int:
        """Devices of all kinds."""
        return sum(each.devices.kind.count for each in self.devices)


def plan_pipelines(training: TrainingOnDevices, splits: Sequence[PlannedSplit]) -> PlannedStages | None:
    """The training in stages; None where nothing asks for them.

    Args:
        training: with the recipe's settings.
        splits: of the same training with data parallelism.
    """
    settings = training.settings
    asked = "the recipe has stages" if settings.stages is not None else _asked(splits)
    if not asked:
        return None
    staged = with_stages(settings, training.ranks)
    if isinstance(staged, str):
        return PlannedStages(asked=asked, refused=staged)
    planner = stage_planner(staged, training.shape, training.devices, training.count.tokens)
    if refused := _refused(planner, has_stages=settings.stages is not None):
        return PlannedStages(asked=asked, refused=refused)
    layouts = [
        _timed(training, PlannedLayout(layout=layout))
        for number in planner.numbers()
        for layout in planner.layouts(number)
    ]
    best = fastest(layouts)
    chosen = None if settings.stages is None else _chosen(layouts, settings.stages)
    comparison = LayoutComparison(layouts, best, splits, planner, has_stages=settings.stages is not None)
    return PlannedStages(asked=asked, layouts=tuple(layouts), best=best, chosen=chosen, why=comparison.why())


def with_stages(settings: TrainSettings, ranks: int) -> TrainSettings | str:
    """The settings with stages, their own or chosen ones, or why they refuse them."""
    if settings.stages is not None:
        return settings
    if ranks < 2:
        return "stages need 2 or more devices"
    stages = {"micro_batches": chosen_micro_batches(settings.global_batch, ranks)}
    return change_settings(settings, stages=stages, shares="even", micro_batch_tokens=None)


def stage_planner(
    staged: TrainSettings, shape: DecoderShape, devices: Sequence[NamedDevices], row_tokens: int
) -> StagePlanner:
    """The planner of a training with stages, for rows of so many tokens, at most `max_length` in each response."""
    longest = staged.max_length * method_of(staged).responses
    return StagePlanner(staged, shape, [each.devices for each in devices], row_tokens, longest)


def why_not_held(settings: TrainSettings, shape: DecoderShape, devices: Sequence[NamedDevices]) -> str:
    """Why stages over all devices cannot hold the model with micro-batches of one token; empty where they can."""
    ranks = sum(each.devices.kind.count for each in devices)
    staged = with_stages(settings, ranks)
    if isinstance(staged, str):
        return staged
    planner = StagePlanner(staged, shape, [each.devices for each in devices], 1, 1, 1)
    if refused := _refused(planner, has_stages=settings.stages is not None):
        return refused
    number = planner.numbers()[0] if settings.stages is None else settings.stages.pipelines
    # The last one is that of the job.
    layout = planner.layouts(number)[-1]
    return "" if layout.fits else layout.why


def _refused(planner: StagePlanner, *, has_stages: bool) -> str:
    """Why the recipe's pipelines cannot be, or any where it asks for none; empty where they can."""
    stages = planner.settings.stages
    assert stages is not None, "settings with stages"
    if has_stages:
        return planner.refusal(stages.pipelines)
    return "" if planner.numbers() else planner.refusal(1)


def _chosen(layouts: Sequence[PlannedLayout], stages: StageSettings) -> int:
    """The number of the layout that the recipe's stages have."""
    split = "balanced" if stages.layers is None else "given"
    found = [each.layout.pipelines == stages.pipelines and each.layout.split == split for each in layouts]
    return found.index(True)


def _asked(splits: Sequence[PlannedSplit]) -> str:
    """What of data parallelism asks for stages: memory that does not suffice, or a link; empty where nothing does."""
    plans = [split.plan for split in splits if split.plan is not None]
    if tight := [group.devices for plan in plans for group in plan.groups if not group.fits]:
        return f"{', '.join(dict.fromkeys(tight))} cannot hold the training with data parallelism"
    timed = [plan for plan in plans if plan.step_seconds is not None]
    fastest = min(timed, key=lambda plan: plan.step_seconds or 0.0, default=None)
    if fastest is None or fastest.step_seconds is None or fastest.transfer_seconds is None:
        return ""
    share = fastest.transfer_seconds / fastest.step_seconds
    return f"transfers are {share:.0%} of a step with data parallelism" if share > 1 / 2 else ""


def _timed(training: TrainingOnDevices, planned: PlannedLayout) -> PlannedLayout:
    """A layout with the time and the cost of the complete training."""
    layout = planned.layout
    reference = _reference_seconds(training, planned)
    time = planned_time(training.devices, training.steps, layout.step_seconds, reference)
    return planned.model_copy(update=dict(time))


def _reference_seconds(training: TrainingOnDevices, planned: PlannedLayout) -> float | None:
    """Of the forward passes over all rows that give the reference's log-probs, in the same pipelines."""
    method, layout, shape = method_of(training.settings), planned.layout, training.shape
    if not method.has_reference:
        return 0.0
    if layout.computing_seconds is None:
        return None
    others = method.reads_others(training.settings)
    all_passes = operations(shape, recomputed=layout.recomputed, reads_others=others)
    share = FORWARD * (1 + others) * shape.parameters / all_passes
    return layout.computing_seconds * share * training.count.rows / training.settings.global_batch
