"""Checks of a placement beyond its types, and of what a cluster cannot take."""

import json
import re
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from components.launch.job import RUNTIME_FIELDS, SHIPPED_RUNTIME, Launch
from components.launch.pods import PodPlacement
from components.launch.registry import LAUNCHERS, launchers_of
from components.registry import STEPS
from components.shared.step import Image, Location, Step
from pipelines.placement.check_external_inputs import local_path
from pipelines.placement.move_tasks import launch_of, move_tasks, place_of_job, with_launch
from pipelines.placement.placement import DEFAULT, Placement
from pipelines.placement.task import Fault, Task, plain

SECRET_NAME = re.compile(r"(^|_)(SECRET|PASSWORD|TOKEN|API_KEY|ACCESS_KEY)(_|$)")
ARGUMENT_BYTES = 60_000
"""Largest settings of one step, in bytes of JSON: Kubeflow hands them over as one argument of a program, together with
the step's other inputs, and Linux takes no argument above 128 KiB. 60 KB pass, 140 KB do not (both tried)."""


def find_placement_faults(placement: Placement, tasks: Sequence[Task]) -> list[Fault]:
    """All faults of the placement of a recipe whose types are valid.

    Args:
        placement: of the recipe.
        tasks: of the recipe, before the placement is applied.
    """
    checks = (_steps, _job_names, _launchers, _groups, _ranks, _runtime_fields, _secrets)
    return [fault for check in checks for fault in check(placement, tasks)]


def find_local_store(store: str) -> Iterator[Fault]:
    """A store that pods do not share."""
    if local_path(store) is not None:
        yield Fault(
            ("store",),
            f"{store!r} is a folder, which pods do not share"
            "\n    rule: on a cluster, steps meet in a bucket\n    remedy: --store s3://BUCKET/PREFIX",
        )


def find_large_settings(placement: Placement, tasks: Sequence[Task]) -> Iterator[Fault]:
    """Settings that are too large for an argument, once the placement is applied."""
    fitting = not [*_ranks(placement, tasks)]
    for task in move_tasks(placement, tasks) if fitting else tasks:
        size = len(json.dumps(plain(task.settings)).encode()) if task.settings else 0
        if size > ARGUMENT_BYTES:
            yield Fault(
                task.location,
                f"its settings are {size:,} bytes of JSON\n    rule: at most {ARGUMENT_BYTES:,}, since Kubeflow "
                "passes them to a program as one argument\n    remedy: list fewer items; put files into the store",
            )


def _steps(placement: Placement, tasks: Sequence[Task]) -> Iterator[Fault]:
    names = tuple(task.name for task in tasks if task.name not in STEPS)
    for part, what, allowed in (
        ("tasks", "step or task", (DEFAULT, *STEPS, *names)),
        ("images", "step", (*STEPS, *(image.value for image in Image if image.only_here))),
    ):
        for name in getattr(placement, part):
            if name not in allowed:
                yield Fault(("placement", part, name), f"unknown {what} {name!r}\n    allowed: {', '.join(allowed)}")


def _job_names(placement: Placement, tasks: Sequence[Task]) -> Iterator[Fault]:
    allowed = _steps_of_jobs(tasks)
    for name in placement.jobs:
        if name not in allowed:
            yield Fault(("placement", "jobs", name), f"unknown job {name!r}\n    allowed: {', '.join(allowed)}")


def _steps_of_jobs(tasks: Sequence[Task]) -> dict[str, Step]:
    """The steps that have jobs, by the keys allowed in `jobs`: names of steps and of tasks."""
    by_step = {step.name: step for step in STEPS.values() if step.program}
    return by_step | {task.name: task.step for task in tasks if task.step.program}


def _launches(placement: Placement, tasks: Sequence[Task]) -> Iterator[tuple[Location, Step, Launch]]:
    """Every launch in the recipe and its placement, with its location and its step."""
    steps = _steps_of_jobs(tasks)
    for name, launch in placement.jobs.items():
        if name in steps:
            yield ("placement", "jobs", name), steps[name], launch
    for task in tasks:
        if task.launch:
            yield (*task.location, "launch"), task.step, task.launch


def _launchers(placement: Placement, tasks: Sequence[Task]) -> Iterator[Fault]:
    for location, step, launch in _launches(placement, tasks):
        allowed = launchers_of(step.program) if step.program else ()
        if launch.launcher not in allowed:
            yield Fault(
                (*location, "launcher"),
                f"a {launch.launcher} cannot run the job of {step.name}\n    allowed: {', '.join(allowed)}",
            )


def _groups(placement: Placement, tasks: Sequence[Task]) -> Iterator[Fault]:
    """Groups of a job that is not a training, and groups in a recipe's own launch: they are a cluster's."""
    for location, step, launch in _launches(placement, tasks):
        if launch.groups and step.program != "torchrun":
            allowed = ", ".join(name for name, one in _steps_of_jobs(tasks).items() if one.program == "torchrun")
            yield Fault((*location, "groups"), f"{step.name} is not a training\n    allowed: groups in {allowed}")
        elif launch.groups and location[0] != "placement":
            yield Fault(
                (*location, "groups"),
                "groups are nodes of one cluster\n    rule: a placement names them, a recipe does not"
                f"\n    remedy: placement: {{jobs: {{{step.name}: {{groups: […]}}}}}}",
            )


def _ranks(placement: Placement, tasks: Sequence[Task]) -> Iterator[Fault]:
    """Jobs whose size does not fit the settings of a task, such as batches that do not divide by the ranks."""
    for task in tasks:
        place = place_of_job(placement, task)
        if not place or task.settings is None:
            continue
        try:
            with_launch(task.settings, launch_of(placement, task))
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                where = "groups" if placement.jobs[place].groups else "nodes"
                yield Fault(("placement", "jobs", place, where), f"does not fit {task.name}: {fault['msg']}")


def _runtime_fields(placement: Placement, tasks: Sequence[Task]) -> Iterator[Fault]:
    """Fields that a TrainJob takes from its TrainingRuntime, set in one that refers to the runtime that ships."""
    found: dict[Location, str] = {}
    for task in tasks:
        launch = launch_of(placement, task) if task.step.program else Launch()
        if LAUNCHERS[launch.launcher].runtime is not None and launch.training_runtime == SHIPPED_RUNTIME:
            for field in RUNTIME_FIELDS:
                if (value := getattr(launch.pods, field)) != PodPlacement.model_fields[field].default:
                    found[_where_set(placement, task, field)] = value
    for location, value in found.items():
        yield Fault(
            location,
            f"{value!r} cannot be set in a TrainJob\n    rule: a TrainJob takes it from its TrainingRuntime"
            f"\n    remedy: copy TrainingRuntime {SHIPPED_RUNTIME}, set it there, and name the copy in the job's "
            "training_runtime",
        )


def _where_set(placement: Placement, task: Task, field: str) -> Location:
    """Where a field of the pods of a task's job is set."""
    place = place_of_job(placement, task)
    launch = placement.jobs[place] if place else task.launch
    if launch is None or field not in launch.pods.model_fields_set:
        return ("placement", "pods", field)
    within = ("placement", "jobs", place) if place else (*task.location, "launch")
    return (*within, "pods", field)


def _secrets(placement: Placement, tasks: Sequence[Task]) -> Iterator[Fault]:
    """Plain-text variables whose names are those of secrets."""
    plain_texts: list[tuple[Location, dict[str, str]]] = [
        (("placement", "pods", "environment"), placement.pods.environment)
    ]
    for location, _, launch in _launches(placement, tasks):
        plain_texts.append(((*location, "environment"), launch.environment))
        plain_texts.append(((*location, "pods", "environment"), launch.pods.environment))
    for location, environment in plain_texts:
        for name in environment:
            if SECRET_NAME.search(name.upper()):
                yield Fault(
                    (*location, name),
                    f"{name} holds a secret\n    rule: secrets are referenced by name, never in plain text"
                    f"\n    remedy: secrets: {{{name}: {{secret: NAME, key: KEY}}}} in the placement's pods",
                )
