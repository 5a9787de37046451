"""Prints the report and the state of a run."""

from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from components.publish.report_schema import Report
from components.shared.errors import DamagedError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.run_pointer import address_of_run
from components.shared.step import REPORT_CONTENT
from pipelines.kubeflow.submission import Submission
from pipelines.local.run_folder import RunFolder, TaskState
from pipelines.local.show_progress import MARKS, describe_activity, first_line
from pipelines.registry import task_names, tasks_of

REPORT_FILES = ("report.json", "report.html")


def fetch_report(folder: RunFolder) -> Report:
    """Copy the report of a run on this machine from the store to its folder.

    Raises:
        InputError: the run has no report, or not yet.
        DamagedError: the report does not match its manifest.
    """
    recipe = folder.recipe()
    reporting = [
        task.name for task in tasks_of(recipe) if REPORT_CONTENT in {made.content for made in task.step.products}
    ]
    if not reporting:
        raise InputError(
            f"run {folder.name!r} writes no report",
            rule=f"none of the tasks of the pipeline {recipe.pipeline} writes one",
            remedy=f"tutelage status {folder.name} shows the addresses of its outputs",
        )
    state = folder.states(task_names(recipe))[reporting[-1]]
    if not state.address:
        raise InputError(
            f"run {folder.name!r} has no report yet",
            rule=f"the task {state.name} writes it",
            remedy=f"tutelage status {folder.name} shows the progress of the run",
        )
    return _copy_report(Library(recipe.store), state.address, folder)


def fetch_submitted_report(submission: Submission, folder: RunFolder) -> Report:
    """Copy the report of a submitted run from the store, which must be reachable from here, to its folder.

    Raises:
        InputError: the run has no report yet.
        StoreError: the store cannot be reached from this machine.
        DamagedError: the report does not match its manifest.
    """
    library = Library(submission.store)
    return _copy_report(library, address_of_run(library, submission.run), folder)


def _copy_report(library: Library, address: str, folder: RunFolder) -> Report:
    manifest = library.load(address)
    folder.path.mkdir(parents=True, exist_ok=True)
    for name in REPORT_FILES:
        (folder.path / name).write_bytes(library.read_bytes(manifest, name))
    try:
        return Report.model_validate_json((folder.path / "report.json").read_bytes())
    except ValidationError as error:
        raise DamagedError(f"report.json is damaged: {error.errors()[0]['msg']}", remedy="run it again") from error


def print_result(report: Report, folder: RunFolder) -> None:
    """The comparison table, the verdict, and the path of the page."""
    console = Console()
    console.print(comparison_table(report.model_dump(mode="json")))
    console.print(report.gate.sentence, markup=False, highlight=False)
    console.print(f"report: {folder.path / 'report.html'}", markup=False, highlight=False, soft_wrap=True)


def comparison_table(report: dict[str, Any]) -> Table:
    """Variants against benchmarks, in percent with standard errors; the difference to the base, `*` where p < 0.05."""
    benchmarks = list(dict.fromkeys(score["benchmark"] for item in report["variants"] for score in item["scores"]))
    table = Table("variant", *benchmarks, title=report["run"]["title"] or report["run"]["name"])
    for variant in report["variants"]:
        winner = variant["name"] == report["gate"]["winner"]
        cells = [_cell(variant, benchmark) for benchmark in benchmarks]
        mark = " ★" if winner else " (endpoint)" if variant["kind"] == "endpoint" else ""
        table.add_row(variant["name"] + mark, *cells, style="bold green" if winner else "")
    return table


def _cell(variant: dict[str, Any], benchmark: str) -> str:
    score = next((item for item in variant["scores"] if item["benchmark"] == benchmark), None)
    if score is None:
        return "–"
    text = f"{100 * score['value']:.1f} ± {100 * score['standard_error']:.1f}"
    paired = next((item for item in variant["against_base"] if item["benchmark"] == benchmark), None)
    if paired is None:
        return text
    return f"{text} ({100 * paired['difference']:+.1f}{'*' if paired['p_value'] < 0.05 else ''})"


def print_status(folder: RunFolder) -> bool:
    """A line for each task of a run on this machine; False when one failed."""
    recipe = folder.recipe()
    return print_states(f"{recipe.name} in {recipe.store}", folder.states(task_names(recipe)))


def print_states(title: str, states: dict[str, TaskState]) -> bool:
    """A line for each task; False when one failed."""
    table = Table("", "task", "state", "seconds", "address", title=title)
    for task in states.values():
        seconds = f"{task.ended - task.began:.1f}" if task.state == "done" else ""
        what = first_line(task.message) or describe_activity(task.activity) or task.address
        table.add_row(MARKS[task.state], task.name, task.state, seconds, what)
    console = Console()
    console.print(table)
    failed = [task for task in states.values() if task.state == "failed"]
    for task in failed:
        console.print(f"{task.name}: {task.message or 'failed'}", markup=False, highlight=False, soft_wrap=True)
    return not failed
