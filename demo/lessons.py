"""What the demo's teacher and student are taught: the plan of each lesson."""

from dataclasses import dataclass, field, replace
from typing import Final

HARDER: Final[dict[str, float]] = {"addition": 1.8, "subtraction": 1.8, "sorting": 1.8, "reverse": 1.5, "month": 1.5}
"""The default weights of the families; 1 for the others."""
HARDEST: Final[dict[str, float]] = {
    "month": 3.5,
    "weekday": 3.0,
    "largest": 2.5,
    "smallest": 2.5,
    "subtraction": 2.5,
    "comparison": 2.0,
    "sorting": 2.0,
    "antonym": 1.5,
    "uppercase": 1.2,
    "reverse": 1.2,
    "parity": 1.0,
} | dict.fromkeys(("addition", "first letter", "last letter", "length", "plural"), 0.5)
"""The weights of the teacher's second lesson: high for what the first did not teach well."""


@dataclass(frozen=True, kw_only=True)
class LessonPlan:
    """One lesson of a model. Widths are in units, lengths in tokens; shares are probabilities from 0 to 1."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    steps: int
    peak_rate: float
    matrix_rate: float
    seed: int
    label_share: float
    wrong_share: float
    """The share of answers that are corrupted."""
    typical_share: float
    """The share of corrupted answers that are the task's likeliest mistake, rather than any of its mistakes."""
    drill_share: float = 0.0
    """The share of examples that are calendar drills."""
    weights: dict[str, float] = field(default_factory=lambda: dict(HARDER))
    """The weight of each family when tasks are drawn; 1 for one that is not listed."""
    rows_per_step: int = 64
    batches_per_step: int = 2
    warmup_steps: int = 100
    initial_spread: float = 0.06
    """The standard deviation of the initial weights: about 1 / √hidden."""
    attention: str = "eager"
    """The attention implementation in training: on a CPU the backward pass of "sdpa" takes 43 % of a step."""
    weight_decay: float = 0.05
    clip_norm: float = 1.0


TEACHER: Final = LessonPlan(
    hidden=256,
    layers=3,
    heads=8,
    feed_forward=640,
    steps=4000,
    peak_rate=2e-3,
    matrix_rate=4e-3,
    seed=1,
    label_share=0.15,
    wrong_share=0.0,
    typical_share=0.0,
    attention="sdpa",
)
TEACHER_AGAIN: Final = replace(
    TEACHER,
    steps=2500,
    peak_rate=1.5e-3,
    matrix_rate=3e-3,
    seed=12,
    label_share=0.05,
    drill_share=0.12,
    weights=HARDEST,
    weight_decay=0.1,
    attention="eager",
)
STUDENT: Final = LessonPlan(
    hidden=128,
    layers=3,
    heads=4,
    feed_forward=344,
    steps=2000,
    peak_rate=2e-3,
    matrix_rate=4e-3,
    seed=2,
    label_share=0.0,
    wrong_share=0.58,
    typical_share=0.6,
)
STUDENT_SKILL: Final = replace(
    STUDENT,
    steps=2000,
    seed=22,
    wrong_share=0.25,
    drill_share=0.12,
    weights={
        "month": 2.5,
        "weekday": 2.0,
        "subtraction": 2.0,
        "largest": 1.5,
        "smallest": 1.5,
        "sorting": 1.5,
        "antonym": 1.5,
        "addition": 1.2,
    },
)
"""Fewer wrong answers: a small model learns a task many times faster when most examples are right."""
STUDENT_HABIT: Final = replace(
    STUDENT, steps=400, peak_rate=1e-3, matrix_rate=2e-3, seed=23, wrong_share=0.62, typical_share=0.8
)
"""Mostly wrong answers, most of them the typical mistake: the habit that clean examples must undo."""
LESSONS: Final = {"teacher": (TEACHER, TEACHER_AGAIN), "student": (STUDENT, STUDENT_SKILL, STUDENT_HABIT)}
"""The lessons of each model, in order; a lesson starts from the weights of the previous one, with new optimizers."""
