"""A step's name is in its own folder, in the registry and in what pipelines are made of, and nowhere else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from components.registry import STEPS
from pipelines.registry import PIPELINES

ROOT = Path(__file__).parents[3]
REGISTRY = ROOT / "components" / "registry.py"
OTHER_MEANINGS = {
    ("components/collect", "train"): "a split of a data set",
    ("components/launch", "clean_up"): "the module that deletes jobs",
    ("components/rewards", "select"): "a word of the answers",
    ("components/shared", "train"): "an image",
    **{("components/publish", step): "the report shows what the step made" for step in STEPS},
    ("pipelines/cli", "publish"): "the report's schema",
    ("pipelines/plan", "train"): "what the command plans",
    ("pipelines/cli", "analyse"): "the schema of a study",
}
"""Words that are a step's name and mean something else in a folder."""
OF_PIPELINES = [ROOT / "pipelines" / name for name in (*PIPELINES, "data", "promotion")]
"""Their folders, and those of what they share."""


def sources() -> list[Path]:
    return [
        path
        for folder in ("components", "pipelines")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != REGISTRY and not any(path.is_relative_to(own) for own in OF_PIPELINES)
    ]


def folder_of(path: Path) -> str:
    return "/".join(path.relative_to(ROOT).parts[:2])


def step_of(path: Path) -> str:
    """The step whose folder a file is in; empty for other files."""
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "components" and parts[1] in STEPS else ""


def named_steps(text: str) -> Iterator[str]:
    """The steps that a string names: it is the name, a task's name, or a location that begins with it."""
    for step in STEPS.values():
        if re.fullmatch(rf"({step.name}|{step.task_name})([-.].*)?", text):
            yield step.name


def imported_steps(node: ast.AST) -> Iterator[str]:
    """The steps whose modules a statement imports."""
    if isinstance(node, ast.ImportFrom) and node.module:
        parts = node.module.split(".")
        if parts[0] == "components" and len(parts) > 1 and parts[1] in STEPS:
            yield parts[1]


def uses(path: Path) -> Iterator[tuple[str, int]]:
    """Each step that a file names or imports, with the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for step in named_steps(node.value):
                yield step, node.lineno
        for step in imported_steps(node):
            yield step, getattr(node, "lineno", 0)


def test_no_file_names_a_step_but_those_of_the_step_and_of_pipelines() -> None:
    foreign = [
        f"{path.relative_to(ROOT)}:{line}: {step}"
        for path in sources()
        for step, line in uses(path)
        if step != step_of(path) and (folder_of(path), step) not in OTHER_MEANINGS
    ]
    assert not foreign, "take it from components/registry.py or from the tasks: " + ", ".join(foreign)
