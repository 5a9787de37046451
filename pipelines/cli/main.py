"""The command line: tutelage preview, plan, run, submit, compile, status, cancel, report, doctor, images, schema."""

import sys
from typing import Annotated

import typer

from components.shared.errors import TutelageError
from pipelines.cli import examine, follow, plan, preview, start
from pipelines.cli.messages import say

app = typer.Typer(
    help="Post-train small language models with a large teacher.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for group in (preview, plan, start, follow, examine):
    app.add_typer(group.commands)


@app.callback()
def options(
    context: typer.Context, debug: Annotated[bool, typer.Option(help="show tracebacks and the steps' full log")] = False
) -> None:
    """Options of all commands."""
    context.obj = {"debug": debug}


def main() -> None:
    """Run the command line; errors of Tutelage are printed without a traceback."""
    debug = "--debug" in sys.argv
    try:
        app()
    except TutelageError as error:
        if debug:
            raise
        say(f"error: {error}", style="red")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
