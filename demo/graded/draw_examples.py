"""Draw training examples of the graded world with a seeded generator that skips the problems of its files."""

import random
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, Final

from demo.draw_examples import Batch, TokenExample, batched
from demo.evaluate_models import prompt_of
from demo.graded.lessons import GradedLesson, ReplyShares
from demo.graded.make_problems import file_questions
from demo.graded.tasks.critiques import DIAGNOSIS_PROMPT, diagnosis, drawn_attempt, repair
from demo.graded.tasks.families import FAMILIES
from demo.graded.tasks.problem import GradedProblem
from demo.graded.tasks.solutions import REWRITE_PROMPT, at_length, hasty, rewriting, stated


def drawn_problem(rng: random.Random, lesson: GradedLesson, banned: frozenset[str]) -> GradedProblem:
    """A problem that is not banned, its family and steps by the lesson's weights."""
    while True:
        steps = rng.choices(list(lesson.weights), weights=list(lesson.weights.values()))[0]
        problem = FAMILIES[_drawn_family(rng, lesson)](rng, steps)
        if problem.question not in banned:
            return problem


def _drawn_family(rng: random.Random, lesson: GradedLesson) -> str:
    if not lesson.families:
        return rng.choice(list(FAMILIES))
    return rng.choices(list(lesson.families), weights=list(lesson.families.values()))[0]


def drawn_example(rng: random.Random, lesson: GradedLesson, banned: frozenset[str]) -> TokenExample:
    """One training example: a request about a problem, and its reply, by the lesson's shares."""
    problem = drawn_problem(rng, lesson, banned)
    asked, reply = WAYS[_drawn_way(rng, lesson.shares[problem.steps])](problem, rng)
    return prompt_of(asked), reply


def _drawn_way(rng: random.Random, shares: ReplyShares) -> str:
    draw = rng.random()
    for way in fields(shares):
        if (draw := draw - getattr(shares, way.name)) < 0:
            return way.name
    return BARE


def rewrite_request(problem: GradedProblem) -> str:
    """What asks for a rewriting of the long solution."""
    return REWRITE_PROMPT.format(problem=problem.question, trace=at_length(problem))


def _rewriting(problem: GradedProblem, rng: random.Random) -> TokenExample:
    return rewrite_request(problem), rewriting(problem, rng)


def _diagnosis(problem: GradedProblem, rng: random.Random) -> TokenExample:
    attempt = drawn_attempt(problem, rng)
    asked = DIAGNOSIS_PROMPT.format(problem=problem.question, attempt=attempt.text)
    return asked, diagnosis(problem, attempt)


BARE: Final = "bare"
WAYS: Final[dict[str, Callable[[GradedProblem, random.Random], TokenExample]]] = {
    "at_length": lambda problem, _: (problem.question, at_length(problem)),
    "in_steps": lambda problem, rng: (problem.question, rewriting(problem, rng)),
    "hasty": lambda problem, _: (problem.question, hasty(problem)),
    "rewriting": _rewriting,
    "diagnosis": _diagnosis,
    "repair": repair,
    BARE: lambda problem, _: (problem.question, stated(problem.answer)),
}
"""A request and its reply, by the names of `ReplyShares`; `BARE`, the right answer alone, is the rest."""


def drawn_batches(lesson: GradedLesson, tokenizer: Any) -> Iterator[list[Batch]]:
    """An endless stream of steps: random examples, in batches of similar length to limit padding."""
    plan, banned = lesson.plan, file_questions()
    rng = random.Random(plan.seed)
    while True:
        examples = [drawn_example(rng, lesson, banned) for _ in range(plan.rows_per_step)]
        yield batched(examples, tokenizer, plan.rows_per_step // plan.batches_per_step)
