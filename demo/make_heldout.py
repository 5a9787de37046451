"""Make the 500 held-out questions, which are in neither the models' training texts nor the clean instructions.

`python -m demo.make_heldout` writes `heldout.jsonl` beside this file; the same seed gives the same bytes.
"""

import json
import random
import re
from pathlib import Path
from typing import Final

import typer

from demo.tasks.families import FAMILIES
from demo.tasks.task import DemoTask

HERE: Final = Path(__file__).parent
HELDOUT_FILE: Final = HERE / "heldout.jsonl"
HELDOUT_SEED: Final = 500
HELDOUT_ROWS: Final = 500


def text_key(text: str) -> str:
    """The text's words in lower case, without punctuation: equal keys mean the same question."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def bag_key(text: str) -> str:
    """The text's words in alphabetical order: equal for texts with the same word counts."""
    return " ".join(sorted(text_key(text).split()))


def heldout_tasks(seed: int = HELDOUT_SEED, rows: int = HELDOUT_ROWS) -> list[DemoTask]:
    """`rows` tasks with distinct words, taken from the families in turn."""
    rng, seen, tasks = random.Random(seed), set[str](), list[DemoTask]()
    families = list(FAMILIES.values())
    while len(tasks) < rows:
        task = families[len(tasks) % len(families)](rng)
        if bag_key(task.question) not in seen:
            seen.add(bag_key(task.question))
            tasks.append(task)
    return tasks


def heldout_rows() -> list[dict[str, str]]:
    """The rows of `heldout.jsonl`: id, subject, question, answer."""
    return [
        {"id": f"heldout-{number:03d}", "subject": task.family, "question": task.question, "answer": task.answer}
        for number, task in enumerate(heldout_tasks(), start=1)
    ]


def main(out: Path = HELDOUT_FILE) -> None:
    """Write the held-out questions as JSON lines."""
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in heldout_rows()), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
