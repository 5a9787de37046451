"""Explains why tasks of a submitted run failed: from the step's record in the store, else from its pod."""

from collections.abc import Iterable

from components.launch.api.cluster import Cluster, Selector
from components.launch.api.refusals import Absent, NotReady, Unreachable
from components.launch.api.resources import PODS, Object
from components.launch.follow.identity import RUN_OF_POD, job_namespace
from components.launch.verdicts.failure import PodFailure, failure_of, main_container
from components.shared.errors import TutelageError
from components.shared.process.step_failure import StepFailure, read_failures
from pipelines.kubeflow.namespace import choose_namespace
from pipelines.kubeflow.submission import Submission
from pipelines.local.run_folder import TaskState
from pipelines.placement.place_tasks import TASK_LABEL

TAIL_LINES = 10
POD_REMEDIES = {
    "OOMKilled": "raise memory of the step in placement.tasks",
    "Killed": "a SIGKILL from outside usually means that the node ran out of memory: raise memory in placement.tasks",
    "Evicted": "the node ran short of memory or disk, or the pod exceeded scratch in placement.tasks: see the message",
}


class Reasons:
    """Why tasks of a run failed; each is looked up once, when its failure is first observed."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        self._known: dict[str, str] = {}

    def fill_in(self, states: dict[str, TaskState]) -> None:
        """Give every failed task its message: problem, rule, remedy."""
        failed = [task for task in states.values() if task.state == "failed"]
        new = [task.name for task in failed if task.name not in self._known]
        if new:
            self._known |= self._find({task.name: task.message for task in failed if task.name in new})
        for task in failed:
            task.message = self._known[task.name]

    def _find(self, messages: dict[str, str]) -> dict[str, str]:
        """The best explanation for each task; `messages` are Kubeflow's own, and usually empty."""
        kept, no_store = _kept(self._submission, messages)
        missing = [name for name in messages if name not in kept]
        pods, no_pods = _from_pods(self._submission, missing) if missing else ({}, "")
        said = {name: text for name, text in messages.items() if text}
        unknown = f"failed\n  reason unknown: {no_store}; {no_pods}"
        return dict.fromkeys(messages, unknown) | said | pods | kept


def _kept(submission: Submission, tasks: Iterable[str]) -> tuple[dict[str, str], str]:
    """Messages from the store, and the reason why others are missing."""
    try:
        found = read_failures(submission.store, submission.run, [*tasks])
    except TutelageError as error:
        remedy = f" ({error.remedy})" if error.remedy else ""
        return {}, f"the store cannot be read from here: {error.problem}{remedy}"
    kept = {name: _with_attempt(failure) for name, failure in found.items()}
    return kept, f"the step wrote nothing to {submission.store}"


def _with_attempt(failure: StepFailure) -> str:
    return failure.message + (f"\n  attempt: {failure.attempt}" if failure.attempt > 1 else "")


def _from_pods(submission: Submission, tasks: list[str]) -> tuple[dict[str, str], str]:
    """Messages from the steps' pods, and the reason why others are missing."""
    namespace = job_namespace(choose_namespace(of_run=submission.access.namespace).name)
    try:
        cluster = Cluster(namespace)
        pods = cluster.select(PODS, Selector(f"{RUN_OF_POD}={submission.run},{TASK_LABEL}")).items
        newest = {pod["metadata"]["labels"][TASK_LABEL]: pod for pod in sorted(pods, key=_created)}
        failures = {name: failure_of(pod) for name, pod in newest.items() if name in tasks}
        found = {name: _words(cluster, newest[name], failure) for name, failure in failures.items() if failure}
    except Unreachable as error:
        return {}, f"the cluster does not respond: {error}"
    except TutelageError as error:
        return {}, f"pods cannot be read from here: {error.problem}"
    return found, f"its failed pod no longer exists in namespace {namespace}"


def _words(cluster: Cluster, pod: Object, failure: PodFailure) -> str:
    """The step's termination message, else the pod's reason with the last lines of its log."""
    task = f"{pod['metadata']['labels'][TASK_LABEL]}: "
    if failure.message.startswith(task):
        return failure.message.removeprefix(task)
    tail = "".join(f"\n  | {line}" for line in _last_lines(cluster, pod))
    return f"{failure.words}{tail}\n  remedy: {POD_REMEDIES.get(failure.reason, failure.remedy)}"


def _last_lines(cluster: Cluster, pod: Object) -> list[str]:
    try:
        return cluster.read_log(pod["metadata"]["name"], main_container(pod), TAIL_LINES)
    except (Absent, NotReady):
        return []


def _created(pod: Object) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))
