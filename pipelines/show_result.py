"""What a person sees of a run that ended, or of one that goes on elsewhere."""

from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from components.publish.report_schema import Report
from components.shared.errors import DamagedError, InputError
from components.shared.manifest import load_manifest
from components.shared.run_pointer import address_of_run
from components.shared.shards import read_bytes
from pipelines.distill import task_names
from pipelines.run_folder import RunFolder, TaskState
from pipelines.show_progress import MARKS, describe_activity, first_line
from pipelines.submission import Submission

REPORT_FILES = ("report.json", "report.html")


def fetch_report(folder: RunFolder) -> Report:
    """Copy the report of a run of this machine from the store into its folder.

    Raises:
        InputError: the run has not come to its report yet.
        DamagedError: the report is not what its manifest promises.
    """
    recipe = folder.recipe()
    published = folder.states(task_names(recipe))["publish"]
    if not published.address:
        raise InputError(
            f"run {folder.name!r} has no report yet",
            rule="the step publish writes it",
            remedy=f"tutelage status {folder.name} shows how far the run is",
        )
    return _copy_report(recipe.store, published.address, folder)


def fetch_submitted_report(submission: Submission, folder: RunFolder) -> Report:
    """Copy the report of a submitted run from the store, which must be in reach from here, into its folder.

    Raises:
        InputError: the run has not come to its report yet.
        StoreError: the store cannot be reached from this machine.
        DamagedError: the report is not what its manifest promises.
    """
    return _copy_report(submission.store, address_of_run(submission.store, submission.run), folder)


def _copy_report(store: str, address: str, folder: RunFolder) -> Report:
    manifest = load_manifest(store, address)
    folder.path.mkdir(parents=True, exist_ok=True)
    for name in REPORT_FILES:
        (folder.path / name).write_bytes(read_bytes(store, manifest, name))
    try:
        return Report.model_validate_json((folder.path / "report.json").read_bytes())
    except ValidationError as error:
        raise DamagedError(f"report.json is not a report: {error.errors()[0]['msg']}", remedy="run it again") from error


def print_result(report: Report, folder: RunFolder) -> None:
    """The comparison table, the verdict, and where the page is."""
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
        table.add_row(variant["name"] + (" ★" if winner else ""), *cells, style="bold green" if winner else "")
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
    """A line for each task of a run of this machine; False when one failed."""
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
