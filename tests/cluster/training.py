"""A run right before its training: the select step's output is in the store, as Kubeflow would hand it over.

The training is a two-node TrainJob of about 60 steps, unless a test changes it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from kubernetes import client, config

from components.launch.kinds.kind import is_controlled
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import KtoRow, Message, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from components.shared.store.open_store import open_store
from components.train.checkpoints.checkpoint import complete_steps
from tests.cluster.access import Namespace, Object
from tests.cluster.demo import compile_demo, placement_for
from tests.cluster.jobs import PLURALS, wait_for
from tests.cluster.kubeflow.compiled import TaskOutputs, read_compiled
from tests.cluster.kubeflow.run import Run
from tests.cluster.storage import Storage

ROWS = 160
SETTINGS = {
    "learning_rate": 1e-3,
    "epochs": 3,
    "global_batch": 8,
    "max_length": 64,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "checkpoint_steps": 5,
}
OWN_SETTINGS: dict[str, dict[str, Any]] = {"sft": {}, "kto": {"kto": {"kl_batch": 8}}}
CONTINUED = "continuing from the checkpoint of step "


class TrainRun:
    """A run whose next task is the training.

    Attributes:
        task: the training's name in the compiled pipeline.
        components: the modules of those that its pods run; None: any.
    """

    task: ClassVar[str] = "train"
    components: ClassVar[frozenset[str] | None] = frozenset(
        {"components.train.component", "components.clean_up.component"}
    )

    def __init__(self, namespace: Namespace, storage: Storage, folder: Path) -> None:
        self.namespace, self.storage, self.folder = namespace, storage, folder
        self.root = f"{namespace.store}/demo"
        self.run: Run

    def begin(
        self, *, method: str = "sft", endpoint: str = "", epochs: int = 3, shares: str = "even", **train: Any
    ) -> "TrainRun":
        """Compile and register the run; `train` changes the training's launch, `endpoint` the store's address."""
        settings = {**SETTINGS, **OWN_SETTINGS[method], "method": method, "epochs": epochs, "shares": shares}
        changes = {"train": {method: {"settings": settings}}, "merge": {}}
        placement = placement_for(self.storage, self.folder, train, endpoint)
        self.run = self.registered(compile_demo(self.namespace, placement, self.folder, changes))
        self.put("select", "dataset", self._selected())
        return self

    def registered(self, compiled: Path) -> Run:
        """A run of a compiled pipeline in the namespace."""
        core = client.CoreV1Api(config.new_client_from_config(str(self.namespace.cluster.kubeconfig)))
        root = f"{self.namespace.store}/kubeflow"
        return Run(core, self.namespace.name, compiled, root=root, parameters={}, components=self.components)

    def again(self, *, shares: str = "even", **train: Any) -> None:
        """Compile again, as for a second run of the same recipe on other hardware."""
        placement = placement_for(self.storage, self.folder, train)
        settings = {**SETTINGS, "method": "sft", "shares": shares}
        changes = {"train": {"sft": {"settings": settings}}, "merge": {}}
        _, self.run.tasks = read_compiled(compile_demo(self.namespace, placement, self.folder, changes))

    def start(self, attempt: int = 0) -> str:
        """Start the training's pod; returns its name."""
        return self.run.start_pod(self.run.task(self.task), attempt)

    def start_and_wait_for_checkpoint(self) -> str:
        """Start the training, and wait until its first checkpoint is complete in the store; returns the pod's name.

        The log names a checkpoint once training goes on, while its files are still being uploaded.
        """
        pod = self.start()
        self.wait_for("checkpoint at step", pod)
        wait_for("a complete checkpoint", self._has_checkpoint, 120, lambda: self.run.log(pod))
        return pod

    def _has_checkpoint(self) -> bool:
        trained = f"{self.root}/train"
        addresses = {entry.key.partition("/")[0] for entry in open_store(trained).list("")}
        return any(complete_steps(open_store(f"{trained}/{address}")) for address in addresses)

    def wait_for(self, text: str, pod: str, seconds: float = 600) -> None:
        """Wait until a pod's log contains a text."""
        wait_for(f"{text!r} in {pod}'s log", lambda: text in self.run.log(pod), seconds, lambda: self.run.log(pod))

    def jobs(self, kind: str = "TrainJob") -> list[Object]:
        """The existing jobs; a TrainJob's JobSet is a part of it."""
        found = self.namespace.cluster.list_objects(PLURALS[kind], namespace=self.namespace.name)
        return [job for job in found if not is_controlled(job)]

    def pods_of_jobs(self) -> list[Object]:
        """Pods of all jobs."""
        return self.namespace.cluster.list_objects("pods", "tutelage.dev/job", self.namespace.name)

    def kill_second_worker(self) -> None:
        """Delete the pod of the second node, without a grace period."""
        victim = next(name for pod in self.pods_of_jobs() if "-node-0-1" in (name := pod["metadata"]["name"]))
        self.namespace.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")

    def wait_until_nothing_is_left(self, kind: str = "TrainJob") -> None:
        """Whether neither a job nor a pod of one exists."""
        gone: Callable[[], bool] = lambda: not self.jobs(kind) and not self.pods_of_jobs()  # noqa: E731
        wait_for("nothing to be left", gone, 90, lambda: str(self.jobs(kind)))

    def model(self, pod: str) -> dict[str, float]:
        """The counts of the model that a finished pod wrote."""
        return dict(self.made(pod).counts)

    def made(self, pod: str) -> Manifest:
        """The output that a finished pod wrote."""
        return Library(self.root).load(self._address(pod))

    def records(self, pod: str, name: str) -> list[dict[str, Any]]:
        """The lines of a file of the output that a finished pod wrote."""
        body: bytes = self.storage.client.get_object(**self._object(pod, name))["Body"].read()
        return [json.loads(line) for line in body.splitlines()]

    def remove_output(self, pod: str) -> None:
        """Delete the output that a finished pod wrote, so that the same training is done again."""
        bucket, prefix = self._object(pod, "").values()
        for item in self.storage.client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            self.storage.client.delete_object(Bucket=bucket, Key=item["Key"])

    def _address(self, pod: str) -> str:
        output: str = self.run.outcome(pod, self.run.task(self.task)).parameters["Output"]
        return output.removeprefix(f"{self.root}/")

    def _object(self, pod: str, name: str) -> dict[str, str]:
        bucket, _, prefix = f"{self.root}/{self._address(pod)}/{name}".removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": prefix}

    def put(self, task: str, name: str, manifest: Manifest) -> None:
        """Hand an output over as the artifact of a task, as Kubeflow would."""
        key = f"kubeflow/{self.run.name}/{task}/{name}"
        body = manifest.model_dump_json().encode()
        self.storage.client.put_object(Bucket=self.namespace.bucket, Key=key, Body=body)
        artifact = {
            "name": name,
            "type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
            "uri": f"{self.namespace.store}/{key}",
            "metadata": {},
        }
        self.run.made[task] = TaskOutputs({}, {name: artifact})

    def _selected(self) -> Manifest:
        output = Output(Library(self.root), Product("select", 1, "selection/1"), Settings(), {})
        output.write_rows("sft/00000", [_demonstration(number) for number in range(ROWS)])
        output.write_rows("kto/00000", [_judged(number) for number in range(ROWS)])
        return output.finish()


def continued_from(log: str) -> int:
    """The step from which a training continued. Fails when it started from scratch."""
    assert CONTINUED in log, log[-3000:]
    return int(log.rpartition(CONTINUED)[2].split()[0].rstrip(",;.:"))


def last_checkpoint(log: str) -> int:
    """The last step for which a log reports a checkpoint."""
    return int(log.rpartition("checkpoint at step ")[2].split()[0])


def _prompt(number: int) -> tuple[Message, ...]:
    return (Message(role="user", content=f"What is {number} plus 1?"),)


def _demonstration(number: int) -> SftRow:
    text = str(number + 1)
    return SftRow(id=str(number), prompt=_prompt(number), completion=text, origin="teacher", scores=Scores())


def _judged(number: int) -> KtoRow:
    good = number % 3 > 0
    text, origin = str(number + 1 if good else number - 1), "teacher" if good else "student"
    facts = {"id": str(number), "prompt": _prompt(number), "completion": text, "origin": origin}
    return KtoRow.model_validate({**facts, "label": good, "scores": Scores()})
