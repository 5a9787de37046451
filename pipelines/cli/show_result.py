"""Prints the report and the state of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table

from components.analyse.study_schema import STUDY_CONTENT, ArmFacts, DifferenceFacts, MeanFacts, Study
from components.publish.report_schema import Report
from components.shared.errors import DamagedError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.run_pointer import address_of_run
from components.shared.step import REPORT_CONTENT
from pipelines.kubeflow.submission import Submission
from pipelines.local.run_folder import RunFolder, TaskState
from pipelines.local.show_progress import MARKS, describe_activity, first_line
from pipelines.registry import task_names, tasks_of

PAGE = "report.html"


@dataclass(frozen=True)
class KindOfReport:
    """How a run reports.

    Attributes:
        file: the document, beside the page.
        document: its class.
        show: prints it.
    """

    file: str
    document: type[BaseModel]
    show: Callable[[Any, Console], None]


def fetch_report(folder: RunFolder) -> BaseModel:
    """Copy the report of a run on this machine from the store to its folder.

    Raises:
        InputError: the run has no report, or not yet.
        DamagedError: the report does not match its manifest.
    """
    recipe = folder.recipe()
    reporting = [task.name for task in tasks_of(recipe) if any(made.content in REPORTS for made in task.step.products)]
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
    return copy_report(Library(recipe.store), state.address, folder)


def fetch_submitted_report(submission: Submission, folder: RunFolder) -> BaseModel:
    """Copy the report of a submitted run from the store, which must be reachable from here, to its folder.

    Raises:
        InputError: the run has no report yet.
        StoreError: the store cannot be reached from this machine.
        DamagedError: the report does not match its manifest.
    """
    library = Library(submission.store)
    return copy_report(library, address_of_run(library, submission.run), folder)


def copy_report(library: Library, address: str, folder: RunFolder) -> BaseModel:
    """Copy document and page to the run's folder; returns the document. Raises DamagedError."""
    manifest = library.load(address)
    kind = REPORTS[manifest.content]
    folder.path.mkdir(parents=True, exist_ok=True)
    for name in (kind.file, PAGE):
        (folder.path / name).write_bytes(library.read_bytes(manifest, name))
    try:
        return kind.document.model_validate_json((folder.path / kind.file).read_bytes())
    except ValidationError as error:
        raise DamagedError(f"{kind.file} is damaged: {error.errors()[0]['msg']}", remedy="run it again") from error


def print_result(report: BaseModel, folder: RunFolder) -> None:
    """The table, the verdict, and the path of the page."""
    console = Console()
    next(kind for kind in REPORTS.values() if isinstance(report, kind.document)).show(report, console)
    console.print(f"report: {folder.path / PAGE}", markup=False, highlight=False, soft_wrap=True)


def _show_comparison(report: Report, console: Console) -> None:
    console.print(comparison_table(report.model_dump(mode="json")))
    console.print(report.gate.sentence, markup=False, highlight=False)


def _show_study(study: Study, console: Console) -> None:
    console.print(study_table(study))
    for line in (*study.sentences, *study.warnings):
        console.print(line, markup=False, highlight=False)


def study_table(study: Study) -> Table:
    """Arms in percent, mean ± standard deviation over seeds; differences in points, `*` where they exceed the noise."""
    best = study.best_single_stage or "best single stage"
    columns = ("arm", "rate", study.benchmark, "against base", f"against {best}")
    table = Table(*columns, title=study.title or study.run_name)
    table.add_row("base", "", _mean_cell(study.base), "", "")
    for arm in study.arms:
        table.add_row(*_arm_cells(arm), style="red" if arm.status == "failed" else "")
    return table


def _arm_cells(arm: ArmFacts) -> list[str]:
    if arm.score is None:
        return [arm.name, arm.rate or "–", "failed", "", ""]
    name = arm.name if arm.status == "complete" else f"{arm.name} ({arm.status})"
    return [name, arm.rate or "–", _mean_cell(arm.score), *map(_difference_cell, (arm.against_base, arm.against_best))]


def _mean_cell(facts: MeanFacts) -> str:
    spread = "" if facts.deviation is None else f" ± {100 * facts.deviation:.1f}"
    return f"{100 * facts.mean:.1f}{spread}"


def _difference_cell(facts: DifferenceFacts | None) -> str:
    if facts is None:
        return ""
    low, high = facts.interval
    mark = "" if facts.verdict == "unclear" else "*"
    return f"{100 * facts.mean:+.1f}{mark} ({100 * low:+.1f} to {100 * high:+.1f})"


REPORTS = {
    REPORT_CONTENT: KindOfReport("report.json", Report, _show_comparison),
    STUDY_CONTENT: KindOfReport("study.json", Study, _show_study),
}
"""The kinds of reports, by the content of the output that holds one."""


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
