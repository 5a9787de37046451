"""The recipe of the pipeline `curriculum`."""

from typing import Annotated, Literal

from pydantic import Field

from components.bridge.settings import BridgeSettings
from components.collect.settings import CollectSettings
from components.compare.settings import CompareSettings
from components.critique.settings import CritiqueSettings
from components.curate.settings import CurateSettings
from components.probe.settings import ProbeSettings
from components.publish.settings import PublishSettings
from components.route.settings import RouteSettings
from components.shared.settings import Settings, known
from components.train.methods.registry import AnyTrainSettings
from pipelines.curriculum.baselines import BASELINES
from pipelines.data.recipe import StudentRecipe
from pipelines.promotion.recipe import Evaluating

MOST_ROUNDS = 20
BaselineName = Annotated[str, known(BASELINES, "baseline")]


class RoundTrainings(Settings):
    """The two trainings of every round, by the part of the problems that each learns from."""

    sft: AnyTrainSettings = Field(
        description="on the texts of bridge and critique for problems that are never solved: a method that reads sft/"
    )
    rl: AnyTrainSettings = Field(description="on problems that are solved in part: a method that reads rl/")


class Comparing(CompareSettings):
    """How models are compared with the base, and the baselines that are trained for it."""

    baselines: tuple[BaselineName, ...] = Field(
        (), description="trainings on the same data without routing or rounds, each a row of the comparison"
    )


class CurriculumRecipe(StudentRecipe):
    """Everything about a run of `curriculum`, checked before anything starts."""

    pipeline: Literal["curriculum"] = Field("curriculum", description="the pipeline that runs")
    collect: CollectSettings = Field(description="as in a recipe of distill; every source has a check")
    curate: CurateSettings = Field(description="as in a recipe of distill; what it keeps are the problems")
    rounds: int = Field(
        2,
        ge=1,
        le=MOST_ROUNDS,
        description="most rounds, each from the model of the one before; one with nothing left to learn passes it on. "
        "He and others (arXiv 2606.04466) go round more than once; their number cannot be read here, this one is ours",
    )
    probe: ProbeSettings = Field(
        description="how pass rates are estimated; the sampling is that of the rollouts of train.rl, wherever it is "
        "left out, and what is set has to be equal to it"
    )
    probe_again: bool = Field(
        False,
        description="probe and route again after a round's SFT, and draw the problems of RL from that: what SFT made "
        "solvable in part enters RL in the same round. False, the order of He and others: it enters in the next round, "
        "and a round costs one probe instead of two, none of which the baselines' compute includes",
    )
    probe_last: bool = Field(
        True,
        description="probe the model of the last round too, so that the report has the pass rates after every round; "
        "nothing is learnt from this probe",
    )
    route: RouteSettings = Field(RouteSettings(), description="which problems SFT and RL get")
    bridge: BridgeSettings = Field(description="how the teacher's traces become texts for the student")
    critique: CritiqueSettings | None = Field(
        None, description="how failed rollouts become rows to learn; left out: bridge's texts alone are learnt"
    )
    critique_from: int = Field(
        2,
        ge=1,
        description="the first round with critique: before, problems fail that nobody has taught yet, so that traces "
        "say more than what is wrong in a failed try; ours",
    )
    train: RoundTrainings = Field(description="the trainings of every round; baselines train in the same way")
    evaluate: Evaluating
    compare: Comparing = Comparing()
    publish: PublishSettings
