"""What a curriculum runs: probes, routes, texts and trainings, with their names and what each of them needs.

The graph and the list of tasks both walk the plan. It is pure: equal recipes have equal plans. All rounds are in it,
since a graph has no branches: in one with nothing left to learn, every step completes without rows, and its trainings
hand on the model that they start from.

    plan = plan_curriculum(recipe)
    plan.works     # in the order in which one machine does them
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from components.bridge.settings import BridgeSettings
from components.critique.settings import CritiqueSettings
from components.probe.settings import ProbeSettings
from components.route.settings import RouteSettings
from components.shared.step import Location
from components.train.settings import TrainSettings
from pipelines.curriculum.baselines import (
    ALL_PROBLEMS,
    ALL_TRACES,
    BASELINES,
    BOTH,
    HARD_TRACES,
    Part,
    models_of,
    needs,
)
from pipelines.curriculum.probe_sampling import probe_of
from pipelines.curriculum.recipe import CurriculumRecipe
from pipelines.promotion.recipe import BASE


@dataclass(frozen=True)
class PlannedProbe:
    """Pass rates of a model.

    Attributes:
        name: of its task.
        settings: of the step.
        model: the training whose model is probed; empty: the student.
    """

    name: str
    settings: ProbeSettings
    model: str


@dataclass(frozen=True)
class PlannedRoute:
    """The parts of the problems.

    Attributes:
        name: of its task.
        settings: of the step.
        location: where in the recipe its settings are.
        probed: the probe that it goes by.
    """

    name: str
    settings: RouteSettings
    location: Location
    probed: str


@dataclass(frozen=True)
class PlannedBridge:
    """Texts for the problems of SFT.

    Attributes:
        name: of its task.
        settings: of the step.
        routed: the route whose problems are taught.
        probed: the probe whose rollouts give the token cap.
        student: the training whose model they are for; empty: the student.
        after: the bridge that asks the teacher for some of its traces, which are then found; empty: none.
    """

    name: str
    settings: BridgeSettings
    routed: str
    probed: str
    student: str
    after: str = ""


@dataclass(frozen=True)
class PlannedCritique:
    """Texts about failed rollouts, beside those of a bridge.

    Attributes:
        name: of its task.
        settings: of the step.
        probed: the probe whose rollouts failed.
        bridged: the bridge whose texts they are added to.
    """

    name: str
    settings: CritiqueSettings
    probed: str
    bridged: str


@dataclass(frozen=True)
class CurriculumTraining:
    """One training.

    Attributes:
        name: of its task.
        settings: of the step.
        location: where in the recipe its settings are.
        dataset: the task whose rows it learns from.
        start: the training whose model it starts from; empty: the student.
        budget: the trainings whose compute it may spend in total; empty: what its settings say.
    """

    name: str
    settings: TrainSettings
    location: Location
    dataset: str
    start: str
    budget: tuple[str, ...] = ()


CurriculumWork = PlannedProbe | PlannedRoute | PlannedBridge | PlannedCritique | CurriculumTraining


@dataclass(frozen=True)
class CurriculumPlan:
    """Everything that a curriculum runs between its problems and the evaluations, each after what it needs.

    Attributes:
        works: the tasks.
        models: the trainings whose models are evaluated, by the names of the models, in the order of reports.
        reported: tasks whose outputs the report shows, though nothing is made from them.
    """

    works: tuple[CurriculumWork, ...] = field(repr=False)
    models: dict[str, str]
    reported: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of all models that are evaluated: the base first."""
        return [BASE, *self.models]


def plan_curriculum(recipe: CurriculumRecipe) -> CurriculumPlan:
    """The plan of a recipe without faults."""
    planner = _CurriculumPlanner(recipe)
    works = [work for number in range(1, recipe.rounds + 1) for work in planner.round(number)]
    works += planner.unrouted()
    works += [work for name in recipe.compare.baselines for work in planner.baseline(name)]
    last = list(planner.probe_last())
    models = {name: f"train-{name}" for name in _model_names(recipe)}
    return CurriculumPlan((*works, *last), models, tuple(probe.name for probe in last))


def _model_names(recipe: CurriculumRecipe) -> Iterator[str]:
    for number in range(1, recipe.rounds + 1):
        yield from (f"round-{number}-{part}" for part in BOTH)
    for name in recipe.compare.baselines:
        yield from models_of(name)


class _CurriculumPlanner:
    """Plans the works of one recipe."""

    def __init__(self, recipe: CurriculumRecipe) -> None:
        self._recipe = recipe
        self._probe = probe_of(recipe)
        self._route = recipe.route.model_copy(update={"when_empty": "finish"})
        self._bridge = recipe.bridge.model_copy(update={"when_empty": "finish"})

    def round(self, number: int) -> Iterator[CurriculumWork]:
        """One round: what fails is taught, then what is solved in part is reinforced."""
        recipe, name = self._recipe, f"round-{number}"
        start = f"train-round-{number - 1}-rl" if number > 1 else ""
        yield from self._divide(name, start)
        yield PlannedBridge(f"bridge-{name}", self._bridge, f"route-{name}", f"probe-{name}", start)
        texts = f"bridge-{name}"
        if recipe.critique is not None and number >= recipe.critique_from:
            yield PlannedCritique(f"critique-{name}", recipe.critique, f"probe-{name}", texts)
            texts = f"critique-{name}"
        taught = f"train-{name}-sft"
        yield self._training(taught, "sft", texts, start)
        problems = f"route-{name}"
        if recipe.probe_again:
            yield from self._divide(f"{name}-again", taught)
            problems = f"route-{name}-again"
        yield self._training(f"train-{name}-rl", "rl", problems, taught)

    def probe_last(self) -> Iterator[PlannedProbe]:
        """The pass rates after the last round, if they are wanted."""
        if self._recipe.probe_last:
            model = f"round-{self._recipe.rounds}-rl"
            yield PlannedProbe(f"probe-{model}", self._probe, f"train-{model}")

    def unrouted(self) -> Iterator[CurriculumWork]:
        """All problems, and texts for all of them, as far as a baseline learns from them."""
        baselines, probed = self._recipe.compare.baselines, "probe-round-1"
        texts = needs(baselines, ALL_TRACES)
        if texts or needs(baselines, ALL_PROBLEMS):
            yield PlannedRoute(ALL_PROBLEMS, self._everything, ("compare", "baselines"), probed)
        if texts:
            # All problems are taught, so there is none to replay.
            bridge = self._bridge.model_copy(update={"replay": None})
            yield PlannedBridge(ALL_TRACES, bridge, ALL_PROBLEMS, probed, "", HARD_TRACES)

    def baseline(self, name: str) -> Iterator[CurriculumTraining]:
        """The trainings of a baseline; each may spend what trainings of the rounds spent."""
        start = ""
        for stage, model in zip(BASELINES[name].stages, models_of(name), strict=True):
            training, budget = f"train-{model}", self._spent(stage.budget)
            yield self._training(training, stage.part, stage.dataset, start, budget)
            start = training

    def _divide(self, name: str, model: str) -> Iterator[CurriculumWork]:
        """Probe a model, and divide the problems by what it can do."""
        yield PlannedProbe(f"probe-{name}", self._probe, model)
        yield PlannedRoute(f"route-{name}", self._route, ("route",), f"probe-{name}")

    def _training(
        self, name: str, part: Part, dataset: str, start: str, budget: tuple[str, ...] = ()
    ) -> CurriculumTraining:
        settings: TrainSettings = getattr(self._recipe.train, part)
        passing = settings.model_copy(update={"when_empty": "pass_through"})
        return CurriculumTraining(name, passing, ("train", part), dataset, start, budget)

    def _spent(self, parts: tuple[Part, ...]) -> tuple[str, ...]:
        """The trainings of these parts in all rounds."""
        rounds = range(1, self._recipe.rounds + 1)
        return tuple(f"train-round-{number}-{part}" for number in rounds for part in parts)

    @property
    def _everything(self) -> RouteSettings:
        """Every problem goes both ways; pools are counted as in the rounds."""
        by = self._recipe.route.by
        policy = {"policy": "all", "hard_at_most": by.hard_at_most, "easy_at_least": by.easy_at_least}
        return RouteSettings.model_validate({"by": policy, "when_empty": "finish"})
