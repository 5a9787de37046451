"""The T0 tasks whose answers can be checked: those with a short answer, which a reply either gives or does not."""

import json
from pathlib import Path

MAX_WORDS = 4
"""A longer answer (a summary, a headline) has many right forms, so that equality with one of them says little."""


def choose_tasks(source: Path, target: Path) -> tuple[int, int]:
    """Copy the rows (prompt, response) with a short answer.

    Returns:
        How many rows there were, and how many were copied.
    """
    with source.open(encoding="utf-8") as file:
        lines = list(file)
    chosen = [line for line in lines if 1 <= len(json.loads(line)["response"].split()) <= MAX_WORDS]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(chosen), encoding="utf-8")
    return len(lines), len(chosen)
