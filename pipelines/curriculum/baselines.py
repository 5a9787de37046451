"""What a curriculum is compared with: trainings on the same problems without routing, or without rounds.

JustRL (arXiv 2512.16649) has plain RL with one fixed setting do as well as elaborate schedules: if that holds here too,
the comparison shows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Part = Literal["sft", "rl"]
"""A part of the problems, and the training that learns from it."""
BOTH: tuple[Part, ...] = ("sft", "rl")

HARD_TRACES, ALL_TRACES, ALL_PROBLEMS = "bridge-round-1", "bridge-all", "route-all"
"""Tasks whose outputs baselines learn from: texts for the hard problems of the first probe, and for all problems; and
all problems."""


@dataclass(frozen=True)
class BaselineStage:
    """One training of a baseline.

    Attributes:
        part: which training of a round it is like.
        dataset: the task whose rows it learns from.
        budget: the trainings of all rounds whose compute it may spend in total.
    """

    part: Part
    dataset: str
    budget: tuple[Part, ...]


@dataclass(frozen=True)
class Baseline:
    """A baseline.

    Attributes:
        does: in a line.
        stages: each starts from the model of the one before, the first from the student.
    """

    does: str
    stages: tuple[BaselineStage, ...]


BASELINES: Mapping[str, Baseline] = {
    "mixed_sft": Baseline("one SFT on the traces of all problems", (BaselineStage("sft", ALL_TRACES, BOTH),)),
    "distillation": Baseline(
        "one SFT on the first round's traces of hard problems, and its replay",
        (BaselineStage("sft", HARD_TRACES, BOTH),),
    ),
    "sft_grpo": Baseline(
        "SFT on the traces of all problems, then RL on all problems",
        (BaselineStage("sft", ALL_TRACES, ("sft",)), BaselineStage("rl", ALL_PROBLEMS, ("rl",))),
    ),
    "grpo": Baseline("RL alone, on all problems", (BaselineStage("rl", ALL_PROBLEMS, BOTH),)),
}


def needs(baselines: tuple[str, ...], dataset: str) -> bool:
    """Whether one of these baselines learns from the output of a task."""
    return any(stage.dataset == dataset for name in baselines for stage in BASELINES[name].stages)


def models_of(name: str) -> list[str]:
    """The names of the models of a baseline's stages; the last one has the baseline's own."""
    slug, stages = name.replace("_", "-"), BASELINES[name].stages
    return [*(f"{slug}-{stage.part}" for stage in stages[:-1]), slug]
