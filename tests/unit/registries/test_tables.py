"""The tables in the docs are those of the registries; TUTELAGE_UPDATE_TABLES=1 writes them."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from components.registry import STEPS
from components.shared.step import Step
from components.train.methods.registry import METHODS
from pipelines.registry import DEFAULT, PIPELINES

ROOT = Path(__file__).parents[3]
UPDATE_VARIABLE = "TUTELAGE_UPDATE_TABLES"


def table(head: str, rows: Iterable[str]) -> str:
    return "\n".join([f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {row} |" for row in rows)])


def table_of_steps() -> str:
    return table("folder | what the step does | reads | makes | image | job", map(row_of_step, STEPS.values()))


def row_of_step(step: Step) -> str:
    reads = ", ".join(f"`{content}`" for content in dict.fromkeys(step.inputs.values()))
    makes = ", ".join(f"`{product.content}`" for product in step.products)
    return f"`{step.name}/` | {step.does} | {reads} | {makes} | {step.image.value} | {step.program}"


def table_of_pipelines() -> str:
    rows = (
        f"`{pipeline.name}`{' (default)' if pipeline.name == DEFAULT else ''} | {pipeline.does}"
        for pipeline in PIPELINES.values()
    )
    return table("`pipeline` | what it does", rows)


def table_of_methods() -> str:
    rows = (
        f"`{method.name}` | {method.does} | `{method.row_type.content}` in `{method.part}/` "
        f"| {'yes' if method.has_reference else 'no'} | {method.source}"
        for method in METHODS.values()
    )
    return table("`method` | what it does | reads | reference | source", rows)


TABLES = {
    "components/README.md": ("steps", table_of_steps),
    "components/train/README.md": ("methods", table_of_methods),
    "pipelines/README.md": ("pipelines", table_of_pipelines),
}


@pytest.mark.parametrize("file", TABLES)
def test_a_table_of_the_docs_is_the_registrys(file: str) -> None:
    name, made = TABLES[file]
    path = ROOT / file
    text = path.read_text()
    block = re.compile(rf"(<!-- table of {name} -->\n).*?(\n<!-- end of table -->)", re.DOTALL)
    assert block.search(text), f"{file} lacks the markers of the table of {name}"
    wanted = block.sub(lambda found: found[1] + made() + found[2], text)
    if os.environ.get(UPDATE_VARIABLE):
        path.write_text(wanted)
    assert path.read_text() == wanted, f"set {UPDATE_VARIABLE}=1 to write the table"
