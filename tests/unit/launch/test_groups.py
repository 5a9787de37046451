"""Groups of nodes in a job's launch: typed, checked, and counted as ranks."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.launch.accelerators import ACCELERATORS, PRODUCT_LABEL, accelerator_of
from components.launch.groups import NodeGroup, parse_bytes
from components.launch.job import Launch

H100 = {"nodes": 2, "accelerator": "H100"}
A10 = {"nodes": 3, "processes_per_node": 4, "accelerator": "A10"}


def launch(**values: Any) -> Launch:
    return Launch.model_validate({"launcher": "TrainJob", "processes_per_node": 8, "groups": [H100, A10], **values})


def test_ranks_are_those_of_all_groups() -> None:
    assert launch().processes == 2 * 8 + 3 * 4
    assert Launch(nodes=2, processes_per_node=3).processes == 6


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"launcher": "local"}, "launcher is 'local'; allowed: .*TrainJob"),
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
