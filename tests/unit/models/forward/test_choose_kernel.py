"""The kernel of attention is the fastest of those that compute what the reference does, and the log says why."""

from collections.abc import Callable

import pytest
import torch

from components.models.forward.attention_kernels import KERNELS, REFERENCE, SegmentKernel
from components.models.forward.attention_layer import AttentionLayer, KeysAndValues
from components.models.forward.check_packed import packed_model
from components.models.forward.choose_kernel import KernelChoice, choose_kernel
from components.models.forward.layer_calls import LayerCall
from components.models.forward.pack import pack
from components.models.forward.segments import NO_PARENT, Segments
from tests.packed_models import ROWS, make_packed_model, make_rows

SEGMENTS = Segments((5, 3, 4), (NO_PARENT, 0, NO_PARENT))
CPU = torch.device("cpu")
CALL = LayerCall(4, 2, 8, 8, torch.float32, CPU, AttentionLayer())


class MadeUp(SegmentKernel):
    """Computes as the reference does, but for what a test changes."""

    def __init__(self, name: str, *, refuses: str = "", change: Callable[[torch.Tensor], torch.Tensor] = lambda x: x):
        self.name, self._refuses, self._change = name, refuses, change  # type: ignore[misc]
        self.attended: list[Segments] = []

    def why_not(self, query: torch.Tensor, layer: AttentionLayer) -> str:
        return self._refuses

    def attend(
        self, query: torch.Tensor, states: KeysAndValues, segments: Segments, layer: AttentionLayer, index: int | None
    ) -> torch.Tensor:
        self.attended.append(segments)
        return self._change(super().attend(query, states, segments, layer, index))


def sees_other_rows(output: torch.Tensor) -> torch.Tensor:
    return output + 0.01 * output.mean(dim=1, keepdim=True)


def fails(_: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("no kernel image is available\nfor this device")


def loses_gradients(output: torch.Tensor) -> torch.Tensor:
    return output.detach() + 0 * output


def chosen(*others: MadeUp, seconds: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1), layers: int = 1) -> KernelChoice:
    """The choice, where each kernel that is measured takes the next of some seconds."""
    times = iter(seconds)
    return choose_kernel([CALL] * layers, SEGMENTS, [REFERENCE, *others], lambda call, _: (call(), next(times))[1])


def test_the_fastest_kernel_is_chosen_and_the_log_has_all_times() -> None:
    choice = chosen(MadeUp("quick"), MadeUp("slow"), seconds=(0.4, 0.1, 0.2), layers=3)
    assert choice.kernel.name == "quick"
    assert str(choice) == (
        "attention kernel quick, by measurement (forward and backward, all layers, 12 positions): sdpa 1.2e+03 ms, "
        "quick 300 ms, slow 600 ms"
    )


def test_one_that_is_hardly_faster_is_not_chosen() -> None:
    """Otherwise chance could change the results of a training that continues."""
    assert chosen(MadeUp("nearly"), seconds=(0.4, 0.39)).kernel is REFERENCE
    assert chosen(MadeUp("first"), MadeUp("nearly"), seconds=(0.4, 0.2, 0.195)).kernel.name == "first"


def test_what_differs_fails_or_cannot_compute_the_layers_is_left_out_with_the_reason() -> None:
    kernels = (
        MadeUp("wrong", change=sees_other_rows),
        MadeUp("slopeless", change=loses_gradients),
        MadeUp("broken", change=fails),
        MadeUp("other", refuses="needs another device"),
    )
    choice = chosen(*kernels)
    assert choice.kernel is REFERENCE and choice.milliseconds == {"sdpa": 400.0}
    assert choice.left_out.keys() == {"wrong", "slopeless", "broken", "other"}
    assert choice.left_out["wrong"].startswith("its results differ by 0.0")
    assert choice.left_out["slopeless"].startswith("its results differ by 1 of their norm, above 0.0001")
    assert choice.left_out["broken"] == "RuntimeError: no kernel image is available"
    assert "; other: needs another device" in str(choice)


def test_where_one_kernel_runs_nothing_is_measured() -> None:
    choice = choose_kernel([CALL], SEGMENTS, seconds=lambda *_: pytest.fail("it is measured"))
    assert choice.kernel is REFERENCE
    assert str(choice).startswith("attention kernel sdpa, the only one that computes these layers here. Left out: ")
    assert all(f"{name}: needs a CUDA device" in str(choice) for name in KERNELS if name != "sdpa")


def test_real_seconds_are_measured() -> None:
    choice = choose_kernel([CALL], SEGMENTS, [REFERENCE, MadeUp("other")])
    assert choice.milliseconds.keys() == {"sdpa", "other"} and min(choice.milliseconds.values()) > 0


def test_measuring_draws_nothing_from_the_trainings_random_numbers() -> None:
    before = torch.get_rng_state()
    choose_kernel([CALL], SEGMENTS, [REFERENCE, MadeUp("other")])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "windows"), [("grouped_heads", [None, None]), ("two_windows", [4, 4]), ("soft_capped", [4, None])]
)
def test_the_measured_layers_are_those_of_the_model(name: str, windows: list[int | None]) -> None:
    calls = packed_model(make_packed_model(name)).calls
    assert [call.layer.window for call in calls] == windows
    assert {(call.heads, call.key_heads, call.width, call.dtype) for call in calls} == {(4, 2, 8, torch.float32)}
    assert {call.layer.softcap for call in calls} == {2.0 if name == "soft_capped" else None}
    assert len({call.kind for call in calls}) == len(set(windows))


def test_a_model_computes_by_its_kernel_and_layers_that_it_cannot_compute_by_the_reference() -> None:
    packed, batch = packed_model(make_packed_model("grouped_heads")), pack(make_rows(*ROWS))
    able, unable = MadeUp("able"), MadeUp("unable", refuses="needs another device")
    found = []
    for kernel in (None, able, unable):
        packed.kernel = kernel
        found.append(packed.hidden(batch))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert len(able.attended) == 2 and not unable.attended
