"""A made-up pipeline of made-up steps."""

from collections.abc import Iterator
from typing import Any, Literal

from kfp import dsl
from pydantic import Field

from pipelines.pipeline import Pipeline, Recipe
from pipelines.placement.place_tasks import Placer
from pipelines.placement.placement import Placement
from pipelines.placement.task import Fault, Task, plain
from tests.unit.registries.made_up.shout.component import shout
from tests.unit.registries.made_up.shout.settings import ShoutSettings
from tests.unit.registries.made_up.shout.step import STEP


class LoudRecipe(Recipe):
    """What is shouted, by name."""

    pipeline: Literal["loud"] = Field("loud", description="the pipeline that runs")
    shouts: dict[str, ShoutSettings] = Field(min_length=1, description="shouts by name")


def loud(recipe: LoudRecipe, placement: Placement | None = None) -> Any:
    """All shouts, beside each other."""
    placed = Placer(tasks(recipe), placement)

    @dsl.pipeline(name="loud")
    def pipeline(root: str = recipe.store) -> None:
        with placed.cleaned_up():
            for task in tasks(recipe):
                assert task.settings is not None
                placed(shout(root=root, settings=plain(task.settings), task=task.name), task.name)

    return pipeline


def tasks(recipe: LoudRecipe) -> list[Task]:
    """A task for each shout."""
    return [Task(f"shout-{name}", STEP, each, ("shouts", name)) for name, each in recipe.shouts.items()]


def find_faults(recipe: LoudRecipe) -> Iterator[Fault]:
    """Shouts of nothing."""
    for name, each in recipe.shouts.items():
        if not each.text.strip():
            yield Fault(("shouts", name, "text"), "nothing to shout")


PIPELINE = Pipeline(
    name="loud",
    does="shout",
    recipe=LoudRecipe,
    build=loud,
    tasks=tasks,
    find_faults=find_faults,
)
