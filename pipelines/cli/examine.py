"""Commands that inspect and print, and run nothing: doctor, images, schema."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from components.shared.errors import SettingsError
from pipelines.cli.options import Namespace, PlacementFile, Store, Variables, parse_variables
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import tasks_of

commands = typer.Typer()


@commands.command()
def doctor(  # noqa: PLR0917 - typer calls it by keyword
    recipe: Annotated[Path | None, typer.Argument(help="a recipe, to check its store, models and teachers too")] = None,
    variables: Variables = None,
    store: Store = "",
    cluster: Annotated[
        bool, typer.Option("--cluster", help="check a cluster and Kubeflow instead of this machine")
    ] = False,
    placement: PlacementFile = None,
    namespace: Namespace = "",
) -> None:
    """Check this machine and a recipe's store and models, and suggest remedies. The exit code is 1 if a check fails.

    --cluster checks what the recipe and its placement need from the cluster of KUBECONFIG, and from Kubeflow Pipelines
    if TUTELAGE_KFP_HOST is set.
    """
    from pipelines.doctor.machine import examine, print_findings

    loaded = None
    if recipe:
        loaded = read_recipe(
            recipe,
            parse_variables(variables),
            store=store,
            placement=placement,
            for_cluster=cluster,
        )
    if cluster:
        from pipelines.doctor.cluster import examine_cluster
        from pipelines.kubeflow.namespace import choose_namespace

        findings = examine_cluster(loaded, choose_namespace(namespace))
    else:
        findings = examine(loaded)
    if not print_findings(findings):
        raise typer.Exit(1)


@commands.command()
def images(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="rendered manifests; -: standard input, the default without a recipe", show_default=False),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="a recipe, to list the images of its steps and jobs too", show_default=False)
    ] = None,
    placement: PlacementFile = None,
    variables: Variables = None,
) -> None:
    """List the images a site must mirror, one per line: helm template … | tutelage images."""
    from pipelines.placement.list_images import STDIN, list_images

    named: tuple[Any, ...] = ()
    if recipe:
        loaded = read_recipe(recipe, parse_variables(variables), check_files=False, placement=placement)
        named = (loaded.placement, tasks_of(loaded))
    elif placement or variables:
        raise SettingsError("--placement and --set need a recipe", remedy="add --recipe FILE")
    for image in list_images(files or ([] if recipe else [STDIN]), *named):
        print(image)


@commands.command()
def schema(
    what: Annotated[str, typer.Argument(help="recipe, report, manifest, or a row such as instruction/1")] = "recipe",
) -> None:
    """Print a JSON schema: every key with its type, meaning and source."""
    from pipelines.recipe.schemas import schema_of

    print(json.dumps(schema_of(what), indent=2, ensure_ascii=False))
