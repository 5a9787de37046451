"""How solutions of a problem are written: at length, in short numbered steps, or as the bare answer."""

import random
from collections.abc import Callable
from typing import Final

from demo.graded.tasks.problem import GradedProblem

REWRITE_PROMPT: Final = "In short numbered steps:\n{problem}\n{trace}"
"""What asks the teacher for numbered steps: the setting `prompt` of the step bridge."""


def stated(answer: int) -> str:
    """The last line of every reply."""
    return f"Answer: {answer}"


def at_length(problem: GradedProblem) -> str:
    """The solution in long sentences: how the teacher solves a problem."""
    sentences = [
        f"Look at {before}: {before} {move.said} makes {move.result}."
        for before, move in zip(problem.numbers, problem.moves, strict=False)
    ]
    return " ".join([*sentences, stated(problem.answer)])


def _equations(number: int, before: int, said: str, after: int) -> str:
    return f"{number}. {before} {said} is {after}"


def _colons(number: int, before: int, said: str, after: int) -> str:
    return f"{number}. {before}, {said}: {after}"


def _results(number: int, before: int, said: str, after: int) -> str:
    return f"{number}. {said}: {after}"


STEP_FORMS: Final[tuple[Callable[[int, int, str, int], str], ...]] = (_equations, _colons, _results)
"""How one numbered step can be written, from its number, the number before it, what it does, and the number after."""


def in_steps(problem: GradedProblem, form: Callable[[int, int, str, int], str]) -> str:
    """The solution in numbered steps of one form, one a line."""
    lines = [
        form(number, before, move.said, move.result)
        for number, (before, move) in enumerate(zip(problem.numbers, problem.moves, strict=False), start=1)
    ]
    return "\n".join([*lines, stated(problem.answer)])


def rewriting(problem: GradedProblem, rng: random.Random) -> str:
    """The solution in numbered steps of any form."""
    return in_steps(problem, rng.choice(STEP_FORMS))


def hasty(problem: GradedProblem) -> str:
    """The bare number after the first step: right for problems of one step, and for few others."""
    return stated(problem.moves[0].result)


def one_step_short(problem: GradedProblem) -> str:
    """A wrong answer without steps: the number before the last step, or one more where that is right by chance."""
    before = problem.numbers[-2]
    return stated(before if before != problem.answer else before + 1)
