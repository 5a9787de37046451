"""What a study runs: trainings, evaluations and choices, with their names and what each of them needs.

The graph and the list of tasks both walk the plan. It is pure: equal recipes have equal plans.

    plan = plan_study(recipe)
    plan.works     # in the order in which one machine does them
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from components.analyse.settings import AnalysedArm, AnalyseSettings
from components.choose.settings import ChooseSettings, key_of
from components.evaluate.settings import EvaluationSettings
from components.launch.job import Launch
from components.launch.slots import JobSlots
from components.shared.outputs.digest import digest_value
from components.shared.step import Location
from components.train.settings import TrainSettings
from pipelines.study.arms import Point
from pipelines.study.points import NamedArm, SweptPoint, named_arms, swept_points
from pipelines.study.recipe import StudyRecipe

BASE = "base"
NONE = "-"
"""In the keys of evaluations: the base has no rate and no seed, and a test none yet: it is chosen in the run."""


@dataclass(frozen=True)
class PlannedTraining:
    """One training.

    Attributes:
        name: of its task.
        settings: of the step.
        location: where in the recipe the method's settings are.
        start: the choice whose model it starts from; empty: the student.
        after: the training that makes its model on the way; empty: it trains itself.
    """

    name: str
    settings: TrainSettings
    location: Location
    start: str = ""
    after: str = ""


@dataclass(frozen=True)
class PlannedEvaluation:
    """One evaluation of a model on one part.

    Attributes:
        name: of its task.
        settings: of the step.
        model: the training or the choice whose model is asked; empty: the student.
        key: under which analyse gets it, `ARM/RATE/SEED/PART`; empty: it only serves a choice.
    """

    name: str
    settings: EvaluationSettings
    model: str = ""
    key: str = ""


@dataclass(frozen=True)
class PlannedChoice:
    """The choice of a learning rate, and the model of one seed at that rate.

    Attributes:
        name: of its task.
        settings: of the step.
        seed: whose model it hands on.
        evaluations: names of the evaluations that it compares, by `RATE/SEED`.
    """

    name: str
    settings: ChooseSettings
    seed: int
    evaluations: dict[str, str]


MATCHED = {"none": "nothing", "tokens": "tokens trained on", "flops": "floating-point operations"}
"""What was matched, in the words of the report."""
PlannedWork = PlannedTraining | PlannedEvaluation | PlannedChoice


@dataclass(frozen=True)
class StudyPlan:
    """Everything that a study runs after its data are made, each after what it needs, and what judges it at the end."""

    points: tuple[SweptPoint, ...]
    works: tuple[PlannedWork, ...] = field(repr=False)
    analysis: AnalyseSettings = field(repr=False)

    @property
    def evaluations(self) -> dict[str, str]:
        """The names of the evaluations that analyse gets, by `ARM/RATE/SEED/PART`."""
        return {work.key: work.name for work in self.works if isinstance(work, PlannedEvaluation) and work.key}


def plan_study(recipe: StudyRecipe) -> StudyPlan:
    """The plan of a recipe without faults."""
    points = swept_points(recipe)
    planner = _Planner(recipe, points)
    works = [*planner.base(), *(work for point in points for work in planner.sweep(point)), *planner.tests()]
    return StudyPlan(tuple(points), tuple(works), _analysis(recipe, points))


def _analysis(recipe: StudyRecipe, points: Sequence[SweptPoint]) -> AnalyseSettings:
    """What judges the arms, in the order of the recipe."""
    by_point = {swept.point: swept for swept in points}
    judging = {name: getattr(recipe.analyse, name) for name in recipe.analyse.model_fields_set}
    return AnalyseSettings(
        **judging,
        arms=tuple(_analysed(named, by_point[named.point]) for named in named_arms(recipe)),
        seeds=recipe.seeds,
        benchmark=recipe.primary,
        forgetting=tuple(name for name in recipe.judged if name != recipe.primary),
        matched=MATCHED[recipe.compute.match],
        title=recipe.title,
        run_name=recipe.name,
        recipe_digest=digest_value(recipe.key_material()),
    )


def _analysed(named: NamedArm, swept: SweptPoint) -> AnalysedArm:
    point = named.point
    adapters = "" if point.lora is None else f", LoRA of rank {point.lora.rank}"
    return AnalysedArm(
        name=named.name,
        does=f"{point.chain}{adapters}",
        stages=tuple(stage.method for stage in point.chain.stages),
        lora_rank=None if point.lora is None else point.lora.rank,
        rates=tuple(f"{rate:g}" for rate in swept.rates),
        family=named.arm.family,
    )


class _Planner:
    """Plans the works of one recipe."""

    def __init__(self, recipe: StudyRecipe, points: list[SweptPoint]) -> None:
        self._recipe, self._points = recipe, points
        self._by_point = {swept.point: swept for swept in points}

    def base(self) -> Iterator[PlannedEvaluation]:
        """The student itself, on both parts."""
        for part, settings in (("validation", self._validation), ("test", self._test)):
            key = f"{BASE}/{NONE}/{NONE}/{part}"
            yield PlannedEvaluation(f"evaluate-{BASE}-{part}", settings, key=key)

    def sweep(self, swept: SweptPoint) -> Iterator[PlannedWork]:
        """Every rate and seed of a point, and the choice of a rate."""
        evaluations = {}
        for number, rate in enumerate(swept.rates, start=1):
            for seed in self._recipe.seeds:
                training = self._training(swept, number, seed)
                name = f"evaluate-{variant_of(swept, number, seed)}"
                key = f"{swept.name}/{rate:g}/{seed}/validation" if swept.is_arm else ""
                evaluations[key_of(rate, seed)] = name
                yield training
                yield PlannedEvaluation(name, _expecting_divergence(self._validation), training.name, key)
        settings = ChooseSettings(benchmark=self._recipe.primary, rates=swept.rates, seeds=self._recipe.seeds)
        for seed in self._recipe.seeds:
            yield PlannedChoice(choice_of(swept, seed), settings, seed, evaluations)

    def tests(self) -> Iterator[PlannedEvaluation]:
        """The chosen models of every arm on the part test."""
        settings = _expecting_divergence(self._test)
        for swept in self._points:
            for seed in self._recipe.seeds if swept.is_arm else ():
                key = f"{swept.name}/{NONE}/{seed}/test"
                yield PlannedEvaluation(f"evaluate-{swept.name}-s{seed}-test", settings, choice_of(swept, seed), key)

    def _training(self, swept: SweptPoint, number: int, seed: int) -> PlannedTraining:
        """The training of a rate and seed; one of fewer epochs follows the one that makes it on the way."""
        point, rate = swept.point, swept.rates[number - 1]
        method = self._recipe.methods[point.chain.last.method]
        family = [other for other in self._points if other.point.family == point.family]
        ends = sorted(epochs_of(other.point) for other in family if rate in other.rates)
        schedule = method.schedule_epochs or max(epochs_of(other.point) for other in family)
        mine, last = epochs_of(point), ends[-1]
        longest = next(other for other in family if epochs_of(other.point) == last)
        planned = {
            "learning_rate": rate,
            "seed": seed,
            "epochs": schedule,
            "stop_after_epochs": mine if mine < schedule else None,
            "hand_over_epochs": tuple(ends[:-1]) if mine == last else (),
            "lora": point.lora,
            "on_divergence": "finish",
            "launch": self._launch(method.settings.launch),
        }
        return PlannedTraining(
            name=f"train-{variant_of(swept, number, seed)}",
            settings=with_values(method.settings, planned),
            location=("methods", point.chain.last.method, "settings"),
            start="" if point.start is None else choice_of(self._by_point[point.start], seed),
            after="" if mine == last else f"train-{variant_of(longest, longest.rates.index(rate) + 1, seed)}",
        )

    def _launch(self, launch: Launch) -> Launch:
        """Where a training runs: on a cluster, in one of the slots of the study."""
        if not launch.on_cluster:
            return launch
        slots = JobSlots(group=self._recipe.name, count=self._recipe.parallel_trainings)
        return launch.model_copy(update={"slots": slots})

    @property
    def _validation(self) -> EvaluationSettings:
        return self._asking((self._recipe.primary,), "validation")

    @property
    def _test(self) -> EvaluationSettings:
        return self._asking(self._recipe.judged, "test")

    def _asking(self, names: tuple[str, ...], part: str) -> EvaluationSettings:
        evaluation = self._recipe.evaluate
        benchmarks = tuple(benchmark for benchmark in evaluation.benchmarks if benchmark.name in names)
        share = self._recipe.validation.share
        return evaluation.model_copy(update={"benchmarks": benchmarks, "part": part, "validation_share": share})


def _expecting_divergence(settings: EvaluationSettings) -> EvaluationSettings:
    """For a model that the study trains; one that only starts it must have scores."""
    return settings.model_copy(update={"on_divergence": "finish"})


def epochs_of(point: Point) -> int:
    """The epochs of a point's last stage."""
    epochs = point.chain.last.epochs
    assert epochs is not None
    return epochs


def variant_of(swept: SweptPoint, number: int, seed: int) -> str:
    """The part of a task's name that says point, rate (by its number, from 1, in ascending order) and seed."""
    return f"{swept.name}-r{number}-s{seed}"


def choice_of(swept: SweptPoint, seed: int) -> str:
    """The name of the task that hands on the chosen model of a seed."""
    return f"choose-{swept.name}-s{seed}"


def with_values(settings: TrainSettings, values: Mapping[str, object]) -> TrainSettings:
    """The settings with other values, checked again; None and empty ones are left at their defaults."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    chosen = {name: value for name, value in values.items() if value is not None and value != ()}
    return type(settings).model_validate({**given, **chosen})
