"""What the teacher of the graded world is asked about attempts: where they go wrong, and how they go on.

A diagnosis solves the problem again and names the first wrong step; a bare answer is an attempt of one step.
"""

import random
from dataclasses import dataclass, replace
from typing import Final

from demo.graded.tasks.problem import GradedProblem
from demo.graded.tasks.solutions import STEP_FORMS, at_length, in_steps, one_step_short, stated

DIAGNOSIS_PROMPT: Final = "First wrong step:\n{problem}\n{attempt}"
REPAIR_PROMPT: Final = "Go on from step {step}:\n{problem}\n{beginning}"
NO_BEGINNING: Final = "(Nothing: begin with the first step.)"
"""What is in the place of the beginning where the first step is wrong."""


@dataclass(frozen=True)
class DrawnAttempt:
    """A solution in numbered steps, and its first wrong step from 1; None where it is right."""

    text: str
    wrong_step: int | None


def drawn_attempt(problem: GradedProblem, rng: random.Random) -> DrawnAttempt:
    """A bare answer or a solution in steps, either of them wrong in half of the draws; or a right one at length."""
    draw = rng.random()
    if draw < 0.3:
        return DrawnAttempt(f"1. {one_step_short(problem)}", 1)
    if draw < 0.6:
        return with_wrong_step(problem, rng)
    if draw < 0.75:
        return DrawnAttempt(in_steps(problem, rng.choice(STEP_FORMS)), None)
    return DrawnAttempt(f"1. {at_length(problem) if draw < 0.9 else stated(problem.answer)}", None)


def with_wrong_step(problem: GradedProblem, rng: random.Random) -> DrawnAttempt:
    """The solution in steps with a wrong result from one step on, by 1 or 2 too high."""
    wrong, excess = rng.randrange(problem.steps), rng.randint(1, 2)
    moves = [
        replace(move, result=move.result + excess) if number >= wrong else move
        for number, move in enumerate(problem.moves)
    ]
    return DrawnAttempt(in_steps(replace(problem, moves=tuple(moves)), rng.choice(STEP_FORMS)), wrong + 1)


def diagnosis(problem: GradedProblem, attempt: DrawnAttempt) -> str:
    """The right solution at length, and the verdict in a line of its own."""
    sentences = at_length(problem).removesuffix(stated(problem.answer)).strip()
    return f"{sentences}\nFirst wrong step: {attempt.wrong_step or 'none'}"


def repair(problem: GradedProblem, rng: random.Random) -> tuple[str, str]:
    """A request to go on from any step, and the steps from there on."""
    lines = in_steps(problem, rng.choice(STEP_FORMS)).splitlines()
    step = rng.choice([1, rng.randint(1, problem.steps)])
    beginning = "\n".join(lines[: step - 1]) or NO_BEGINNING
    asked = REPAIR_PROMPT.format(step=step, problem=problem.question, beginning=beginning)
    return asked, "\n".join(lines[step - 1 :])
