"""Puts placements on kfp tasks: the one place that sets resources, secrets, retries and the like."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from components.launch.kinds.pod_basics import (
    CACHE_VARIABLES,
    CERTIFICATES,
    HOME_VARIABLES,
    SCRATCH,
    SCRATCH_VOLUME,
    trust_variables,
)
from components.launch.pods import PodPlacement
from components.registry import STEPS
from components.shared.outputs.run_pointer import RUN_VARIABLE
from components.shared.process.perform import PID_FILE_VARIABLE
from components.shared.process.retry import PAUSE_FACTOR, PAUSE_SECONDS, RETRIES_VARIABLE, RETRY_SECONDS_VARIABLE
from components.shared.step import Step
from components.shared.store.attempts import ATTEMPTS_VARIABLE, PATIENT_ATTEMPTS
from pipelines.placement.placement import Placement, TaskPlacement
from pipelines.placement.task import Task

TASK_LABEL = "tutelage.dev/task"
"""Label of a step's pod with the task's name, such as `train-sft`: Kubeflow's own labels lack it."""
PID_FILE = f"{SCRATCH}/tutelage.pid"
# Argo runs this command in the container to cancel it, with the signal's number for %d. It signals only the component,
# which then has seconds to delete its job. By default Argo stops Kubeflow's launcher first, and with it the pod.
KILL_ANNOTATION = "workflows.argoproj.io/kill-cmd-main"
KILL_COMMAND = f'["/bin/sh","-c","kill -%d $(cat {PID_FILE} 2>/dev/null || echo 1)"]'


class Placer:
    """Names the kfp tasks of a pipeline and places them."""

    def __init__(self, tasks: Sequence[Task], placement: Placement | None) -> None:
        """
        Args:
            tasks: of the pipeline, with the launches that the placement sets.
            placement: of the recipe; None for a run on this machine, which has no pods.
        """
        self._placement = placement
        self._tasks = {task.name: task for task in tasks}

    def __call__(self, kfp_task: Any, name: str = "") -> Any:
        """Name and place a kfp task; omit `name` if the pipeline has only one task of the step."""
        name = name or kfp_task.component_spec.name
        return self._placed(kfp_task, self._tasks[name])

    def ending(self, last: Callable[[Any], None]) -> Any:
        """A small pipeline for the exit handler: what comes last, and the clean-up if jobs run on a cluster.

        KFP takes one exit handler, none inside another, and defines no pipeline within another: so define it before.

        Args:
            last: adds tasks, given the store's root; they cannot take outputs of the other tasks.
        """
        from kfp import dsl

        @dsl.pipeline(name="ending", description="What runs when all other tasks have ended.")
        def ending(root: str) -> None:
            if self._starts_jobs:
                self._clean_up()
            last(root)

        return ending

    def cleaned_up(self, ending: Any = None, root: Any = "") -> AbstractContextManager[Any]:
        """A context for the tasks: when they have ended, whether or not they succeeded, an exit handler runs the rest.

        If jobs run on a cluster, it deletes those left.

        Args:
            ending: what else runs then, by `ending`; None: nothing.
            root: the pipeline's parameter with the store's root.
        """
        if ending is not None:
            return self._exit_handler(ending(root=root).set_display_name("ending"), "ending")
        return self._exit_handler(self._clean_up(), self._last_step.task_name) if self._starts_jobs else nullcontext()

    @property
    def _starts_jobs(self) -> bool:
        """Whether jobs run on a cluster, and may be left there."""
        return self._placement is not None and any(task.starts_on_cluster for task in self._tasks.values())

    def _clean_up(self) -> Any:
        assert self._placement is not None
        step = self._last_step
        # Versions of Kubeflow differ in how they treat omitted inputs.
        task = step.load_component()(namespace=self._placement.pods.namespace)
        return self._placed(task, Task(step.task_name, step))

    @property
    def _last_step(self) -> Step:
        return next(step for step in STEPS.values() if step.ends_run)

    def _exit_handler(self, task: Any, name: str) -> AbstractContextManager[Any]:
        from kfp import dsl

        return dsl.ExitHandler(task, name=f"with {name}")

    def _placed(self, kfp_task: Any, task: Task) -> Any:
        if self._placement is not None:
            place(kfp_task, task, self._placement)
        return kfp_task.set_display_name(task.name)


def place(kfp_task: Any, task: Task, placement: Placement) -> None:
    """Put a placement on a kfp task.

    Kubeflow's caching is off: an output's address already answers whether the work is done, and unlike a cached
    task it notices when the bytes are gone.
    """
    wanted = placement.of(task.step.name, task.name)
    kfp_task.set_container_image(placement.image_of(task.step.name, task.image_needed_by_pod))
    kfp_task.set_caching_options(False)
    _ask_for(kfp_task, wanted)
    _put_in(kfp_task, placement.pods)
    if task.step.uses_store:
        _hand_secrets(kfp_task, placement.pods)
    _give_scratch(kfp_task, wanted.scratch)
    _schedule(kfp_task, placement.pods, wanted.node_selector)
    from kfp import kubernetes

    kubernetes.add_pod_label(kfp_task, TASK_LABEL, task.name)
    if task.starts_on_cluster:
        kfp_task.set_env_variable(PID_FILE_VARIABLE, PID_FILE)
        kubernetes.add_pod_annotation(kfp_task, KILL_ANNOTATION, KILL_COMMAND)


def _ask_for(task: Any, wanted: TaskPlacement) -> None:
    """Resources and retries.

    `backoff_max_duration` counts the attempt's own running time, so it is set to the longest time after which a retry
    is wanted (kfp's default of an hour would deny retries to long tasks).
    """
    task.set_cpu_request(wanted.cpu).set_cpu_limit(wanted.cpu_limit or wanted.cpu)
    task.set_memory_request(wanted.memory).set_memory_limit(wanted.memory)
    if wanted.accelerators:
        task.set_accelerator_type(wanted.accelerator).set_accelerator_limit(wanted.accelerators)
    if wanted.retries:
        task.set_retry(
            wanted.retries,
            backoff_duration=f"{PAUSE_SECONDS}s",
            backoff_factor=PAUSE_FACTOR,
            backoff_max_duration=f"{wanted.retry_for_seconds}s",
        )
        # For the step itself, where Kubeflow starts no pod again that failed.
        task.set_env_variable(RETRIES_VARIABLE, str(wanted.retries))
        task.set_env_variable(RETRY_SECONDS_VARIABLE, str(wanted.retry_for_seconds))


def _put_in(task: Any, pods: PodPlacement) -> None:
    """Environment, certificates and user; the run's id, so that a step knows which run it is part of."""
    from kfp import kubernetes

    patient = {ATTEMPTS_VARIABLE: str(PATIENT_ATTEMPTS)}
    for name, value in sorted({**patient, **pods.environment}.items()):
        task.set_env_variable(name, value)
    kubernetes.use_field_path_as_env(task, RUN_VARIABLE, "metadata.labels['pipeline/runid']")
    # Everything else that the restricted Pod Security Standard asks for, Kubeflow sets by itself.
    kubernetes.set_security_context(task, run_as_user=pods.user, run_as_non_root=True)
    authority = pods.certificate_authority
    if authority is None:
        return
    if authority.config_map:
        kubernetes.use_config_map_as_volume(task, authority.config_map, CERTIFICATES)
    else:
        kubernetes.use_secret_as_volume(task, authority.secret, CERTIFICATES)
    for name, value in trust_variables(authority.key).items():
        task.set_env_variable(name, value)


def _hand_secrets(task: Any, pods: PodPlacement) -> None:
    """Secrets as variables: the pipeline holds their names, the kubelet puts the values into the pod."""
    from kfp import kubernetes

    for name, secret in sorted(pods.secrets.items()):
        kubernetes.use_secret_as_env(task, secret.secret, {secret.key: name})


def _give_scratch(task: Any, size: str) -> None:
    """A folder to write to: Kubeflow leaves HOME at /, which nobody but root may write to."""
    from kfp import kubernetes

    kubernetes.empty_dir_mount(task, SCRATCH_VOLUME, SCRATCH, size_limit=size)
    for name, value in {**HOME_VARIABLES, **CACHE_VARIABLES}.items():
        task.set_env_variable(name, value)


def _schedule(task: Any, pods: PodPlacement, node_selector: dict[str, str]) -> None:
    """Which nodes, whose images, and what is written on the pod."""
    from kfp import kubernetes

    for name, value in sorted({**pods.node_selector, **node_selector}.items()):
        kubernetes.add_node_selector(task, name, value)
    for toleration in pods.tolerations:
        seconds = {"toleration_seconds": toleration["tolerationSeconds"]} if "tolerationSeconds" in toleration else {}
        kubernetes.add_toleration_json(task, {**toleration, **seconds})
    if pods.affinity.get("nodeAffinity"):
        kubernetes.add_node_affinity_json(task, pods.affinity["nodeAffinity"])
    if pods.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(pods.image_pull_secrets))
    kubernetes.set_image_pull_policy(task, pods.image_pull_policy)
    for name, value in sorted(pods.annotations.items()):
        kubernetes.add_pod_annotation(task, name, value)
    for name, value in sorted(pods.labels.items()):
        kubernetes.add_pod_label(task, name, value)
