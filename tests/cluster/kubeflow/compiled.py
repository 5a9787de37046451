"""A compiled pipeline, interpreted as Kubeflow's back end does: tasks in order, with their containers and inputs."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
IN_ANY_CASE = "ALL_UPSTREAM_TASKS_COMPLETED"
"""The trigger of a task that runs regardless of how those that it depends on end."""

Made = Mapping[str, "TaskOutputs"]


@dataclass(frozen=True)
class TaskOutputs:
    """What a task handed over: parameters by name, artifacts by name (as the executor describes them)."""

    parameters: dict[str, Any]
    artifacts: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """One task of the pipeline."""

    name: str
    label: str
    spec: dict[str, Any]
    component: dict[str, Any]
    executor: dict[str, Any]
    platform: dict[str, Any]
    after: tuple[str, ...]
    always: bool
    """Whether it runs regardless of how the others end: it is an exit handler, or part of one that is a pipeline."""

    @property
    def title(self) -> str:
        """The name that people see."""
        return str(self.spec["taskInfo"]["name"])

    @property
    def retries(self) -> int:
        """How often a failed pod is retried."""
        return int(self.spec.get("retryPolicy", {}).get("maxRetryCount", 0))

    @property
    def module(self) -> str:
        """The module of its component, which its pod runs."""
        arguments = self.executor["args"]
        return f"components.{arguments[arguments.index('--function_to_execute') + 1]}.component"

    def parameters(self, given: Mapping[str, Any], made: Made) -> dict[str, Any]:
        """The values of the task's input parameters."""
        wanted = self.spec.get("inputs", {}).get("parameters", {})
        values = {name: _value(source, given, made) for name, source in wanted.items()}
        return {name: _filled(value, values) for name, value in values.items()}

    def artifacts(self, made: Made) -> dict[str, dict[str, Any]]:
        """The task's input artifacts."""
        wanted = self.spec.get("inputs", {}).get("artifacts", {})
        sources = {name: source["taskOutputArtifact"] for name, source in wanted.items()}
        return {name: made[s["producerTask"]].artifacts[s["outputArtifactKey"]] for name, s in sources.items()}


def read_compiled(path: Path) -> tuple[dict[str, Any], list[Task]]:
    """The pipeline's default parameters, and its tasks in an order in which they can run; exit handlers last."""
    pipeline, *rest = yaml.safe_load_all(path.read_text())
    platforms = rest[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if rest else {}
    tasks = list(_tasks(pipeline, pipeline["root"]["dag"], platforms))
    inputs = pipeline["root"].get("inputDefinitions", {}).get("parameters", {})
    return {name: fact.get("defaultValue") for name, fact in inputs.items()}, _ordered(tasks)


def _tasks(
    pipeline: dict[str, Any], dag: dict[str, Any], platforms: dict[str, Any], *, always: bool = False
) -> Iterator[Task]:
    for name, spec in dag["tasks"].items():
        component = pipeline["components"][spec["componentRef"]["name"]]
        ends = always or _ends_a_group(pipeline, dag, name, spec)
        if "dag" in component:  # what an exit handler guards, or the exit handler itself
            yield from _tasks(pipeline, component["dag"], platforms, always=ends)
            continue
        label = component["executorLabel"]
        executor = pipeline["deploymentSpec"]["executors"][label]["container"]
        after = tuple(spec.get("dependentTasks", ()))
        yield Task(name, label, spec, component, executor, platforms.get(label, {}), after, ends)


def _ends_a_group(pipeline: dict[str, Any], dag: dict[str, Any], name: str, spec: dict[str, Any]) -> bool:
    """Whether a task is an exit handler.

    Kubeflow makes a task with this trigger an exit hook of each task that it depends on. Only for a single group does
    that mean what the trigger says, so nothing else is interpreted.
    """
    if spec.get("triggerPolicy", {}).get("strategy") != IN_ANY_CASE:
        return False
    upstream = [dag["tasks"][other]["componentRef"]["name"] for other in spec.get("dependentTasks", ())]
    groups = [other for other in upstream if "dag" in pipeline["components"][other]]
    assert len(groups) == len(upstream) == 1, (
        f"{name} has the trigger {IN_ANY_CASE} and depends on {spec.get('dependentTasks', [])}: Kubeflow would run it "
        "once for each of them, without waiting for the others"
    )
    return True


def in_order(tasks: list[Task]) -> TopologicalSorter[str]:
    """The tasks' names by what each waits for; a task that is not among them is taken as done."""
    names = {task.name for task in tasks}
    return TopologicalSorter({task.name: [name for name in task.after if name in names] for task in tasks})


def _ordered(tasks: list[Task]) -> list[Task]:
    plain = {task.name: task for task in tasks if not task.always}
    order = in_order([*plain.values()]).static_order()
    return [*(plain[name] for name in order), *(task for task in tasks if task.always)]


def _value(source: dict[str, Any], given: Mapping[str, Any], made: Made) -> Any:
    if "runtimeValue" in source:
        return source["runtimeValue"]["constant"]
    if "componentInputParameter" in source:
        return given[source["componentInputParameter"].removeprefix("pipelinechannel--")]
    output = source["taskOutputParameter"]
    return made[output["producerTask"]].parameters[output["outputParameterKey"]]


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: str(values[found[1]]), value)
    if isinstance(value, dict):
        return {name: _filled(item, values) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return value
