"""The head fused with log-probs and with the cross-entropy: values, gradients, and what they allocate."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, mm_flop, register_flop_formula

from components.models.forward.chunks import HeadMemory
from components.models.forward.cross_entropy import cross_entropy_and_hits, summed_cross_entropy
from components.models.forward.head import LogitTransform
from components.models.forward.label_log_probs import label_log_probs
from components.models.forward.pack import pack
from components.models.forward.packed_model import PackedModel
from tests.largest_tensor import LargestTensor
from tests.packed_models import make_packed_model, make_rows

LABELS, WIDTH, VOCABULARY = 13, 8, 29
TRANSFORMS = [LogitTransform(), LogitTransform(scale=0.25), LogitTransform(softcap=1.5), LogitTransform(0.5, 2.0)]
ONE_ROW = HeadMemory(chunk_bytes=0, kept_bytes=0)
FIVE_ROWS = HeadMemory(chunk_bytes=5 * VOCABULARY * 4 * 3, kept_bytes=0)
KEPT = HeadMemory(chunk_bytes=5 * VOCABULARY * 4 * 3)
MEMORY = [ONE_ROW, FIVE_ROWS, KEPT, HeadMemory()]


def head_and_states(bias: bool, dtype: torch.dtype = torch.float32) -> tuple[torch.nn.Linear, Any, torch.Tensor]:
    torch.manual_seed(0)
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=bias).to(dtype)
    states = torch.randn(LABELS, WIDTH, dtype=dtype).mul_(3).requires_grad_()
    return head, states, torch.randint(VOCABULARY, (LABELS,))


def by_torch(head: Any, states: Any, labels: torch.Tensor, transform: LogitTransform) -> torch.Tensor:
    logits = head(states).float() * transform.scale
    if transform.softcap is not None:
        logits = transform.softcap * torch.tanh(logits / transform.softcap)
    return logits.log_softmax(1).gather(1, labels[:, None])[:, 0]


def gradients(loss: torch.Tensor, head: torch.nn.Linear, states: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, [states, *head.parameters()]))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
@pytest.mark.parametrize("memory", MEMORY, ids=["one row", "chunks", "kept", "one chunk"])
def test_log_probs_and_gradients_are_torchs(bias: bool, transform: LogitTransform, memory: HeadMemory) -> None:
    head, states, labels = head_and_states(bias)
    factors = torch.linspace(-1, 2, LABELS)
    expected = by_torch(head, states, labels, transform)
    found = label_log_probs(states, head, labels, transform, memory)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        gradients((found * factors).sum(), head, states), gradients((expected * factors).sum(), head, states)
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
@pytest.mark.parametrize("memory", MEMORY, ids=["one row", "chunks", "kept", "one chunk"])
def test_summed_cross_entropy_and_gradients_are_torchs(
    bias: bool, transform: LogitTransform, memory: HeadMemory
) -> None:
    head, states, labels = head_and_states(bias)
    expected = -by_torch(head, states, labels, transform).sum()
    found = summed_cross_entropy(states, head, labels, transform, memory)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found / 7, head, states), gradients(expected / 7, head, states))


@pytest.mark.parametrize("memory", MEMORY, ids=["one row", "chunks", "kept", "one chunk"])
def test_labels_that_are_ranked_first_are_counted(memory: HeadMemory) -> None:
    head, states, labels = head_and_states(True)
    first = head(states).argmax(1)
    labels = torch.where(torch.arange(LABELS) % 3 == 0, first, labels)
    loss, hits = cross_entropy_and_hits(states, head, labels, LogitTransform(), memory)
    torch.testing.assert_close(loss, summed_cross_entropy(states, head, labels, LogitTransform(), memory))
    assert hits.item() == (first == labels).sum().item() >= LABELS // 3
    assert not hits.requires_grad


@pytest.mark.parametrize("function", [label_log_probs, summed_cross_entropy])
def test_a_frozen_head_gets_no_gradient(function: Callable[..., torch.Tensor]) -> None:
    head, states, labels = head_and_states(True)
    head.requires_grad_(False)
    function(states, head, labels, LogitTransform(), FIVE_ROWS).sum().backward()
    assert states.grad is not None
    assert head.weight.grad is None


@pytest.mark.parametrize("function", [label_log_probs, summed_cross_entropy])
def test_weight_gradients_in_half_precision_are_added_in_fp32(function: Callable[..., torch.Tensor]) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False).to(torch.bfloat16)
    states, labels = torch.randn(2000, WIDTH, dtype=torch.bfloat16), torch.randint(VOCABULARY, (2000,))
    found = []
    for memory in (HeadMemory(), ONE_ROW):
        head.zero_grad()
        function(states, head, labels, LogitTransform(), memory).sum().backward()
        assert head.weight.grad is not None
        found.append(head.weight.grad.float())
    # Two thousand additions in bf16, with its 8 bits, would lose most of the sum.
    assert (found[0] - found[1]).abs().max() < 0.02 * found[0].abs().max()


@pytest.mark.parametrize("loss", ["log_probs", "summed_loss"])
def test_no_tensor_of_positions_by_vocabulary(loss: str) -> None:
    vocabulary, rows = 4000, make_rows(*((number, 30, 30) for number in range(8)))
    model = make_packed_model("grouped_heads", vocab_size=vocabulary)
    chunk = 10 * vocabulary
    packed, batch = PackedModel(model, HeadMemory(chunk_bytes=chunk * 4 * 3, kept_bytes=0)), pack(rows)
    weights = vocabulary * model.config.hidden_size
    with LargestTensor() as largest:
        getattr(packed, loss)(batch, packed.hidden(batch)).sum().backward()
    assert largest.elements == max(chunk, weights)
    assert largest.elements < len(batch.label_ids) * vocabulary / 7


@register_flop_formula(torch.ops.aten.addmm_)
def added_product(added: Any, left: Any, right: Any, *_: Any, **__: Any) -> int:
    """A product that is added in place, which torch's counter does not know."""
    return int(mm_flop(left, right))


@pytest.mark.parametrize(
    ("function", "memory", "products"),
    [
        (label_log_probs, FIVE_ROWS, 4),
        (label_log_probs, KEPT, 3),
        (summed_cross_entropy, FIVE_ROWS, 3),
    ],
)
def test_products_by_the_heads_weights(
    function: Callable[..., torch.Tensor], memory: HeadMemory, products: int
) -> None:
    head, states, labels = head_and_states(False)
    with FlopCounterMode(display=False) as counter:
        function(states, head, labels, LogitTransform(), memory).sum().backward()
    assert counter.get_total_flops() == products * 2 * LABELS * WIDTH * VOCABULARY
