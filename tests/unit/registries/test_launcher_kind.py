"""A made-up kind of custom resource, added by the registry alone, runs a job to its end on the fake API server."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.launch.api.clock import timestamp_of
from components.launch.api.cluster import Cluster
from components.launch.api.resources import JOB_VERBS, Object, Resource
from components.launch.follow.clean_up import delete_unfinished
from components.launch.job import Job, Launch, run_job
from components.launch.kinds.kind import RUN_LABEL, JobAttempt, Standing, custom_resource, pods_of, resource_name
from components.launch.kinds.pod_template import command_of, container_of, pod_template
from components.launch.registry import LAUNCHERS, Launcher, launchers_of, resources_used
from components.shared.errors import JobError, SettingsError
from tests.unit.launch import api_server
from tests.unit.launch.api_server import ApiServer
from tests.unit.launch.conftest import api, kubeconfig, token_file
from tests.unit.launch.plain_kind import until

__all__ = ["api", "kubeconfig", "token_file"]  # fixtures

SWARM = Resource("swarm.test", "v1", "swarmjobs", "SwarmJob", "the swarm's operator", JOB_VERBS)


class SwarmKind:
    """A SwarmJob has one pod; its status holds the pod's phase."""

    @property
    def resource(self) -> Resource:
        return SWARM

    def as_served(self, cluster: Cluster) -> "SwarmKind":
        return self

    def manifest(self, job: Job, attempt: JobAttempt) -> Object:
        template = pod_template(job, attempt, container_of(job, "main", command_of(job)))
        return custom_resource(SWARM, job, attempt, {"template": template})

    def standing(self, resource: Object) -> Standing:
        phase = resource.get("status", {}).get("phase")
        return Standing({"Running": "running", "Succeeded": "succeeded", "Failed": "failed"}.get(phase, "starting"))

    def stopping(self) -> Object:
        return {}

    def pod_selector(self, job: Job) -> str:
        return pods_of(job)

    def is_main(self, pod: Object) -> bool:
        return True

    def node_of(self, pod: Object) -> int | None:
        return None


@pytest.fixture
def swarm(api: ApiServer, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """An API server with the operator's custom resource, and the launcher in the registry."""
    monkeypatch.setitem(LAUNCHERS, "SwarmJob", Launcher(("ray",), resource=SWARM, kind=f"{__name__}:SwarmKind"))
    monkeypatch.setitem(api_server.GROUPS, SWARM.plural, SWARM.api_version)
    monkeypatch.setattr("components.launch.follow.run_on_cluster.Clock", lambda: api.clock)
    api.served.add(SWARM.plural)
    yield api


def swarm_job(program: str = "ray") -> Job:
    launch = Launch.model_validate({"launcher": "SwarmJob", "restarts": 0, "pods": {"image": "tutelage/ray:0.1.0"}})
    return Job(name="made-up-0123", program=program, module="made.up", launch=launch)


def operate(api: ApiServer, code: int) -> None:
    """Play the operator: run each new resource's pod to its end with an exit code."""

    def run(resource: Object) -> None:
        template = resource["spec"]["template"]
        pod = {**template, "metadata": {"name": f"{resource['metadata']['name']}-0", **template["metadata"]}}
        name, phase = pod["metadata"]["name"], "Failed" if code else "Succeeded"
        end = {"terminated": {"exitCode": code, "finishedAt": timestamp_of(api.clock.now())}}
        api.put("pods", {**pod, "status": {"phase": "Running", "containerStatuses": [status({"running": {}})]}})
        api.say(name, "10 rows")
        api.put("pods", {**pod, "status": {"phase": phase, "containerStatuses": [status(end)]}})
        api.put(SWARM.plural, {**resource, "status": {"phase": phase}})

    api.on_create = run


def status(state: Object) -> Object:
    return {"name": "main", "state": state}


def test_a_job_of_a_made_up_kind_runs_to_its_end(swarm: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    operate(swarm, 0)
    run_job(swarm_job())
    created = swarm.get(SWARM.plural, resource_name(swarm_job()))
    assert created is not None and created["metadata"]["annotations"]["tutelage.dev/acknowledged"] == "true"
    (container,) = created["spec"]["template"]["spec"]["containers"]
    assert container["command"][-2:] == ["-m", "made.up"]
    log = capsys.readouterr().err
    assert "SwarmJob team/made-up-0123: created" in log and "10 rows\n" in log


def test_its_failure_names_the_pod(swarm: ApiServer) -> None:
    operate(swarm, 3)
    with pytest.raises(JobError, match=r"pod made-up-0123-0: exit code 3; its last lines:\n    10 rows"):
        run_job(swarm_job())


def test_everything_that_depends_on_launchers_knows_it(swarm: ApiServer) -> None:
    launch = swarm_job().launch
    assert launch.on_cluster and launch.wait_seconds == math.inf
    assert "SwarmJob" in launchers_of("ray") and "SwarmJob" not in launchers_of("torchrun")
    assert SWARM in resources_used(), "doctor checks the rights to it"
    with pytest.raises(SettingsError, match="does not run torchrun programs"):
        run_job(swarm_job("torchrun"))


def test_clean_up_deletes_it(swarm: ApiServer) -> None:
    labels = {"app.kubernetes.io/managed-by": "tutelage", RUN_LABEL: "run-1"}
    swarm.put(SWARM.plural, {"metadata": {"name": "left", "labels": labels}, "status": {"phase": "Running"}})
    assert delete_unfinished(Cluster("team"), "run-1", swarm.clock) == ["SwarmJob team/left"]
    until(lambda: swarm.get(SWARM.plural, "left") is None)


def test_a_cluster_without_its_operator_says_what_to_install(swarm: ApiServer) -> None:
    swarm.served.discard(SWARM.plural)
    with pytest.raises(JobError, match="does not serve SwarmJob") as raised:
        run_job(swarm_job())
    assert "install the swarm's operator" in raised.value.remedy
