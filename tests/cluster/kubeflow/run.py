"""Kubeflow Pipelines' back end, as far as a test of components needs it: the real one cannot run here.

Tasks run each in a pod with the container, command and executor input of the compiled pipeline. Retries, cancel, pod
loss and the deletion of a run are handled as observed of KFP 2.17.0 with its default install (Argo 4.0.5); with
`policy="OnFailure"` as of 2.16.1 (Argo 3.7.8):

- `OnError`: a lost pod is retried, under another name and with the next `KFP_RETRY_INDEX`; one that exits with a code
  is not, whatever the task's retries are.
- `OnFailure`: the other way round.
- A pod finds its retry strategy, with defaults merged in, where Argo's emissary writes it:
  `/var/run/argo/template`.
- A failed task hands over nothing: no artifact, no parameter and no error. Its message is in its pod's log and
  termination message alone. Whatever its own exit code was, the container's is 1.
- A cancelled run runs its exit handler.

Which tasks run after a failure is read from the sources of KFP 2.17.0 (`argocompiler/dag.go`) and Argo 4.0
(`workflow/controller/dag.go`):

- A task begins once all that it depends on have succeeded (`depends: a.Succeeded && b.Succeeded`). If one has not, it
  is omitted, and so is what depends on it. All others run: `failFast` ends no branch while another one runs.
- The tasks of an exit handler begin when all others have ended in any way: the handler is an exit hook of their group.
- The run has failed if a task of the group has. A failed exit hook leaves the run's state as it is.

It differs from the real one:

- Two tasks run at once at most, and there are no drivers: nothing is cached, and no condition or loop is evaluated.
- No Argo: a ConfigMap replaces the Workflow, and `pod_program.py` Kubeflow's launcher and Argo's emissary, in one
  container without the sidecar `wait`. An eviction or OOM kill of the entire pod is a failure, as it is in Argo.
- A retry waits a second, not the strategy's backoff, and no maximum duration applies.
- Artifacts and parameters pass through the log and this process: there is no metadata store, no API, no UI, no
  `executor-logs` artifact, and no way to start a run but from the compiled file, so no version references
  (tests/unit/pipelines/stand_in.py answers with those).
- Service accounts, rights, quotas and the order of 403 and 404 are the real API server's.
"""

import contextlib
import json
import threading
import time
import uuid
from concurrent import futures
from pathlib import Path
from typing import Any, Literal

from kubernetes import client
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

from tests.cluster.access import STEP_ACCOUNT
from tests.cluster.kubeflow.compiled import Task, TaskOutputs, in_order, read_compiled
from tests.cluster.kubeflow.task_pod import Place, executor_input, task_pod

DONE = "KUBEFLOW-DONE "
KILL_COMMAND = "workflows.argoproj.io/kill-cmd-main"
POLL_SECONDS = 0.5
AT_ONCE = 2
"""Tasks that run at once at most: other tests' pods share the processors."""
BACKOFF_SECONDS = 1.0
Policy = Literal["OnError", "OnFailure", "Always"]
RETRIED: dict[Policy, set[str]] = {"OnError": {"Gone"}, "OnFailure": {"Failed"}, "Always": {"Gone", "Failed"}}
"""The ends of a pod that each policy retries."""


class TaskFailedError(AssertionError):
    """A task failed permanently; the text is its last pod's log."""

    def __init__(self, task: str, log: str) -> None:
        super().__init__(f"task {task} failed:\n{log[-6000:]}")
        self.task, self.log = task, log


class Run:
    """One run of a compiled pipeline in a namespace.

    Attributes:
        made: what tasks that succeeded handed over.
        failed: why other tasks failed, in the order in which they did.
        omitted: tasks that did not begin, since one that they depend on did not succeed, or the run was cancelled.

    Args:
        components: the modules of the components whose pods may start. A test names them, since it imports nothing of
            what its pods run: `.ci/run` leaves it out where nothing has changed that it imports or names. None: any,
            for a test that `.ci/run` never asks about.
    """

    def __init__(
        self,
        core: client.CoreV1Api,
        namespace: str,
        compiled: Path,
        *,
        root: str,
        parameters: dict[str, Any],
        components: frozenset[str] | None,
        service_account: str = STEP_ACCOUNT,
        policy: Policy = "OnError",
    ) -> None:
        self.policy: Policy = policy
        self.components = components
        self.core, self.namespace = core, namespace
        defaults, self.tasks = read_compiled(compiled)
        self.parameters = {**defaults, **parameters}
        self.name = f"run-{uuid.uuid4().hex[:8]}"
        self.made: dict[str, TaskOutputs] = {}
        self.failed: dict[str, TaskFailedError] = {}
        self.omitted: set[str] = set()
        self.pods: list[str] = []
        self.logs: dict[str, str] = {}
        self.cancelled = threading.Event()
        self.place = Place(namespace, self.name, self._make_workflow(), service_account, root)

    def task(self, name: str) -> Task:
        """A task by name."""
        return next(task for task in self.tasks if task.name == name)

    @property
    def state(self) -> str:
        """The state that Kubeflow reports of the run when its tasks have ended: the exit handler has no part in it."""
        good = all(self.task(name).always for name in (*self.failed, *self.omitted))
        return "SUCCEEDED" if good and not self.cancelled.is_set() else "FAILED"

    def execute(self) -> dict[str, TaskOutputs]:
        """Run all tasks, and then the exit handler's.

        Raises TaskFailedError for the first task that failed, of the exit handler too, and for a cancelled run.
        """
        try:
            self._run_in_order([task for task in self.tasks if not task.always])
        finally:
            self._run_in_order([task for task in self.tasks if task.always])
        for error in self.failed.values():
            error.add_note(f"failed: {', '.join(self.failed)}; not begun: {', '.join(sorted(self.omitted))}")
            raise error
        if self.cancelled.is_set():
            raise TaskFailedError(self.tasks[0].name, "the run was cancelled")
        return self.made

    def _run_in_order(self, tasks: list[Task]) -> None:
        """Run each task once those that it depends on have succeeded; omit those of which one has not."""
        named, order = {task.name: task for task in tasks}, in_order(tasks)
        order.prepare()
        running: dict[futures.Future[TaskOutputs | TaskFailedError | None], str] = {}
        with futures.ThreadPoolExecutor(AT_ONCE) as threads:
            try:
                while order.is_active():
                    for name in order.get_ready():
                        running[threads.submit(self._end_of, named[name])] = name
                    for ended in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
                        name = running.pop(ended)
                        self._note(name, ended.result())
                        order.done(name)
            finally:
                threads.shutdown(cancel_futures=True)

    def _end_of(self, task: Task) -> TaskOutputs | TaskFailedError | None:
        """What a task hands over, or why it failed; None: it is omitted."""
        without_success = self.failed.keys() | self.omitted
        if without_success.intersection(task.after) or (self.cancelled.is_set() and not task.always):
            return None
        try:
            return self.run_task(task)
        except TaskFailedError as error:
            return error

    def _note(self, task: str, end: TaskOutputs | TaskFailedError | None) -> None:
        if end is None:
            self.omitted.add(task)
        elif isinstance(end, TaskFailedError):
            self.failed[task] = end
        else:
            self.made[task] = end

    def run_task(self, task: Task) -> TaskOutputs:
        """Run one task with its retries. Raises TaskFailedError."""
        for attempt in range(task.retries + 1):
            pod = self.start_pod(task, attempt)
            phase = self.wait(pod)
            log = self.logs[pod] = self.log(pod)
            if phase == "Succeeded":
                return _outcome(log, self._given(task))
            if phase not in RETRIED[self.policy] or (self.cancelled.is_set() and not task.always):
                break
            time.sleep(BACKOFF_SECONDS)
        raise TaskFailedError(task.name, log)

    def outcome(self, pod: str, task: Task) -> TaskOutputs:
        """The outputs of a pod that succeeded."""
        return _outcome(self.log(pod), self._given(task))

    def start_pod(self, task: Task, attempt: int = 0) -> str:
        """Start the pod of an attempt; returns its name."""
        named = self.components is None or task.module in self.components
        assert named, f"the test has to name {task.module}, which the pod of {task.name} runs, in the run's components"
        pod = task_pod(task, self.place, self._given(task), attempt, self.policy)
        self.core.create_namespaced_pod(self.namespace, pod)
        name = str(pod["metadata"]["name"])
        self.pods.append(name)
        return name

    def wait(self, pod: str, seconds: float = 1800) -> str:
        """Wait for a pod's end: Succeeded, Failed, or Gone."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            phase = self.phase(pod)
            if phase in {"Succeeded", "Failed", "Gone"}:
                return phase
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"pod {pod} has not ended after {seconds:.0f} s; its log:\n{self.log(pod)[-3000:]}")

    def phase(self, pod: str) -> str:
        """A pod's phase; Gone when it does not exist."""
        try:
            return str(self.core.read_namespaced_pod(pod, self.namespace).status.phase)
        except ApiException as error:
            if error.status == 404:
                return "Gone"
            raise

    def log(self, pod: str) -> str:
        """A pod's log so far; for a pod that is gone, as last read."""
        try:
            text = str(self.core.read_namespaced_pod_log(pod, self.namespace, _preload_content=True))
        except ApiException:
            return self.logs.get(pod, "")
        self.logs[pod] = text
        return text

    def cancel(self, *, heeds_annotation: bool = True) -> None:
        """Cancel: the running pod gets SIGTERM, and stays as Failed.

        Argo runs the command of the pod's kill-cmd annotation, and kills the pod 30 s later. Where it has none (or with
        an Argo that does not know it), all processes are signalled and are gone half a second later.
        """
        self.cancelled.set()
        pod = self.core.read_namespaced_pod(self.pods[-1], self.namespace)
        command = ["sh", "-c", "kill -15 1"]
        if heeds_annotation and (told := (pod.metadata.annotations or {}).get(KILL_COMMAND)):
            command = json.loads(told.replace("%d", "15"))
        with contextlib.suppress(ApiException):
            self.execute_in(self.pods[-1], command)

    def execute_in(self, pod: str, command: list[str]) -> str:
        """Run a command in a pod."""
        return str(
            stream(
                self.core.connect_get_namespaced_pod_exec,
                pod,
                self.namespace,
                command=command,
                container="main",
                stderr=True,
                stdout=True,
                stdin=False,
                tty=False,
            )
        )

    def delete(self) -> None:
        """Delete the run: its workflow object, and with it all that it owns."""
        self.core.delete_namespaced_config_map(self.name, self.namespace, propagation_policy="Background")

    def _given(self, task: Task) -> dict[str, Any]:
        parameters = task.parameters(self.parameters, self.made)
        return executor_input(task, self.place, parameters, task.artifacts(self.made))

    def _make_workflow(self) -> dict[str, Any]:
        """A ConfigMap in place of Argo's Workflow: the garbage collector treats all owners alike."""
        made = self.core.create_namespaced_config_map(self.namespace, {"metadata": {"name": self.name}})
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": self.name, "uid": made.metadata.uid}


def _outcome(log: str, given: dict[str, Any]) -> TaskOutputs:
    said = json.loads(next(line for line in reversed(log.splitlines()) if line.startswith(DONE)).removeprefix(DONE))
    artifacts = {name: listed["artifacts"][0] for name, listed in given["outputs"]["artifacts"].items()}
    for name, listed in said.get("artifacts", {}).items():
        artifacts[name] = {**artifacts[name], **listed["artifacts"][0]}
    return TaskOutputs(said.get("parameterValues", {}), artifacts)
