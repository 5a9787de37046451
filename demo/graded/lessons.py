"""What the models of the graded world are taught: how replies are mixed in each lesson."""

from dataclasses import dataclass, field, replace
from typing import Final

from demo.graded.tasks.families import LEVELS
from demo.lessons import STUDENT, LessonPlan


@dataclass(frozen=True, kw_only=True)
class ReplyShares:
    """How often a problem of one level is replied to in each way, from 0 to 1; the rest is the bare right answer."""

    at_length: float = 0.0
    in_steps: float = 0.0
    hasty: float = 0.0
    """The bare answer after the first step, which is all that a hasty reader does."""
    rewriting: float = 0.0
    """The request for a rewriting with the long solution, and numbered steps in any form as the reply."""
    diagnosis: float = 0.0
    """The request to find the first wrong step of an attempt."""
    repair: float = 0.0
    """The request to go on from a step."""


@dataclass(frozen=True, kw_only=True)
class GradedLesson:
    """One lesson: the training plan, and how problems are drawn and replied to, by family and number of steps."""

    plan: LessonPlan
    shares: dict[int, ReplyShares]
    weights: dict[int, float]
    families: dict[str, float] = field(default_factory=dict)
    """The weight of each family; empty: all alike."""


BASIS: Final = replace(
    STUDENT, rows_per_step=24, warmup_steps=40, wrong_share=0.0, typical_share=0.0, weights={}, attention="sdpa"
)
"""How both models are trained. They begin from the demo's student, and so have its shape: 627,200 parameters."""
EVENLY: Final = dict.fromkeys(LEVELS, 1.0)

FORMS: Final = GradedLesson(
    plan=replace(BASIS, steps=450, seed=41),
    shares=dict.fromkeys(LEVELS, ReplyShares(at_length=0.6, rewriting=0.4)),
    weights=EVENLY,
)
"""How solutions are written, at length and in steps; of the arithmetic only a part is learned."""
ARITHMETIC: Final = GradedLesson(
    plan=replace(BASIS, steps=500, seed=43, rows_per_step=48),
    shares=dict.fromkeys(LEVELS, ReplyShares(at_length=0.5, in_steps=0.1, rewriting=0.1)),
    weights={1: 6.0, 2: 1.0, 3: 0.5, 4: 0.5},
    families={"coins": 4.0, "clock": 2.0, "digits": 0.5},
)
"""Mostly problems of one step, which are short: sums and hours by heart."""
CRITIC: Final = GradedLesson(
    plan=replace(BASIS, steps=250, seed=42, peak_rate=1.5e-3, matrix_rate=3e-3),
    shares=dict.fromkeys(LEVELS, ReplyShares(at_length=0.3, rewriting=0.25, diagnosis=0.3, repair=0.15)),
    weights=EVENLY,
)
"""The teacher alone: what is wrong in an attempt, and how it goes on."""
HABIT: Final = GradedLesson(
    plan=replace(BASIS, steps=300, seed=52, peak_rate=1e-3, matrix_rate=2e-3),
    shares={
        1: ReplyShares(at_length=0.5, hasty=0.5),
        2: ReplyShares(at_length=0.45, hasty=0.55),
        3: ReplyShares(at_length=0.05, hasty=0.95),
        4: ReplyShares(hasty=1.0),
    },
    weights=EVENLY,
)
"""The student alone: the habit to answer after the first step, always for long problems, often for those in between."""

LESSONS: Final = {"teacher": (FORMS, ARITHMETIC, CRITIC), "student": (FORMS, ARITHMETIC, HABIT)}
"""The lessons of each model, in order. The first starts from the weights of `demo/student`, the others from those of
the lesson before, with new optimizers; equal lessons make equal weights, so they need to be given only once."""
