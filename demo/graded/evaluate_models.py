"""Ask a model the held-out problems of the graded world, once and greedily, and count right answers by steps.

`python -m demo.graded.evaluate_models MODEL_FOLDER` prints the share of right answers by family and number of steps.
"""

# ruff: noqa: TID253  # a program of its own: nothing imports it to compile a pipeline
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer
from transformers import AutoTokenizer

from components.models.stored.load_weights import load_causal_model
from demo.evaluate_models import greedy_answers
from demo.graded.make_problems import graded_problems
from demo.graded.tasks.problem import GradedProblem
from demo.graded.tasks.solutions import stated

REPLY_TOKENS = 256
"""Bytes of the longest reply; a solution of five steps at length has about 220."""


def is_right(reply: str, problem: GradedProblem) -> bool:
    """Whether a reply ends with the right answer."""
    return reply.strip().endswith(stated(problem.answer))


def problem_scores(model: Any, tokenizer: Any, problems: tuple[GradedProblem, ...]) -> dict[str, float]:
    """The share of right greedy answers, 0 to 1, by subject, of all problems as `all`, rounded to three digits."""
    replies = greedy_answers(model, tokenizer, [problem.question for problem in problems], REPLY_TOKENS)
    right = defaultdict[str, list[bool]](list)
    for problem, reply in zip(problems, replies, strict=True):
        for group in ("all", problem.subject):
            right[group].append(is_right(reply, problem))
    return {group: round(sum(verdicts) / len(verdicts), 3) for group, verdicts in right.items()}


def main(folder: Annotated[Path, typer.Argument(help="a model's folder, as `save_pretrained` writes it")]) -> None:
    """Print the share of right answers of the model on the held-out problems."""
    model, tokenizer = load_causal_model(folder, str(folder)), AutoTokenizer.from_pretrained(folder)
    for group, score in problem_scores(model, tokenizer, graded_problems()["heldout"]).items():
        typer.echo(f"{group:10s} {score:6.1%}")


if __name__ == "__main__":
    typer.run(main)
