"""The clean-up on clusters that lack an operator, with the rights that the chart gives there.

An API server checks the right to a kind before it checks whether it serves that kind. The chart's Role names the kinds
that are served, so for the others a step's account gets 403 and never 404: only a real API server shows that.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.launch.kinds.kind import MANAGED_BY, RUN_LABEL
from components.shared.outputs.run_pointer import RUN_VARIABLE
from tests.charts.programs import as_values
from tests.cluster.access import STEP_ACCOUNT, Cluster, Object
from tests.cluster.jobs import account_kubeconfig, wait_for
from tests.cluster.node.operators import operator_named, wait_ready
from tests.cluster.objects import pytorchjob, rayjob, training_runtime, trainjob
from tests.cluster.storage import Storage
from tests.cluster.team import Team, new_team

pytestmark = pytest.mark.alone

RUN, OTHER_RUN = "run-1", "run-2"
GROUPS = {"kuberay": "ray.io", "training-operator": "kubeflow.org", "trainer": "trainer.kubeflow.org"}
KINDS = {"kuberay": "rayjobs", "training-operator": "pytorchjobs", "trainer": "trainjobs"}
PROGRAM = "from components.clean_up.component import clean_up; clean_up.python_func()"
ROOT = Path(__file__).parents[2]
SERVED_SECONDS = 60.0


@pytest.fixture
def team(own_node: Cluster, storage: Storage) -> Iterator[Team]:
    """A namespace of the test, whose chart is installed after the test has chosen what the cluster serves."""
    with new_team(own_node, storage) as made:
        yield made


@pytest.fixture
def without(own_node: Cluster) -> Iterator[Callable[[str], None]]:
    """Stops the API server from serving an operator's kinds; they are restored after the test."""
    taken: list[str] = []

    def take(operator: str) -> None:
        taken.append(operator)
        serve(own_node, operator, False)

    yield take
    for operator in taken:
        serve(own_node, operator, True)
        there = operator_named(operator)
        # Its watches of the kinds ended with them.
        own_node.kubectl("rollout", "restart", f"--namespace={there.namespace}", f"deployment/{there.deployment}")
        wait_ready(there)


def serve(cluster: Cluster, operator: str, served: bool) -> None:
    """Change whether the API server serves the kinds of an operator's group, and wait until it takes effect."""
    group = GROUPS[operator]
    for crd in cluster.get("customresourcedefinitions")["items"]:
        if crd["spec"]["group"] == group:
            places = [f"/spec/versions/{number}/served" for number in range(len(crd["spec"]["versions"]))]
            patch = json.dumps([{"op": "replace", "path": place, "value": served} for place in places])
            cluster.kubectl("patch", "customresourcedefinition", crd["metadata"]["name"], "--type=json", f"-p={patch}")
    plural = KINDS[operator]
    wait_for(
        f"{plural}: {'served' if served else 'not served'}",
        lambda: (plural in cluster.kubectl("api-resources", f"--api-group={group}", "-o", "name")) == served,
        SERVED_SECONDS,
    )


def job_of(run: str, made: Object) -> Object:
    """A job as a step of a run creates it."""
    return {**made, "metadata": {**made["metadata"], "labels": {**MANAGED_BY, RUN_LABEL: run}}}


def clean_up(team: Team, folder: Path) -> tuple[int, str]:
    """Run the component with the token of the account that Kubeflow runs steps as; its exit code and log."""
    environment = {**os.environ, "KUBECONFIG": str(account_kubeconfig(team, folder)), RUN_VARIABLE: RUN}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stderr


def left(team: Team, *plurals: str) -> set[str]:
    """Names of the jobs that exist and are not being deleted."""
    items = team.cluster.get(",".join(plurals), namespace=team.name)["items"]
    return {one["metadata"]["name"] for one in items if "deletionTimestamp" not in one["metadata"]}


def refused(team: Team, plural: str) -> str:
    """The API server's answer when the steps' account lists the jobs of a kind."""
    account = f"system:serviceaccount:{team.name}:{STEP_ACCOUNT}"
    path = {"rayjobs": "ray.io/v1", "pytorchjobs": "kubeflow.org/v1", "trainjobs": "trainer.kubeflow.org/v1alpha1"}
    where = f"/apis/{path[plural]}/namespaces/{team.name}/{plural}"
    return team.cluster.kubectl("get", "--raw", where, f"--as={account}", check=False)


@pytest.mark.parametrize(
    ("missing", "others"),
    [
        ("training-operator", ("rayjobs", "trainjobs")),
        ("kuberay", ("trainjobs", "pytorchjobs")),
        ("trainer", ("rayjobs", "pytorchjobs")),
    ],
)
def test_a_cluster_that_lacks_an_operator_is_cleaned_up(
    team: Team, without: Callable[[str], None], tmp_path: Path, missing: str, others: tuple[str, str]
) -> None:
    without(missing)
    team.install()
    assert "orbidden" in refused(team, KINDS[missing]), "403, though there is no such kind"
    made = {"rayjobs": rayjob("r"), "trainjobs": trainjob("t", "runtime"), "pytorchjobs": pytorchjob("p")}
    runtimes = [training_runtime("runtime")] if "trainjobs" in others else []
    jobs = [job_of(RUN, made[plural]) for plural in others]
    foreign = job_of(OTHER_RUN, {**made[others[0]], "metadata": {"name": "foreign"}})
    team.cluster.apply(*runtimes, *jobs, foreign, namespace=team.name)
    code, log = clean_up(team, tmp_path)
    assert code == 0, log
    assert left(team, *others) == {"foreign"}, log
    assert KINDS[missing] not in log


def test_a_kind_without_its_right_fails_last_and_is_named(team: Team, tmp_path: Path) -> None:
    """The Role leaves out a served kind, the first one: the others are cleaned up nevertheless."""
    team.install(as_values(**{"operators.kuberay": "disabled"}))
    jobs = [job_of(RUN, trainjob("t", "runtime")), job_of(RUN, pytorchjob("p"))]
    team.cluster.apply(training_runtime("runtime"), *jobs, namespace=team.name)
    code, log = clean_up(team, tmp_path)
    assert code == 1 and left(team, "trainjobs", "pytorchjobs") == set(), log
    assert f"service account {team.name}/{STEP_ACCOUNT} may not list rayjobs" in log and "k8s/base/role.yaml" in log
