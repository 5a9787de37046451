"""A training on three nodes that loses one for good continues on two, and learns what an undisturbed one does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.shared.outputs.manifest import Manifest
from components.shared.store.folder import FolderStore
from components.train.checkpoints.checkpoint import complete_steps
from tests.integration.train.node_operator import NodeOperator
from tests.unit.launch.api_server import ApiServer
from tests.unit.launch.conftest import api, kubeconfig, token_file

__all__ = ["api", "kubeconfig", "token_file"]  # fixtures
pytestmark = pytest.mark.timeout(1500)
CHOSEN: dict[str, Any] = {"method": "sft", "epochs": 10, "checkpoint_steps": 20, "deepspeed": {"stage": 1}}
STEPS = 120
ON_THREE: dict[str, Any] = {
    "launcher": "JobSet",
    "nodes": 3,
    "least_nodes": 2,
    "pods": {"image": "tutelage/train:0.1.0"},
}
GROUP: dict[str, Any] = {"nodes": 1, "accelerator": "CPU", "memory": "8G", "speed": 1000}
OTHER_RANKS = 1e-5


def at_two_checkpoints(root: str) -> bool:
    """Whether two checkpoints of the training are complete."""
    return any(len(complete_steps(FolderStore(folder))) > 1 for folder in Path(root, "train").glob("*"))


def assert_learns_the_same(references: Any, undisturbed: Manifest, disturbed: Manifest, root: str) -> None:
    """Compare every step's record."""
    expected, found = references.losses(undisturbed), references.losses(disturbed, root)
    assert len(found) == len(expected) == STEPS
    for name in ("step", "rows", "tokens", "learning_rate"):
        assert [record[name] for record in found] == [record[name] for record in expected]
    losses = [record["loss"] for record in expected]
    assert [record["loss"] for record in found] == pytest.approx(losses, rel=OTHER_RANKS)


@pytest.fixture
def disturbed_root(bench: Any, tmp_path: Path, api: ApiServer, kubeconfig: Path, monkeypatch: Any) -> str:
    """Another store, and a cluster that serves JobSets, whose clock is fast."""
    root = str(tmp_path / "disturbed")
    shutil.copytree(bench.root, root)
    monkeypatch.setattr("components.launch.follow.run_on_cluster.Clock", lambda: api.clock)
    api.served.add("jobsets")
    return root


def test_a_lost_node_is_left_out_and_the_shares_of_the_others_are_balanced(  # noqa: PLR0917 - fixtures
    bench: Any,
    references: Any,
    tmp_path: Path,
    api: ApiServer,
    disturbed_root: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    operator = NodeOperator(api, tmp_path / "nodes", lambda: at_two_checkpoints(disturbed_root), lost=1)
    api.on_create = operator
    launch = ON_THREE | {"speeds": [1, 0.5, 0.25]}
    disturbed = bench.train(**CHOSEN, shares="speed", launch=launch, root=disturbed_root)
    log = capfd.readouterr().err
    assert operator.nodes == [3, 3, 2], "all nodes are asked for before one is left out"
    assert "2 of 3 nodes are there after 300 s (pod node-1: Unschedulable: no nodes available)" in log
    assert "written by 3 processes, without 1 lost node" in log
    undisturbed = references.train(**CHOSEN)
    assert_learns_the_same(references, undisturbed, disturbed, disturbed_root)
    assert disturbed.address == undisturbed.address
    counts, found = disturbed.counts, bench.losses(disturbed, disturbed_root)
    without = [record["step"] for record in found if "nodes_left_out" in record]
    assert without == list(range(without[0], STEPS + 1)) and without[0] in range(21, STEPS, 20)
    assert (counts["ranks"], counts["nodes_left_out"]) == (2, 1)
    assert counts["steps_on_fewer_nodes"] == len(without)
    lines = Path(disturbed_root, disturbed.address, "shares.jsonl").read_text().splitlines()
    dealt = [json.loads(line) for line in lines]
    assert [(record["step"], len(record["shares"])) for record in dealt] == [(1, 3), (without[0], 2)]
    assert dealt[1]["shares"] == pytest.approx([0.8, 0.2], abs=1e-5), "the speeds of nodes 0 and 2"


def test_a_lost_group_is_left_out_and_the_others_measure_their_speeds(
    bench: Any, references: Any, tmp_path: Path, api: ApiServer, disturbed_root: str
) -> None:
    """The group that has the first rank."""
    operator = NodeOperator(api, tmp_path / "nodes", lambda: at_two_checkpoints(disturbed_root), lost=0)
    api.on_create = operator
    groups = [GROUP | {"least_nodes": 0}, GROUP, GROUP]
    launch = {"launcher": "JobSet", "groups": groups, "pods": ON_THREE["pods"]}
    disturbed = bench.train(**CHOSEN, shares="speed", launch=launch, root=disturbed_root)
    assert operator.nodes == [3, 3, 2]
    assert_learns_the_same(references, references.train(**CHOSEN), disturbed, disturbed_root)
    lines = Path(disturbed_root, disturbed.address, "shares.jsonl").read_text().splitlines()
    reasons = [(record["reason"], len(record["shares"])) for record in map(json.loads, lines)]
    assert reasons[0] == ("measured", 3) and ("measured", 2) in reasons
    assert disturbed.counts["nodes_left_out"] == 1
