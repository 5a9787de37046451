"""On a GPU in bf16, the equalities that tests on CPUs check in fp32. They are skipped without a GPU."""

from typing import Any

import pytest
import torch

from components.models.forward.attention_kernels import REFERENCE
from components.models.forward.check_packed import packed_model
from components.models.forward.choose_kernel import choose_kernel
from components.models.forward.pack import pack
from tests.packed_models import ROWS, make_packed_model, make_rows

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="lacks a CUDA GPU")
PLAIN = ["heads_of_their_own", "grouped_heads", "tied_head", "query_and_key_norms", "sliding_window", "two_windows"]
"""Models that the variable-length kernel computes, without experts, whose choice rounding can change."""
BF16 = 0.05
"""Relative: eight bits of a bf16's fraction, over the layers of a small model."""


def gradients(name: str, device: str, dtype: torch.dtype, recomputed: bool = False) -> tuple[float, dict[str, Any]]:
    """The loss of packed rows and the gradient of each weight, in fp32 on the CPU."""
    model, rows = make_packed_model(name).to(device, dtype), make_rows(*ROWS)
    model.train()
    if recomputed:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    packed, batch = packed_model(model), pack(rows).to(torch.device(device))
    loss = packed.summed_loss(batch, packed.hidden(batch)) / len(batch.label_ids)
    loss.backward()
    return loss.item(), {n: p.grad.float().cpu() for n, p in model.named_parameters() if p.grad is not None}


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each weight's gradient within bf16's rounding, by its norm."""
    assert found.keys() == expected.keys()
    for name, slope in expected.items():
        assert (found[name] - slope).norm() <= BF16 * slope.norm() + 1e-4, name


@pytest.mark.parametrize("name", PLAIN)
def test_losses_and_gradients_in_bf16_are_those_of_a_cpu_in_fp32(name: str) -> None:
    expected, slopes = gradients(name, "cpu", torch.float32)
    found, own = gradients(name, "cuda", torch.bfloat16)
    assert found == pytest.approx(expected, rel=BF16)
    assert_close(own, slopes)


@pytest.mark.parametrize("name", PLAIN)
def test_recomputing_changes_nothing(name: str) -> None:
    """Up to the order of sums in atomics: the kernel's backward pass is not deterministic."""
    expected, slopes = gradients(name, "cuda", torch.bfloat16)
    found, own = gradients(name, "cuda", torch.bfloat16, recomputed=True)
    assert found == pytest.approx(expected, rel=1e-3)
    assert_close(own, slopes)


@pytest.mark.parametrize("name", PLAIN)
def test_the_variable_length_kernel_is_among_those_that_are_measured(name: str) -> None:
    """It is left out only where the card is older than it needs."""
    device = torch.device("cuda")
    packed = packed_model(make_packed_model(name).to(device, torch.bfloat16))
    choice = choose_kernel(packed.calls, pack(make_rows(*ROWS)).segments)
    print(choice)
    able = torch.cuda.get_device_capability(device) >= (8, 0)
    assert choice.milliseconds.keys() >= ({"sdpa", "varlen"} if able else set())
    assert "varlen" not in choice.left_out if able else "compute capability" in choice.left_out["varlen"]


def test_soft_capped_scores_are_left_to_the_reference() -> None:
    packed = packed_model(make_packed_model("soft_capped").to("cuda", torch.bfloat16))
    choice = choose_kernel(packed.calls, pack(make_rows(*ROWS)).segments)
    assert choice.kernel is REFERENCE and not choice.milliseconds
