"""The GPU's kernel: on fake tensors its shapes and backward pass, on a GPU its values."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from components.models.forward import attention_kernels, hub_kernel
from components.models.forward.attend_varlen import attend_varlen
from components.models.forward.attention_kernels import KERNELS
from components.models.forward.attention_layer import AttentionLayer, KeysAndValues
from components.models.forward.captured_keys import CapturedKeys
from components.models.forward.check_packed import packed_model
from components.models.forward.pack import pack, pack_continuations
from components.models.forward.segments import NO_PARENT, Segments
from tests.packed_models import CONFIGS, ROWS, log_probs_alone, make_packed_model, make_rows

PLAIN = ["heads_of_their_own", "grouped_heads", "query_and_key_norms", "sliding_window", "two_windows"]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="lacks a CUDA GPU")


@pytest.fixture(autouse=True)
def started_engine() -> None:
    """Fake tensors pretend that there is a GPU: the first backward pass would start threads that no fork survives."""
    torch.ones(1, requires_grad=True).sum().backward()


@pytest.mark.parametrize("window", [None, 4])
def test_the_kernel_takes_grouped_heads_prefixes_and_narrower_values(window: int | None) -> None:
    segments = Segments((3, 2, 4), (NO_PARENT, 0, NO_PARENT))
    with FakeTensorMode():
        query, key, value = (
            torch.empty(1, heads, 9, width, dtype=torch.bfloat16, requires_grad=True)
            for heads, width in ((4, 16), (2, 16), (2, 8))
        )
        states = segments.with_prefixes(KeysAndValues(key, value), None)
        keys, values = (torch.cat(parts, dim=2) for parts in zip(*states, strict=True))
        output = attend_varlen(query, KeysAndValues(keys, values), segments, AttentionLayer(window=window))
        assert output.shape == (1, 9, 4, 8)
        slopes = torch.autograd.grad(output.sum(), [query, key, value])
        assert [slope.shape for slope in slopes] == [query.shape, key.shape, value.shape]


def test_what_the_kernel_cannot_compute_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    varlen, capability = KERNELS["varlen"], [(9, 0)]
    monkeypatch.setattr(attention_kernels, "capability_of", lambda _: capability[0])
    with FakeTensorMode():
        half = torch.empty(1, 2, 3, 16, device="cuda", dtype=torch.bfloat16)
        assert varlen.why_not(half, AttentionLayer(window=4)) == ""
        assert varlen.why_not(half, AttentionLayer(softcap=1.0)) == "soft-capped scores or attention sinks"
        assert varlen.why_not(half, AttentionLayer(sinks=torch.empty(2))) == "soft-capped scores or attention sinks"
        assert varlen.why_not(half, AttentionLayer(dropout=0.1)) == "dropout"
        assert varlen.why_not(half.float(), AttentionLayer()) == "float32 is not half precision"
        assert varlen.why_not(half.cpu(), AttentionLayer()) == "needs a CUDA device"
        wide = torch.empty(1, 2, 3, 320, device="cuda", dtype=torch.bfloat16)
        assert varlen.why_not(wide, AttentionLayer()) == "heads of 320 are wider than 256"
        capability[0] = (7, 5)
        assert varlen.why_not(half, AttentionLayer()) == "compute capability 7.5 is below 8.0"


def test_a_hub_kernel_is_only_used_where_its_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_kernel, "find_spec", lambda _: None)
    assert hub_kernel.hub_kernel_missing() == "the package kernels is not installed"
    monkeypatch.setattr(hub_kernel, "find_spec", lambda _: object())
    monkeypatch.delenv("LOCAL_KERNELS", raising=False)
    assert hub_kernel.hub_kernel_missing() == "LOCAL_KERNELS does not name its folder"
    monkeypatch.setenv("LOCAL_KERNELS", f"other/kernel=/there:{hub_kernel.HUB_KERNEL}=/here")
    assert hub_kernel.hub_kernel_missing() == ""


@needs_gpu
@pytest.mark.parametrize("name", CONFIGS)
def test_log_probs_on_a_gpu_are_those_of_rows_alone(name: str) -> None:
    model, rows = make_packed_model(name), make_rows(*ROWS)
    alone = torch.cat([log_probs_alone(model, row) for row in rows])
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.1)):
        packed = packed_model(make_packed_model(name).to("cuda", dtype))
        batch = pack(rows).to(torch.device("cuda"))
        found = packed.log_probs(batch, packed.hidden(batch))
        assert (found.cpu() - alone).abs().mean() < tolerance


@needs_gpu
@pytest.mark.parametrize("name", PLAIN)
def test_prefixes_on_a_gpu_align_their_last_tokens(name: str) -> None:
    rows = make_rows(*ROWS)
    others = [list(row.completion) for row in (*rows[1:], rows[0])]
    found = []
    for device, dtype in (("cpu", torch.float32), ("cuda", torch.bfloat16)):
        packed = packed_model(make_packed_model(name).to(device, dtype))
        batch, captured = pack(rows).to(torch.device(device)), CapturedKeys()
        hidden = packed.hidden(batch, captured)
        continued = pack_continuations(batch, others, captured).to(torch.device(device))
        found.append(packed.continuation_log_probs(continued, hidden[batch.prompt_ends]).cpu())
    assert (found[0] - found[1]).abs().mean() < 0.1
