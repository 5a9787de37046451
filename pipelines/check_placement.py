"""What types cannot say about a placement, and what a cluster cannot reach."""

import json
import re
from collections.abc import Iterator

from pydantic import ValidationError

from components.launch.job import RUNTIME_FIELDS, SHIPPED_RUNTIME, Launch
from components.launch.pods import PodPlacement
from components.models.reference import PACKAGE
from components.models.teacher import TeacherSettings
from components.shared.settings import Settings
from pipelines.check_recipe import Fault, local_path
from pipelines.document import Location
from pipelines.move_jobs import launch_of, move_jobs, with_launch
from pipelines.placement import DEFAULT, KINDS
from pipelines.recipe import Recipe, plain

LAUNCHERS_OF = {"synthesize": ("local", "RayJob"), "train": ("local", "TrainJob", "PyTorchJob")}
SECRET_NAME = re.compile(r"(^|_)(SECRET|PASSWORD|TOKEN|API_KEY|ACCESS_KEY)(_|$)")
ARGUMENT_BYTES = 60_000
"""Largest settings of one step, in bytes of JSON: Kubeflow hands them over as one argument of a program, together with
the step's other inputs, and Linux takes no argument above 128 KiB. 60 KB pass, 140 KB do not (both tried)."""


def find_placement_faults(recipe: Recipe) -> list[Fault]:
    """Everything that is wrong with the placement of a recipe whose types are right."""
    checks = (_steps, _job_names, _launchers, _ranks, _runtime_fields, _secrets)
    return [fault for check in checks for fault in check(recipe)]


def find_cluster_faults(recipe: Recipe) -> list[Fault]:
    """Everything that keeps a recipe from running anywhere but on this machine."""
    return [*_local_store(recipe), *_local_files(recipe), *_local_models(recipe), *_large_settings(recipe)]


def _steps(recipe: Recipe) -> Iterator[Fault]:
    for part, allowed in (("tasks", (DEFAULT, *KINDS)), ("images", KINDS)):
        for name in getattr(recipe.placement, part):
            if name not in allowed:
                yield Fault(("placement", part, name), f"no step {name!r}\n    allowed: {', '.join(allowed)}")


def _job_names(recipe: Recipe) -> Iterator[Fault]:
    allowed = [*LAUNCHERS_OF, *(f"train-{name}" for name in recipe.train)]
    for name in recipe.placement.jobs:
        if name not in allowed:
            yield Fault(("placement", "jobs", name), f"no job {name!r}\n    allowed: {', '.join(allowed)}")


def _launches(recipe: Recipe) -> Iterator[tuple[Location, str, Launch]]:
    """Every launch that is written down: where, of which step, and itself."""
    for name, launch in recipe.placement.jobs.items():
        yield ("placement", "jobs", name), name.split("-")[0], launch
    yield ("synthesize", "launch"), "synthesize", recipe.synthesize.launch
    for name, training in recipe.train.items():
        yield ("train", name, "settings", "launch"), "train", training.settings.launch


def _launchers(recipe: Recipe) -> Iterator[Fault]:
    for location, step, launch in _launches(recipe):
        allowed = LAUNCHERS_OF.get(step, ())
        if allowed and launch.launcher not in allowed:
            yield Fault(
                (*location, "launcher"),
                f"a {launch.launcher} cannot run the job of {step}\n    allowed: {', '.join(allowed)}",
            )


def _ranks(recipe: Recipe) -> Iterator[Fault]:
    """Jobs on so many ranks that a variant's batches cannot be divided among them."""
    for name, training in recipe.train.items():
        task = f"train-{name}"
        place = task if task in recipe.placement.jobs else "train"
        if place not in recipe.placement.jobs:
            continue
        try:
            with_launch(training.settings, launch_of(recipe.placement, "train", task, training.settings.launch))
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                yield Fault(("placement", "jobs", place, "nodes"), f"does not fit variant {name!r}: {fault['msg']}")


def _runtime_fields(recipe: Recipe) -> Iterator[Fault]:
    """What a TrainJob cannot say, asked of one that refers to the runtime that ships with Tutelage."""
    found: dict[Location, str] = {}
    for name, training in recipe.train.items():
        own = training.settings.launch
        launch = launch_of(recipe.placement, "train", f"train-{name}", own)
        if launch.launcher == "TrainJob" and launch.training_runtime == SHIPPED_RUNTIME:
            for field in RUNTIME_FIELDS:
                if (value := getattr(launch.pods, field)) != PodPlacement.model_fields[field].default:
                    found[_where_set(recipe, name, field)] = value
    for location, value in found.items():
        yield Fault(
            location,
            f"{value!r} cannot be set in a TrainJob\n    rule: a TrainJob takes it from its TrainingRuntime"
            f"\n    remedy: copy TrainingRuntime {SHIPPED_RUNTIME}, set it there, and name the copy in the job's "
            "training_runtime",
        )


def _where_set(recipe: Recipe, variant: str, field: str) -> Location:
    """Where the file says a field of the pods of a variant's training."""
    jobs = recipe.placement.jobs
    place = next((name for name in (f"train-{variant}", "train") if name in jobs), "")
    pods = jobs[place].pods if place else recipe.train[variant].settings.launch.pods
    if field not in pods.model_fields_set:
        return ("placement", "pods", field)
    within = ("placement", "jobs", place) if place else ("train", variant, "settings", "launch")
    return (*within, "pods", field)


def _secrets(recipe: Recipe) -> Iterator[Fault]:
    """Variables whose names say that they hold a secret, in plain text."""
    plain_texts: list[tuple[Location, dict[str, str]]] = [
        (("placement", "pods", "environment"), recipe.placement.pods.environment)
    ]
    for location, _, launch in _launches(recipe):
        plain_texts.append(((*location, "environment"), launch.environment))
        plain_texts.append(((*location, "pods", "environment"), launch.pods.environment))
    for location, environment in plain_texts:
        for name in environment:
            if SECRET_NAME.search(name.upper()):
                yield Fault(
                    (*location, name),
                    f"{name} holds a secret\n    rule: secrets are named, never written down"
                    f"\n    remedy: secrets: {{{name}: {{secret: NAME, key: KEY}}}} in the placement's pods",
                )


def _local_store(recipe: Recipe) -> Iterator[Fault]:
    if local_path(recipe.store) is not None:
        yield Fault(
            ("store",),
            f"{recipe.store!r} is a folder, which pods do not share"
            "\n    rule: on a cluster, steps meet in a bucket\n    remedy: --store s3://BUCKET/PREFIX",
        )


def _local_files(recipe: Recipe) -> Iterator[Fault]:
    named: list[tuple[Location, str]] = [
        (("collect", part, number, "uri"), source.uri)
        for part in ("sources", "benchmarks")
        for number, source in enumerate(getattr(recipe.collect, part))
    ]
    named.append((("publish", "planted"), recipe.publish.planted))
    for location, uri in named:
        if uri and not uri.startswith(PACKAGE) and local_path(uri) is not None:
            yield Fault(location, _not_there(uri, "a bucket (s3://…), a hub, or package:FOLDER of the image"))


def _local_models(recipe: Recipe) -> Iterator[Fault]:
    named: list[tuple[Location, str]] = [(("student",), recipe.student)]
    if recipe.teacher:
        named.append((("teacher", "model"), recipe.teacher.model))
    for step in ("curate", "synthesize", "select"):
        named += _models_in(getattr(recipe, step), (step,))
    found: dict[str, Location] = {}
    for location, model in named:
        if model.startswith(("/", ".", "~", "file://")):
            found.setdefault(model, location)
    for model, location in found.items():
        yield Fault(location, _not_there(model, "a hub's id, a store's URI (s3://…), or package:FOLDER of the image"))


def _models_in(settings: Settings, location: Location) -> Iterator[tuple[Location, str]]:
    for name, value in settings:
        if name == "model" and isinstance(value, str) and not _is_remote(settings):
            yield (*location, name), value
        elif isinstance(value, Settings):
            yield from _models_in(value, (*location, name))


def _is_remote(settings: Settings) -> bool:
    return isinstance(settings, TeacherSettings) and settings.backend == "openai"


def _not_there(uri: str, allowed: str) -> str:
    return f"{uri!r} lies on this machine, where pods cannot read it\n    allowed: {allowed}"


def _large_settings(recipe: Recipe) -> Iterator[Fault]:
    moved = move_jobs(recipe) if not [*_ranks(recipe)] else recipe
    parts: list[tuple[Location, Settings]] = [
        ((step,), getattr(moved, step)) for step in ("collect", "curate", "synthesize", "select", "evaluate", "publish")
    ]
    parts += [(("train", name, "settings"), training.settings) for name, training in moved.train.items()]
    parts += [(("merge", name), merging) for name, merging in moved.merge.items()]
    for location, settings in parts:
        size = len(json.dumps(plain(settings)).encode())
        if size > ARGUMENT_BYTES:
            yield Fault(
                location,
                f"its settings are {size:,} bytes of JSON\n    rule: at most {ARGUMENT_BYTES:,}, since Kubeflow hands "
                "them to a program as one argument\n    remedy: name fewer things; files belong in the store",
            )
