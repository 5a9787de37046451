"""The table of retry budgets in docs/operations.md holds the numbers of the code."""

import os
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
BEGIN, END = "<!-- retry budgets: begin -->", "<!-- retry budgets: end -->"
UPDATE_VARIABLE = "TUTELAGE_UPDATE_GOLDEN"


def constant(place: str) -> Any:
    """The value of `MODULE:NAME`."""
    module, name = place.split(":")
    return getattr(import_module(module), name)


def default(place: str) -> Any:
    """The default of `MODULE:SETTINGS.FIELD`."""
    settings, field = place.rsplit(".", 1)
    return constant(settings).model_fields[field].default


def span(seconds: float) -> str:
    """Seconds in words."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:g} s"


SERVICE = "components.models.service.settings:ServiceSettings"
# What is retried, for how long, where that is set, and what follows.
ROWS: list[tuple[str, Callable[[], str], str, str]] = [
    (
        "request to S3",
        lambda: (
            f"{constant('components.shared.store.attempts:ATTEMPTS')} attempts on one machine, "
            f"{constant('components.shared.store.attempts:PATIENT_ATTEMPTS')} on a cluster"
        ),
        f"`{constant('components.shared.store.attempts:ATTEMPTS_VARIABLE')}`",
        "the step fails, and is retried",
    ),
    (
        "interrupted download from S3",
        lambda: f"resumed {constant('components.shared.store.s3:RESUMES')} times where it stopped",
        "`components/shared/store/s3.py`",
        "the step fails, and is retried",
    ),
    (
        "lease of an address that another writer holds",
        lambda: f"taken over {span(constant('components.shared.store.lease:LEASE_SECONDS'))} after its last renewal",
        "`components/shared/store/lease.py`",
        "the new holder continues the output",
    ),
    (
        "failed step",
        lambda: (
            f"{default('pipelines.placement.placement:TaskPlacement.retries')} retries, after "
            f"{constant('components.shared.process.retry:PAUSE_SECONDS')} s and "
            f"{constant('components.shared.process.retry:PAUSE_FACTOR')} times that, …; none begins after "
            f"{span(default('pipelines.placement.placement:TaskPlacement.retry_for_seconds'))}"
        ),
        "`placement.tasks.STEP.retries`, `retry_for_seconds`",
        "the run fails",
    ),
    (
        "step's failure that cannot be written to the store",
        lambda: span(constant("components.shared.process.step_failure:KEEPING_SECONDS")),
        "`components/shared/process/step_failure.py`",
        "the failure is in the pod's log alone",
    ),
    (
        "job that lost a pod",
        lambda: f"{default('components.launch.job:Launch.restarts')} restarts",
        "`launch.restarts`",
        "the step fails, and is retried",
    ),
    (
        "job in a queue",
        lambda: span(default("components.launch.job:Launch.queue_seconds")),
        "`launch.queue_seconds`",
        "the step fails",
    ),
    (
        "pod that is not scheduled, or whose image is not pulled",
        lambda: span(default("components.launch.job:Launch.start_seconds")),
        "`launch.start_seconds`",
        "the step fails",
    ),
    (
        "node that a training has lost, with `launch.least_nodes`",
        lambda: span(default("components.launch.job:Launch.replace_seconds")),
        "`launch.replace_seconds`",
        "the training continues on the nodes that are there",
    ),
    (
        "running job",
        lambda: span(default("components.launch.job:Launch.timeout_seconds")),
        "`launch.timeout_seconds`",
        "the step fails",
    ),
    (
        "API server that does not answer",
        lambda: span(constant("components.launch.api.silence:SILENCE_SECONDS")),
        "`components/launch/api/silence.py`",
        "the step fails; its retry adopts the job",
    ),
    (
        "request to a model service (a generator's endpoint)",
        lambda: (
            f"{default(f'{SERVICE}.attempts')} attempts of "
            f"{span(default(f'{SERVICE}.timeout_seconds'))} each; first pause "
            f"{default(f'{SERVICE}.backoff_seconds'):g} s, doubling to "
            f"{span(constant('components.models.service.request_window:LONGEST_BACKOFF_SECONDS'))}"
        ),
        "`attempts`, `timeout_seconds`, `backoff_seconds` of the service",
        "the row counts as failed; the step fails when no endpoint answers",
    ),
    (
        "submission of a RayJob",
        lambda: f"{constant('components.launch.kinds.rayjob:SUBMITTER_RETRIES')} retries of the submitter's pod",
        "`components/launch/kinds/rayjob.py`",
        "the job fails",
    ),
    (
        "Ray cluster that lacks the nodes for synthesis",
        lambda: span(constant("components.launch.ray.room:JOIN_SECONDS")),
        "`components/launch/ray/room.py`",
        "the job fails",
    ),
    (
        "Ray actor of synthesis",
        lambda: f"{constant('components.launch.ray.actors:ACTOR_RESTARTS')} restarts",
        "`components/launch/ray/actors.py`",
        "the job fails, and is restarted",
    ),
    (
        "`tutelage` command that watches a run",
        lambda: f"{span(constant('pipelines.kubeflow.watch_run:UNREACHABLE_SECONDS'))} without an answer of Kubeflow",
        "`pipelines/kubeflow/watch_run.py`",
        "the command ends, and the run goes on",
    ),
]


def table() -> str:
    lines = ["| what is retried or waited for | budget | set by | after that |", "|---|---|---|---|"]
    lines += [f"| {what} | {budget()} | {where} | {then} |" for what, budget, where, then in ROWS]
    return "\n".join(lines)


def test_the_table_in_the_docs_holds_the_numbers_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    renewed = re.sub(f"{BEGIN}.*{END}", f"{BEGIN}\n{table()}\n{END}", text, count=1, flags=re.DOTALL)
    assert BEGIN in text and END in text, f"{PAGE} lacks the lines {BEGIN} and {END}"
    if os.environ.get(UPDATE_VARIABLE):
        PAGE.write_text(renewed, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == renewed, f"set {UPDATE_VARIABLE}=1 to accept the change"


def test_every_file_that_the_table_names_exists() -> None:
    named = [where.strip("`") for _, _, where, _ in ROWS if where.endswith(".py`")]
    assert named and all((PAGE.parents[1] / name).is_file() for name in named)
