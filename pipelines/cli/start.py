"""Commands that start a recipe: run, submit, compile."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from components.shared.errors import InputError, TutelageError
from pipelines.cli.follow import follow
from pipelines.cli.messages import say
from pipelines.cli.options import (
    Authority,
    CookiesFile,
    Host,
    Namespace,
    PlacementFile,
    RecipeFile,
    Store,
    TokenFile,
    Variables,
    Watch,
    Work,
    check_name,
    parse_variables,
)
from pipelines.kubeflow.submission import Access
from pipelines.local.run_folder import WORK_FOLDER, RunFolder
from pipelines.placement.check_images import require_packages_here
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import pipeline_of, tasks_of

commands = typer.Typer()


@commands.command()
def run(  # noqa: PLR0917 - typer calls it by keyword
    context: typer.Context,
    recipe: RecipeFile,
    variables: Variables = None,
    store: Store = "",
    work: Work = WORK_FOLDER,
    debug: Annotated[bool, typer.Option(help="show tracebacks and the steps' full log")] = False,
) -> None:
    """Run a recipe on this machine. Completed steps are reused: run it again to continue."""
    from pipelines.cli.show_result import fetch_report, print_result
    from pipelines.local.run_here import run_here

    loaded = read_recipe(recipe, parse_variables(variables), store=store)
    folder = RunFolder(loaded.name, work)
    require_packages_here(tasks_of(loaded))
    try:
        run_here(loaded, folder, debug=debug or context.obj["debug"])
    except TutelageError:
        if pipeline_of(loaded).outlives_failures:
            # What did not fail may have been reported on; without a report there is none to show.
            with suppress(InputError):
                print_result(fetch_report(folder), folder)
        raise
    print_result(fetch_report(folder), folder)


@commands.command()
def submit(  # noqa: PLR0917 - typer calls it by keyword
    recipe: RecipeFile,
    placement: PlacementFile = None,
    variables: Variables = None,
    store: Store = "",
    host: Host = "",
    namespace: Namespace = "",
    experiment: Annotated[str, typer.Option(help="experiment of the run; created if it does not exist")] = "tutelage",
    token_file: TokenFile = "",
    cookies_file: CookiesFile = "",
    ca_bundle: Authority = "",
    run_name: Annotated[str, typer.Option(help="the run's name; default: the recipe's", show_default=False)] = "",
    watch: Watch = False,
    work: Work = WORK_FOLDER,
) -> None:
    """Compile a recipe and submit it to Kubeflow Pipelines. Completed steps are reused."""
    from pipelines.kubeflow.namespace import choose_namespace
    from pipelines.kubeflow.submit import submit as send

    loaded = read_recipe(
        recipe,
        parse_variables(variables),
        store=store,
        placement=placement,
        for_cluster=True,
    )
    folder = RunFolder(check_name(run_name) or loaded.name, work)
    chosen = choose_namespace(namespace)
    say(f"namespace: {chosen.with_jobs(loaded.placement.pods.namespace)}")
    access = Access(
        host=host,
        namespace=chosen.name if chosen.named else "",
        token_file=token_file,
        cookies_file=cookies_file,
        ca_bundle=ca_bundle,
    )
    submission = send(loaded, folder, access, experiment, guessed=chosen.guessed)
    if chosen.named and not submission.access.namespace:
        say("Kubeflow is in single-user mode: the run is in Kubeflow's own namespace")
    say(f"submitted {folder.name}: run {submission.run}\n{submission.link}")
    if watch:
        follow(submission, folder)
    else:
        say(f"tutelage status {folder.name} shows its progress, tutelage cancel {folder.name} cancels it")


@commands.command("compile")
def compile_recipe(
    recipe: RecipeFile,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="file to write; default: PIPELINE.yaml", show_default=False),
    ] = None,
    placement: PlacementFile = None,
    variables: Variables = None,
    store: Store = "",
) -> None:
    """Compile a recipe to a Kubeflow pipeline; the output is reproducible, byte for byte."""
    from pipelines.kubeflow.compile_pipeline import compile_pipeline

    loaded = read_recipe(
        recipe,
        parse_variables(variables),
        check_files=False,
        store=store,
        placement=placement,
        for_cluster=None,
    )
    path = output or Path(f"{loaded.pipeline}.yaml")
    compile_pipeline(loaded, path)
    say(f"wrote {path}")
