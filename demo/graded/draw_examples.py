"""Draw training examples of the graded world with a seeded generator that skips the problems of its files."""

import random
from collections.abc import Iterator
from typing import Any

from demo.draw_examples import Batch, TokenExample, batched
from demo.evaluate_models import prompt_of
from demo.graded.lessons import GradedLesson
from demo.graded.make_problems import file_questions
from demo.graded.tasks.families import FAMILIES
from demo.graded.tasks.problem import GradedProblem
from demo.graded.tasks.solutions import REWRITE_PROMPT, at_length, hasty, rewriting, stated


def drawn_problem(rng: random.Random, lesson: GradedLesson, banned: frozenset[str]) -> GradedProblem:
    """A problem of any family that is not banned, its steps by the lesson's weights."""
    while True:
        steps = rng.choices(list(lesson.weights), weights=list(lesson.weights.values()))[0]
        problem = FAMILIES[rng.choice(list(FAMILIES))](rng, steps)
        if problem.question not in banned:
            return problem


def drawn_example(rng: random.Random, lesson: GradedLesson, banned: frozenset[str]) -> TokenExample:
    """One training example: a problem, or the request to rewrite its solution, and a reply by the lesson's shares."""
    problem = drawn_problem(rng, lesson, banned)
    shares = lesson.shares[problem.steps]
    draw, asked = rng.random(), prompt_of(problem.question)
    if (draw := draw - shares.at_length) < 0:
        return asked, at_length(problem)
    if (draw := draw - shares.in_steps) < 0:
        return asked, rewriting(problem, rng)
    if (draw := draw - shares.hasty) < 0:
        return asked, hasty(problem)
    if draw - shares.rewriting < 0:
        return prompt_of(rewrite_request(problem)), rewriting(problem, rng)
    return asked, stated(problem.answer)


def rewrite_request(problem: GradedProblem) -> str:
    """What asks for a rewriting of the long solution."""
    return REWRITE_PROMPT.format(problem=problem.question, trace=at_length(problem))


def drawn_batches(lesson: GradedLesson, tokenizer: Any) -> Iterator[list[Batch]]:
    """An endless stream of steps: random examples, in batches of similar length to limit padding."""
    plan, banned = lesson.plan, file_questions()
    rng = random.Random(plan.seed)
    while True:
        examples = [drawn_example(rng, lesson, banned) for _ in range(plan.rows_per_step)]
        yield batched(examples, tokenizer, plan.rows_per_step // plan.batches_per_step)
