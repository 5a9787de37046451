"""Commands that follow a run, on this machine or on Kubeflow: status, cancel, report."""

import sys
from typing import Annotated

import typer

from pipelines.cli.messages import say
from pipelines.cli.options import Namespace, Run, RunId, Watch, Work
from pipelines.kubeflow.find_run import find_folder, find_submission, require_submission
from pipelines.kubeflow.submission import Submission
from pipelines.local.run_folder import WORK_FOLDER, RunFolder

commands = typer.Typer()


@commands.command()
def status(
    name: Run = "", run: RunId = "", watch: Watch = False, namespace: Namespace = "", work: Work = WORK_FOLDER
) -> None:
    """Show the progress of a run, here or in Kubeflow, and why tasks failed.

    The exit code is 1 when a task failed or the run was cancelled.
    """
    from pipelines.cli.show_result import print_states, print_status

    submission = _located(find_submission(name, run, work), namespace)
    if submission and watch:
        follow(submission, RunFolder(submission.name, work))
        return
    if submission:
        from pipelines.kubeflow.watch_run import FollowedRun, word_for

        followed = FollowedRun(submission)
        found = followed.ask()
        good = print_states(f"{submission.name}: {word_for(found)}", followed.states(found))
        say(submission.link)
        good = good and found.state not in {"FAILED", "CANCELED"}
    else:
        good = print_status(find_folder(name, work))
    if not good:
        raise typer.Exit(1)


@commands.command()
def cancel(name: Run = "", run: RunId = "", namespace: Namespace = "", work: Work = WORK_FOLDER) -> None:
    """Cancel a run in Kubeflow and delete its jobs. Completed steps are kept."""
    from pipelines.kubeflow.cancel_run import cancel as end
    from pipelines.kubeflow.watch_run import FollowedRun

    submission = require_submission(name, run, work)
    say(end(FollowedRun(_located(submission, namespace) or submission)))


@commands.command()
def report(
    name: Run = "",
    run: RunId = "",
    namespace: Namespace = "",
    work: Work = WORK_FOLDER,
    show: Annotated[bool, typer.Option("--open/--no-open", help="open the page in a browser")] = True,
) -> None:
    """Write a run's report.json and report.html to its folder, and open the page."""
    from pipelines.cli.show_result import fetch_report, fetch_submitted_report, print_result

    submission = _located(find_submission(name, run, work), namespace)
    folder = RunFolder(submission.name, work) if submission else find_folder(name, work)
    print_result(fetch_submitted_report(submission, folder) if submission else fetch_report(folder), folder)
    if show and sys.stdout.isatty():
        typer.launch((folder.path / "report.html").as_uri())


def follow(submission: Submission, folder: RunFolder) -> None:
    """Follow a run to its end and show its result; Ctrl-C stops following it, and the run continues."""
    from pipelines.cli.show_result import fetch_submitted_report, print_result
    from pipelines.kubeflow.watch_run import FollowedRun, watch

    try:
        watch(FollowedRun(submission))
    except KeyboardInterrupt:
        say(
            f"no longer following the run, which continues. tutelage status {folder.name} --watch follows it again, "
            f"tutelage cancel {folder.name} cancels it"
        )
        raise typer.Exit(130) from None
    print_result(fetch_submitted_report(submission, folder), folder)


def _located(submission: Submission | None, given: str) -> Submission | None:
    """A submitted run with the namespace to look in, which is printed first; None stays None."""
    if submission is None:
        return None
    from pipelines.kubeflow.namespace import choose_namespace

    chosen = choose_namespace(given, submission.access.namespace)
    say(f"namespace: {chosen.with_jobs(submission.jobs_namespace)}")
    return submission.model_copy(update={"access": submission.access.model_copy(update={"namespace": chosen.name})})
