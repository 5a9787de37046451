"""The command that shows what a recipe does with a few rows: preview."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.options import RecipeFile, Store, Variables, Work, parse_variables
from pipelines.local.run_folder import WORK_FOLDER, RunFolder
from pipelines.recipe.read_recipe import read_recipe

commands = typer.Typer()
PAGE = "preview.html"


@commands.command()
def preview(  # noqa: PLR0917 - typer calls it by keyword
    context: typer.Context,
    recipe: RecipeFile,
    rows: Annotated[int, typer.Option(min=1, max=100, help="rows to show")] = 10,
    variables: Variables = None,
    store: Store = "",
    work: Work = WORK_FOLDER,
    show: Annotated[bool, typer.Option("--open/--no-open", help="open the page in a browser")] = True,
    debug: Annotated[bool, typer.Option(help="show tracebacks and the steps' full log")] = False,
) -> None:
    """Show what a recipe does with a few rows, on this machine: responses, scores, and what would be learnt, and why.

    Only these rows are asked of the teacher. Outputs are stored in STORE/preview: a run neither uses nor changes them,
    and the same preview reuses them.
    """
    from pipelines.local.run_here import run_program
    from pipelines.local.run_preview import DOCUMENT
    from pipelines.preview.document import PreviewDocument
    from pipelines.preview.print_preview import print_preview
    from pipelines.preview.write_page import write_page
    from pipelines.registry import preview_of

    loaded = read_recipe(recipe, parse_variables(variables), store=store)
    folder = RunFolder(loaded.name, work, "previews")
    names = preview_of(loaded, rows).names
    debug = debug or context.obj["debug"]
    run_program("pipelines.local.run_preview", loaded, folder, names, [str(rows)], debug=debug)
    document = PreviewDocument.model_validate_json((folder.path / DOCUMENT).read_bytes())
    page = folder.path / PAGE
    page.write_text(write_page(document), encoding="utf-8")
    console = Console()
    print_preview(document, console)
    console.print(f"page: {page}", markup=False, highlight=False, soft_wrap=True)
    if show and sys.stdout.isatty():
        typer.launch(page.as_uri())
