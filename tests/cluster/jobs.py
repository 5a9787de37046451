"""Small jobs on the cluster, run by a process that has exactly the rights that the product ships."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from components.launch.job import Job, Launch
from components.launch.kinds.kind import resource_name
from components.launch.pods import Pods
from tests.cluster.access import STEP_ACCOUNT, Namespace, Object
from tests.cluster.images import image

PLURALS = {"TrainJob": "trainjobs", "PyTorchJob": "pytorchjobs", "JobSet": "jobsets", "RayJob": "rayjobs"}
END_SECONDS = 420.0


def small_job(namespace: Namespace, statement: str, *, launcher: str = "TrainJob", **changed: Any) -> Job:
    """A job that runs one Python statement in each process, with the standard library's timeit."""
    holder = image("ray" if launcher == "RayJob" else "train")
    pods: dict[str, Any] = {"cpu": "50m", "memory": "1Gi", "scratch": "1Gi", "image": holder}
    pods |= {"namespace": namespace.name, **changed.pop("pods", {})}
    launch = {"launcher": launcher, "restarts": 1, "pods": Pods.model_validate(pods), **changed}
    return Job(
        name=f"small-{uuid.uuid4().hex[:16]}",
        program="ray" if launcher == "RayJob" else "torchrun",
        module="timeit",
        arguments=("-n", "1", "-r", "1", statement),
        launch=Launch.model_validate(launch),
    )


def account_kubeconfig(namespace: Namespace, folder: Path, *token_options: str) -> Path:
    """A kubeconfig of the step's service account, with its token in a separate file."""
    admin = yaml.safe_load(namespace.cluster.kubeconfig.read_text())
    server = admin["clusters"][0]["cluster"]
    (folder / "token").write_text(new_token(namespace, *token_options))
    user = {"tokenFile": str(folder / "token")}
    context = {"cluster": "cluster", "user": "step", "namespace": namespace.name}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": server}],
        "users": [{"name": "step", "user": user}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def new_token(namespace: Namespace, *options: str) -> str:
    """A token of the step's service account."""
    return namespace.kubectl("create", "token", STEP_ACCOUNT, *options).strip()


def ray_job(namespace: Namespace, program: str, **changed: Any) -> Job:
    """A RayJob whose driver is a module from a ConfigMap, since Ray's command line cannot pass a statement."""
    job = small_job(namespace, "", launcher="RayJob", **changed)
    name = job.name.replace("small", "program")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"program.py": program}}
    namespace.cluster.apply(config, namespace=namespace.name)
    pods = job.launch.pods.model_copy(
        update={
            "memory": "2Gi",
            "volumes": ({"name": "program", "configMap": {"name": name}},),
            "volume_mounts": ({"name": "program", "mountPath": "/program", "readOnly": True},),
        }
    )
    launch = job.launch.model_copy(update={"pods": pods, "environment": {"PYTHONPATH": "/program"}})
    return job.model_copy(update={"launch": launch, "module": "program", "arguments": ()})


class StartedJob:
    """A process that runs a job, its log, and the job's objects on the cluster."""

    def __init__(self, namespace: Namespace, job: Job, kubeconfig: Path, folder: Path) -> None:
        self.namespace, self.job = namespace, job
        self.name, self.plural = resource_name(job), PLURALS[job.launch.launcher]
        self._log = folder / f"log-{uuid.uuid4().hex[:8]}"
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "tests.cluster.run_job"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, cwd=Path(__file__).parents[2]
            )
        assert self.process.stdin is not None
        self.process.stdin.write(job.model_dump_json().encode())
        self.process.stdin.close()

    @property
    def log(self) -> str:
        """The process's output so far."""
        return self._log.read_text(errors="replace")

    def ended(self, seconds: float = END_SECONDS) -> int:
        """Wait for the process; its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended after {seconds:.0f} s:\n{self.log}\n{self.state()}") from None

    def says(self, text: str, seconds: float = END_SECONDS) -> None:
        """Wait until the log contains a text."""
        wait_for(f"{text!r} in the log", lambda: text in self.log or self._gone(text), seconds, lambda: self.log)

    def _gone(self, text: str) -> bool:
        if self.process.poll() is not None and text not in self.log:
            raise AssertionError(f"the process ended without {text!r}:\n{self.log}")
        return False

    def resource(self) -> Object | None:
        """The job's resource; None when there is none."""
        found = self.namespace.cluster.list_objects(self.plural, namespace=self.namespace.name)
        return next((item for item in found if item["metadata"]["name"] == self.name), None)

    def pods(self) -> list[Object]:
        """The job's pods."""
        return self.namespace.cluster.list_objects("pods", f"tutelage.dev/job={self.name}", self.namespace.name)

    def running_pods(self) -> list[str]:
        """Names of the pods that run and are not being deleted."""
        return sorted(
            str(pod["metadata"]["name"])
            for pod in self.pods()
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        )

    def state(self) -> str:
        """For a failed test: the state of the cluster."""
        described = self.namespace.kubectl("get", f"{self.plural},pods,events", "-o", "wide", check=False)
        return described[-4000:]

    def stop(self) -> None:
        """End the process, if it still runs."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)


Start = Callable[[Job], StartedJob]
"""Starts a job with the rights of the product's Role."""


def wait_for(what: str, done: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    """Wait for a condition. Fails with an explanation."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}:\n{explain()}")
        time.sleep(0.5)
