"""Accelerators by their published numbers, from which a plan predicts memory and time before anything runs.

Memory, operations and links inside a machine are those of NVIDIA's data sheets (H100 SXM, H200; A100 SXM, 40 and 80 GB;
L40S; L4; A10; T4). The network of each is an assumption: 400 Gbit/s for each accelerator beside H100 and H200, 200
beside A100, 100 beside others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PRODUCT_LABEL = "nvidia.com/gpu.product"
"""The label of a node by which GPU feature discovery names its GPUs."""
CPU = "CPU"
"""The accelerator of nodes without one: their processes compute on the host's cores, in the host's memory."""
GB = 10**9


@dataclass(frozen=True)
class Accelerator:
    """A kind of accelerator.

    Attributes:
        operations: a second, dense bf16; the T4 has no bf16, so fp16.
        memory: bytes.
        link: bytes a second in one direction to others of the same machine: half of what the data sheet adds up.
        network: bytes a second of one accelerator to other machines.
        products: how the values of `PRODUCT_LABEL` begin.
    """

    operations: float
    memory: int
    link: float
    network: float
    products: tuple[str, ...]


ACCELERATORS: Mapping[str, Accelerator] = {
    "H200": Accelerator(989e12, 141 * GB, 450e9, 50e9, ("NVIDIA-H200",)),
    "H100": Accelerator(989e12, 80 * GB, 450e9, 50e9, ("NVIDIA-H100-80GB",)),
    "A100-80": Accelerator(312e12, 80 * GB, 300e9, 25e9, ("NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-SXM-80GB")),
    "A100-40": Accelerator(312e12, 40 * GB, 300e9, 25e9, ("NVIDIA-A100-SXM4-40GB", "A100-SXM4-40GB")),
    "L40S": Accelerator(362e12, 48 * GB, 32e9, 12.5e9, ("NVIDIA-L40S",)),
    "L4": Accelerator(121e12, 24 * GB, 32e9, 12.5e9, ("NVIDIA-L4",)),
    "A10": Accelerator(125e12, 24 * GB, 32e9, 12.5e9, ("NVIDIA-A10",)),
    "T4": Accelerator(65e12, 16 * GB, 16e9, 12.5e9, ("Tesla-T4", "NVIDIA-T4")),
}
"""By the name that a placement and a plan give them."""


def accelerator_of(node_selector: Mapping[str, str]) -> str:
    """The accelerator of the nodes that these labels select; empty where they do not show one that is known."""
    product = node_selector.get(PRODUCT_LABEL, "")
    fitting = [
        (len(prefix), name)
        for name, accelerator in ACCELERATORS.items()
        for prefix in accelerator.products
        if product == prefix or product.startswith(f"{prefix}-")
    ]
    return max(fitting)[1] if fitting else ""
