"""Answers are read and scored in one place, which imports no step."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def imports(folder: str) -> set[str]:
    """The packages of `components` that a folder's modules import."""
    found = set()
    for path in (ROOT / "components" / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("components."):
                found.add((node.module or "").split(".")[1])
    return found


def test_rewards_import_no_step() -> None:
    assert imports("rewards") == {"rewards", "models", "shared"}


@pytest.mark.parametrize("room", ["choices", "numbers", "mathematics", "programs"])
def test_readers_of_replies_need_no_model(room: str) -> None:
    assert imports(f"rewards/{room}") <= {"rewards", "shared"}


@pytest.mark.parametrize("step", ["select", "evaluate"])
def test_steps_meet_in_rewards(step: str) -> None:
    other = {"select": "evaluate", "evaluate": "select"}[step]
    assert "rewards" in imports(step) and other not in imports(step)
