"""Make the problems of the graded world, which are in no training text of its models.

`python -m demo.graded.make_problems` writes `problems/train.jsonl` and `problems/heldout.jsonl` beside this file; a
seed gives the same bytes.
"""

import json
import random
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final

import typer

from demo.graded.tasks.families import FAMILIES, LEVELS
from demo.graded.tasks.problem import GradedProblem

FOLDER: Final = Path(__file__).parent / "problems"
SEED: Final = 60
TRAIN_EACH, HELDOUT_EACH = 40, 20
"""Problems of each family and number of steps."""


@cache
def graded_problems(seed: int = SEED) -> dict[str, tuple[GradedProblem, ...]]:
    """The problems by file, all with different questions; families and steps take turns."""
    rng, seen = random.Random(seed), set[str]()
    cells = list(product(LEVELS, FAMILIES))
    return {
        name: tuple(_new(rng, family, steps, seen) for _ in range(each) for steps, family in cells)
        for name, each in (("heldout", HELDOUT_EACH), ("train", TRAIN_EACH))
    }


def _new(rng: random.Random, family: str, steps: int, seen: set[str]) -> GradedProblem:
    while (problem := FAMILIES[family](rng, steps)).question in seen:
        pass
    seen.add(problem.question)
    return problem


def file_questions() -> frozenset[str]:
    """The questions of both files, which are excluded from training."""
    return frozenset(problem.question for problems in graded_problems().values() for problem in problems)


def problem_rows(name: str) -> list[dict[str, str]]:
    """The rows of a file: id, subject, question, answer."""
    return [
        {
            "id": f"{name}-{number:03d}",
            "subject": problem.subject,
            "question": problem.question,
            "answer": str(problem.answer),
        }
        for number, problem in enumerate(graded_problems()[name], start=1)
    ]


def main(out: Path = FOLDER) -> None:
    """Write the problems as JSON lines."""
    for name in graded_problems():
        lines = [json.dumps(row) + "\n" for row in problem_rows(name)]
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
