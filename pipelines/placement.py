"""On what each task runs: the one place that puts resources, secrets, retries and the like on tasks."""

from typing import Any

from pydantic import Field

from components.launch.job import Launch
from components.launch.pods import LabelKey, LabelValue, ObjectName, PodPlacement, Quantity
from components.models.reference import CACHE_VARIABLE
from components.shared.retry import PAUSE_FACTOR, PAUSE_SECONDS, RETRIES_VARIABLE, RETRY_SECONDS_VARIABLE
from components.shared.run_pointer import RUN_VARIABLE
from components.shared.settings import Settings
from components.shared.step import PID_FILE_VARIABLE
from components.shared.store import ATTEMPTS_VARIABLE, PATIENT_ATTEMPTS

DEFAULT = "default"
CLEAN_UP = "clean_up"
TASK_LABEL = "tutelage.dev/task"
"""Names the task on the step's own pod, since Kubeflow's labels do not: `train-sft`, as the recipe and status do."""
KINDS = ("collect", "curate", "synthesize", "select", "train", "merge", "evaluate", "publish", CLEAN_UP)
LAUNCHER, RAY, TRAIN = "tutelage/launcher:0.1.0", "tutelage/ray:0.1.0", "tutelage/train:0.1.0"
IMAGES = {"synthesize": RAY, CLEAN_UP: LAUNCHER}
"""Images that ship, by step; the others run in TRAIN. Each does the step's work whether in a job or in its own pod."""
SCRATCH = "/tmp"  # noqa: S108 - a volume of the pod's own, not a folder that is shared with others
CERTIFICATES = "/etc/tutelage/certificates"
TRUST_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
PID_FILE = f"{SCRATCH}/tutelage.pid"
# Argo runs this in the container to cancel it, with the signal's number for %d. It reaches the component alone, which
# then has seconds to delete its job; Argo's own way takes Kubeflow's launcher down first, and the pod with it.
KILL_ANNOTATION = "workflows.argoproj.io/kill-cmd-main"
KILL_COMMAND = f'["/bin/sh","-c","kill -%d $(cat {PID_FILE} 2>/dev/null || echo 1)"]'


class TaskPlacement(Settings):
    """What one task's pod asks of the cluster. A run on one machine ignores it."""

    cpu: Quantity = Field("1", description="CPU request: cores, or millicores with m")
    cpu_limit: Quantity | None = Field(None, description="CPU limit; left out: the request")
    memory: Quantity = Field("2Gi", description="memory request and limit")
    accelerator: str = Field("nvidia.com/gpu", description="resource name of the accelerator")
    accelerators: int = Field(0, ge=0, description="accelerators of that kind")
    scratch: Quantity = Field("20Gi", description=f"most that the pod may write to {SCRATCH}: downloaded models too")
    node_selector: dict[LabelKey, LabelValue] = Field({}, description="more labels that the node must have")
    retries: int = Field(2, ge=0, description="tries after a failure: by Kubeflow, else by the step within its pod")
    retry_for_seconds: int = Field(7 * 24 * 3600, ge=0, description="longest time after which a retry still happens")


class Placement(Settings):
    """Where a recipe runs on a cluster. A run on one machine ignores it."""

    image: str = Field(
        "", description=f"image of the steps and their jobs; empty: those that ship, {RAY} for synthesize, {TRAIN}"
    )
    images: dict[str, str] = Field({}, description=f"another image by step: {', '.join(KINDS)}")
    service_account: ObjectName = Field(
        "", description="service account that the steps run as; empty: Kubeflow's own (pipeline-runner, default-editor)"
    )
    pods: PodPlacement = Field(
        PodPlacement(),
        description="holds for all pods. Kubeflow cannot put a priority class or pod affinity on the steps' own pods, "
        "which hold little: those two reach the jobs alone",
    )
    tasks: dict[str, TaskPlacement] = Field({}, description=f"the steps' own pods, by step: {DEFAULT}, the steps")
    jobs: dict[str, Launch] = Field(
        {}, description="replaces a step's `launch` on a cluster: synthesize, train, or train-VARIANT"
    )

    def of(self, step: str) -> TaskPlacement:
        """The placement of a step's tasks."""
        return self.tasks.get(step) or self.tasks.get(DEFAULT) or TaskPlacement()

    def image_of(self, step: str) -> str:
        """The image of a step, and of its jobs unless they name another."""
        return self.images.get(step) or self.image or IMAGES.get(step, TRAIN)


def place(task: Any, step: str, placement: Placement, *, name: str = "", starts_job: bool = False) -> None:
    """Put a step's placement on a kfp task.

    Args:
        task: the kfp task.
        step: whose placement.
        placement: of the recipe.
        name: the task's name, `train-sft`; empty: the step's.
        starts_job: it runs a job on the cluster, and ends it when cancelled.

    Kubeflow's caching is off: an output's address already answers whether the work is done, and unlike a cached
    task it notices when the bytes are gone.
    """
    task.set_container_image(placement.image_of(step))
    task.set_caching_options(False)
    _ask_for(task, placement.of(step))
    _put_in(task, placement.pods)
    if step != CLEAN_UP:  # it speaks to the cluster alone
        _hand_secrets(task, placement.pods)
    _give_scratch(task, placement.of(step).scratch)
    _schedule(task, placement.pods, placement.of(step).node_selector)
    from kfp import kubernetes

    kubernetes.add_pod_label(task, TASK_LABEL, name or step)
    if starts_job:
        task.set_env_variable(PID_FILE_VARIABLE, PID_FILE)
        kubernetes.add_pod_annotation(task, KILL_ANNOTATION, KILL_COMMAND)


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
    for name in TRUST_VARIABLES:
        task.set_env_variable(name, f"{CERTIFICATES}/{authority.key}")


def _hand_secrets(task: Any, pods: PodPlacement) -> None:
    """Secrets as variables: the pipeline holds their names, the kubelet puts the values into the pod."""
    from kfp import kubernetes

    for name, secret in sorted(pods.secrets.items()):
        kubernetes.use_secret_as_env(task, secret.secret, {secret.key: name})


def _give_scratch(task: Any, size: str) -> None:
    """A folder to write to: Kubeflow leaves HOME at /, which nobody but root may write to."""
    from kfp import kubernetes

    kubernetes.empty_dir_mount(task, "scratch", SCRATCH, size_limit=size)
    task.set_env_variable("HOME", SCRATCH)
    task.set_env_variable("USER", "tutelage")  # no passwd file names the numeric user
    task.set_env_variable(CACHE_VARIABLE, f"{SCRATCH}/tutelage-cache")


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
