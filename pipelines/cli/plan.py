"""The command that shows how a recipe's trainings would run on a placement's devices: plan."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.options import PlacementFile, RecipeFile, Store, Variables, parse_variables
from pipelines.recipe.read_recipe import read_recipe

commands = typer.Typer()


@commands.command()
def plan(  # noqa: PLR0917 - typer calls it by keyword
    recipe: RecipeFile,
    placement: PlacementFile = None,
    variables: Variables = None,
    store: Store = "",
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="rows of an epoch; default: those of the store, else 10,000", show_default=False),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="tokens of a prompt with one response; default: by the store's rows, else 512",
            show_default=False,
        ),
    ] = None,
    accelerator: Annotated[
        str, typer.Option(help="what the devices are, where the placement does not say it: H100, A10, …")
    ] = "",
    config: Annotated[
        Path | None,
        typer.Option(help="config.json of the student, where it cannot be read from here", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the plan as JSON")] = False,
) -> None:
    """Show how each training would run on the placement's devices: shares, memory, minutes and cost. Starts nothing.

    Every training is planned with even shares and with shares by speed, whichever its settings have, and in pipeline
    stages where the recipe has them, a device cannot hold the model, or transfers take most of a step.
    """
    from pipelines.plan.check_groups import find_small_groups
    from pipelines.plan.plan_recipe import PlanInputs, plan_recipe
    from pipelines.plan.print_plan import print_plan

    inputs = PlanInputs(rows=rows, tokens=tokens, accelerator=accelerator, config=config)
    loaded = read_recipe(
        recipe,
        parse_variables(variables),
        check_files=False,
        store=store,
        placement=placement,
        find_more=lambda read: find_small_groups(read, inputs, stages_help=True),
    )
    document = plan_recipe(loaded, inputs)
    if as_json:
        print(document.model_dump_json(indent=1))
    else:
        print_plan(document, Console())
