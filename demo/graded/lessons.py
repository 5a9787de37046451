"""What the models of the graded world are taught: how replies are mixed in each lesson."""

from dataclasses import dataclass, replace
from typing import Final

from demo.graded.tasks.families import LEVELS
from demo.lessons import STUDENT, LessonPlan


@dataclass(frozen=True, kw_only=True)
class ReplyShares:
    """How often a problem of one level is replied to in each way, from 0 to 1; the rest is the bare right answer."""

    at_length: float = 0.0
    in_steps: float = 0.0
    hasty: float = 0.0
    """The bare answer after all steps but the last."""
    rewriting: float = 0.0
    """The request for a rewriting with the long solution, and numbered steps in any form as the reply."""


@dataclass(frozen=True, kw_only=True)
class GradedLesson:
    """One lesson: the training plan, and by number of steps its weight and how problems are replied to."""

    plan: LessonPlan
    shares: dict[int, ReplyShares]
    weights: dict[int, float]


BASIS: Final = replace(
    STUDENT, rows_per_step=24, warmup_steps=40, wrong_share=0.0, typical_share=0.0, weights={}, attention="sdpa"
)
"""How both models are trained; their shape, 627,200 parameters, is that of the demo's student, which they begin from."""
EVENLY: Final = dict.fromkeys(LEVELS, 1.0)

TEACHER: Final = GradedLesson(
    plan=replace(BASIS, steps=450, seed=41),
    shares=dict.fromkeys(LEVELS, ReplyShares(at_length=0.6, rewriting=0.4)),
    weights=EVENLY,
)
STUDENT_SKILL: Final = GradedLesson(
    plan=replace(BASIS, steps=350, seed=51),
    shares=dict.fromkeys(LEVELS, ReplyShares(at_length=0.5, in_steps=0.3)),
    weights=EVENLY,
)
STUDENT_HABIT: Final = GradedLesson(
    plan=replace(BASIS, steps=150, seed=52, peak_rate=1e-3, matrix_rate=2e-3),
    shares={
        1: ReplyShares(at_length=0.5),
        2: ReplyShares(at_length=0.5, hasty=0.5),
        3: ReplyShares(at_length=0.3, hasty=0.7),
        4: ReplyShares(hasty=1.0),
    },
    weights=EVENLY,
)
"""The habit to answer at once covers the skill: never steps for long problems, sometimes for those in between."""

LESSONS: Final = {"teacher": (TEACHER,), "student": (STUDENT_SKILL, STUDENT_HABIT)}
"""The lessons of each model, in order; a first lesson starts from the weights of `demo/student`, each other one from those before it, with new optimizers."""
