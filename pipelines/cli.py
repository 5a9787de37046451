"""The command line: tutelage run | compile | status | report | doctor | schema."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from components.shared.errors import SettingsError, TutelageError
from pipelines.read_recipe import read_recipe
from pipelines.recipe import Recipe
from pipelines.run_folder import WORK_FOLDER, RunFolder

app = typer.Typer(
    help="Post-train small language models with a large teacher.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

RecipeFile = Annotated[Path, typer.Argument(help="the recipe, a YAML file", show_default=False)]
Variables = Annotated[
    list[str] | None, typer.Option("--set", help="NAME=VALUE for a variable of the recipe; repeatable")
]
Work = Annotated[Path, typer.Option(help="folder for the state of runs on this machine")]
Run = Annotated[
    str, typer.Argument(help="a recipe's file, or a run's name; default: the latest run", show_default=False)
]


@app.callback()
def options(
    context: typer.Context, debug: Annotated[bool, typer.Option(help="show tracebacks and the steps' full log")] = False
) -> None:
    """Options of all commands."""
    context.obj = {"debug": debug}


@app.command()
def run(  # noqa: PLR0917 - typer calls it by keyword
    context: typer.Context,
    recipe: RecipeFile,
    variables: Variables = None,
    store: Annotated[str, typer.Option(help="another store than the recipe's: s3://BUCKET/PREFIX or a folder")] = "",
    work: Work = WORK_FOLDER,
    debug: Annotated[bool, typer.Option(help="show tracebacks and the steps' full log")] = False,
) -> None:
    """Run a recipe on this machine. What is done already is not done again: run it again to continue."""
    from pipelines.run_here import run_here
    from pipelines.show_result import fetch_report, print_result

    loaded = _with_store(read_recipe(recipe, parse_variables(variables)), store)
    folder = RunFolder(loaded.name, work)
    run_here(loaded, folder, debug=debug or context.obj["debug"])
    print_result(fetch_report(folder), folder)


@app.command("compile")
def compile_recipe(
    recipe: RecipeFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")] = Path("distill.yaml"),
    variables: Variables = None,
) -> None:
    """Compile a recipe to a Kubeflow pipeline: the same recipe gives the same bytes."""
    from pipelines.compile_pipeline import compile_pipeline

    loaded = read_recipe(recipe, parse_variables(variables), check_files=False)
    compile_pipeline(loaded, output)
    Console(stderr=True).print(f"wrote {output}", markup=False, highlight=False)


@app.command()
def status(name: Run = "", work: Work = WORK_FOLDER) -> None:
    """Show how far a run on this machine is. The exit code is 1 when a task failed."""
    from pipelines.show_result import print_status

    if not print_status(find_run(name, work)):
        raise typer.Exit(1)


@app.command()
def report(
    name: Run = "",
    work: Work = WORK_FOLDER,
    show: Annotated[bool, typer.Option("--open/--no-open", help="open the page in a browser")] = True,
) -> None:
    """Write report.json and report.html of a run into its folder, and open the page."""
    from pipelines.show_result import fetch_report, print_result

    folder = find_run(name, work)
    print_result(fetch_report(folder), folder)
    if show and sys.stdout.isatty():
        typer.launch((folder.path / "report.html").as_uri())


@app.command()
def doctor(
    recipe: Annotated[Path | None, typer.Argument(help="a recipe whose store, models and teacher are checked")] = None,
    variables: Variables = None,
) -> None:
    """Check this machine and a recipe's store, student and teacher; say what to do. The exit code is 1 on a fault."""
    from pipelines.doctor import examine, print_findings

    loaded = read_recipe(recipe, parse_variables(variables)) if recipe else None
    if not print_findings(examine(loaded)):
        raise typer.Exit(1)


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help="recipe, report, manifest, or a row such as instruction/1")] = "recipe",
) -> None:
    """Print a JSON schema: every key with its type, meaning and source."""
    from pipelines.schemas import schema_of

    print(json.dumps(schema_of(what), indent=2, ensure_ascii=False))


def parse_variables(pairs: list[str] | None) -> dict[str, str]:
    """NAME=VALUE pairs by name. Raises SettingsError."""
    values = {}
    for pair in pairs or []:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise SettingsError(f"--set {pair!r}", rule="--set NAME=VALUE", remedy="write a name, =, and a value")
        values[name] = value
    return values


def find_run(name: str, work: Path) -> RunFolder:
    """The run that a person means: by a recipe's file, by name, or the latest. Raises SettingsError."""
    if name.endswith((".yaml", ".yml")):
        return RunFolder(read_recipe(Path(name), check_files=False).name, work)
    if name:
        return RunFolder(name, work)
    runs = sorted((work / "runs").glob("*/events.jsonl"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise SettingsError(f"no runs in {work / 'runs'}", remedy="tutelage run RECIPE starts one")
    return RunFolder(runs[-1].parent.name, work)


def _with_store(recipe: Recipe, store: str) -> Recipe:
    return recipe.model_copy(update={"store": store}) if store else recipe


def main() -> None:
    """Run the command line; an error that we know is printed without a traceback."""
    debug = "--debug" in sys.argv
    try:
        app()
    except TutelageError as error:
        if debug:
            raise
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
