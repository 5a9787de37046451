"""An operator of JobSets on a fake API server: each node's container is a process of this machine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from components.launch.api.clock import timestamp_of
from components.launch.api.resources import JOBSET, Object
from components.launch.here.local import LOOPBACK
from components.launch.kinds.jobset import NODE_RANK
from tests.conftest import free_port
from tests.deadlines import ended
from tests.unit.launch.api_server import ApiServer

REPOSITORY = Path(__file__).parents[3]
KILLED = 128 + signal.SIGKILL
SECONDS = 500.0
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no nodes available"}
SCHEDULED = {"type": "PodScheduled", "status": "True"}


@dataclass
class NodeOperator:
    """Runs every JobSet that is created, while there are nodes for all of its pods.

    Attributes:
        api: where JobSets are created.
        folder: each node has a cache of its own below it.
        may_lose: whether a node may be lost now.
        lost: the node that is lost once, with its pod, and not replaced.
        nodes: how many nodes each JobSet asked for.
    """

    api: ApiServer
    folder: Path
    may_lose: Callable[[], bool]
    lost: int
    nodes: list[int] = field(default_factory=list)
    _is_lost: bool = False

    def __call__(self, jobset: Object) -> None:
        """Play one JobSet from its creation to its end."""
        pods = [
            group["template"]["spec"]["template"]
            for group in jobset["spec"]["replicatedJobs"]
            for _ in range(group["replicas"])
        ]
        self.nodes.append(len(pods))
        # A cluster has as many nodes as it began with, and less the lost one.
        missing = self.lost if self._is_lost and len(pods) == self.nodes[0] else None
        for number, pod in enumerate(pods):
            condition = UNSCHEDULABLE if number == missing else SCHEDULED
            self._put(number, pod, "Pending" if number == missing else "Running", [condition])
        if missing is None:
            self._run(jobset, pods)

    def _run(self, jobset: Object, pods: list[Object]) -> None:
        port, name = str(free_port()), jobset["metadata"]["name"]
        running = [self._start(number, pod, port) for number, pod in enumerate(pods)]
        ready = [
            {"name": group["name"], "ready": group["replicas"], "succeeded": 0}
            for group in jobset["spec"]["replicatedJobs"]
        ]
        self._status(name, {"replicatedJobsStatus": ready})
        try:
            codes = self._wait(running)
        finally:
            for process in running:
                _kill(process)
        for number, pod in enumerate(pods):
            self._end(
                number, pod, KILLED if codes is None and number == self.lost else 0 if codes is None else codes[number]
            )
        outcome = "Failed" if codes is None or any(codes) else "Completed"
        self._status(name, {"conditions": [{"type": outcome, "status": "True", "reason": outcome}]})

    def _wait(self, running: list["subprocess.Popen[bytes]"]) -> list[int] | None:
        """Their exit codes; None: the node was lost."""
        until = time.monotonic() + SECONDS
        while any(process.poll() is None for process in running):
            if not self._is_lost and self.may_lose():
                self._is_lost = True
                return None
            assert time.monotonic() < until, "the nodes did not end"
            time.sleep(0.02)
        return [ended(process) for process in running]

    def _start(self, number: int, pod: Object, port: str) -> "subprocess.Popen[bytes]":
        """The container's command, with its variables for ranks, on the loopback device."""
        (container,) = pod["spec"]["containers"]
        given = {each["name"]: each.get("value", str(number)) for each in container["env"]}
        ours = {name: value for name, value in given.items() if name.startswith(("PET_", "TUTELAGE_NODES", "OMP_"))}
        place = {"PET_MASTER_ADDR": "127.0.0.1", "PET_LOCAL_ADDR": "127.0.0.1", "PET_MASTER_PORT": port}
        cache = {"TUTELAGE_CACHE": str(self.folder / f"node{number}")}
        environment = {**os.environ, **LOOPBACK, **ours, **place, **cache}
        command = [sys.executable, *container["command"][1:]]
        return subprocess.Popen(command, cwd=REPOSITORY, env=environment, start_new_session=True)

    def _put(self, number: int, pod: Object, phase: str, conditions: list[Object], code: int | None = None) -> None:
        now = timestamp_of(self.api.clock.now())
        state: Object = {"running": {"startedAt": now}} if phase == "Running" else {"waiting": {}}
        if code is not None:
            state = {"terminated": {"exitCode": code, "finishedAt": now}}
        meta = {**pod["metadata"], "name": f"node-{number}"}
        meta["labels"] = {**meta["labels"], NODE_RANK: str(number)}
        (container,) = pod["spec"]["containers"]
        statuses = [{"name": container["name"], "state": state}]
        status = {"phase": phase, "conditions": conditions, "containerStatuses": statuses}
        self.api.put("pods", {"metadata": meta, "spec": pod["spec"], "status": status})

    def _end(self, number: int, pod: Object, code: int) -> None:
        self._put(number, pod, "Failed" if code else "Succeeded", [SCHEDULED], code)

    def _status(self, name: str, status: Object) -> None:
        found = self.api.get(JOBSET.plural, name)
        assert found is not None
        self.api.put(JOBSET.plural, {**found, "status": {**found.get("status", {}), **status}})


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    ended(process)
