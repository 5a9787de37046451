"""Groups of nodes in a job's launch: typed, checked, and counted as ranks."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.launch.accelerators import ACCELERATORS, PRODUCT_LABEL, accelerator_of
from components.launch.groups import NodeGroup, parse_bytes
from components.launch.job import Launch

H100 = {"nodes": 2, "accelerator": "H100"}
CPUS = {"nodes": 1, "accelerator": "CPU", "memory": "8G", "speed": 9.0}
A10 = {"nodes": 3, "processes_per_node": 4, "accelerator": "A10"}


def launch(**values: Any) -> Launch:
    return Launch.model_validate({"launcher": "JobSet", "processes_per_node": 8, "groups": [H100, A10], **values})


def test_ranks_are_those_of_all_groups() -> None:
    assert launch().processes == 2 * 8 + 3 * 4
    assert Launch(nodes=2, processes_per_node=3).processes == 6


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"launcher": "local"}, "a 'local' job has equal nodes; allowed: launcher JobSet"),
        ({"launcher": "TrainJob"}, "a 'TrainJob' job has equal nodes; allowed: launcher JobSet"),
        ({"pods": {"gpus": 8}}, "pods.gpus 8 beside groups: each pod of a group has a GPU for each process"),
        ({"nodes": 2}, "nodes beside groups"),
        ({"speeds": [1, 2]}, "speeds beside groups"),
        ({"groups": [{"nodes": 0, "accelerator": "H100"}]}, "greater than or equal to 1"),
        ({"groups": [{"nodes": 1, "accelerator": "B100"}]}, "needs speed and memory; allowed without: H200, H100"),
        ({"groups": [{"nodes": 1, "accelerator": "B100", "speed": 9.0}]}, "needs memory;"),
        ({"groups": [{**H100, "memory": "24"}]}, "String should match"),
        ({"groups": [{**H100, "speed": 0}]}, "greater than 0"),
        ({"groups": [{**H100, "gpu": 1}]}, "Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        launch(**values)


def test_pods_of_a_group_have_its_values_and_otherwise_those_of_the_job() -> None:
    pods = {"cpu": "4", "memory": "16Gi", "node_selector": {"pool": "gpu"}, "gpu_resource": "amd.com/gpu"}
    own = {"cpu": "8", "gpu_resource": "nvidia.com/mig-1g.10gb"}
    groups = [H100, A10 | {"pods": own, "node_selector": {"gpu": "a10"}}, {**CPUS, "pods": {"cpu_limit": "2"}}]
    first, second, third = (equal.pods for equal in launch(groups=groups, pods=pods).equal_nodes)
    assert (first.cpu, first.memory, first.gpus, first.gpu_resource) == ("4", "16Gi", 8, "amd.com/gpu")
    assert (second.cpu, second.memory, second.gpus, second.gpu_resource) == ("8", "16Gi", 4, "nvidia.com/mig-1g.10gb")
    assert second.node_selector == {"pool": "gpu", "gpu": "a10"} and first.node_selector == {"pool": "gpu"}
    assert (third.gpus, third.cpu_limit, first.cpu_limit) == (0, "2", None)


def test_a_job_file_holds_the_same_launch() -> None:
    given = launch(groups=[H100, A10 | {"pods": {"cpu": "8"}}], pods={"image": "a/b:1", "memory": "16Gi"})
    read = Launch.model_validate_json(given.model_dump_json())
    assert read == given and read.equal_nodes == given.equal_nodes


def test_memory_is_that_which_is_given_or_published() -> None:
    assert NodeGroup(nodes=1, accelerator="A10").memory_bytes == 24 * 10**9
    assert NodeGroup(nodes=1, accelerator="A10", memory="22.5Gi").memory_bytes == int(22.5 * 2**30)
    assert NodeGroup(nodes=1, accelerator="CPU", memory="8G", speed=100.0).memory_bytes == 8 * 10**9
    assert [parse_bytes(text) for text in ("512", "4Ki", "3M")] == [512, 4096, 3_000_000]


@pytest.mark.parametrize(
    ("product", "name"),
    [
        ("NVIDIA-H100-80GB-HBM3", "H100"),
        ("NVIDIA-A100-SXM4-40GB", "A100-40"),
        ("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "A100-80"),
        ("NVIDIA-L40S", "L40S"),
        ("NVIDIA-L4", "L4"),
        ("NVIDIA-A10G", ""),
        ("", ""),
    ],
)
def test_labels_of_nodes_name_the_accelerator(product: str, name: str) -> None:
    assert accelerator_of({PRODUCT_LABEL: product}) == name
    assert not name or name in ACCELERATORS
