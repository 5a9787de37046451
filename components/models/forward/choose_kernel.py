"""Chooses the kernel of packed attention by measurement, on the shapes of a run's own model and rows."""

# ruff: noqa: TID253 - imported by the job's own program only

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from components.models.forward.attention_kernels import KERNELS, REFERENCE, AttentionKernel
from components.models.forward.attention_layer import KeysAndValues
from components.models.forward.layer_calls import LayerCall
from components.models.forward.segments import Segments

REPEATS = 5
LEAST_GAIN = 0.05
"""Share of the time that a kernel must save, so that chance does not choose between equals when a run continues."""

TOLERANCE = {torch.bfloat16: 0.02, torch.float16: 0.005, torch.float32: 1e-4}
"""Largest difference of outputs and gradients from the reference's, by their norms: a few roundings of the type."""

Seconds = Callable[[Callable[[], object], torch.device], float]
"""How long a call takes on a device."""


@dataclass(frozen=True)
class KernelChoice:
    """The kernel that was chosen, and why.

    Attributes:
        kernel: for all layers.
        positions: of the micro-batch that was measured.
        milliseconds: of the forward and backward passes of all layers' attention, by kernel; empty where one runs.
        left_out: the other kernels, and why.
    """

    kernel: AttentionKernel
    positions: int
    milliseconds: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """For the log."""
        others = "; ".join(f"{name}: {why}" for name, why in self.left_out.items())
        left_out = f". Left out: {others}" if others else ""
        if not self.milliseconds:
            return f"attention kernel {self.kernel.name}, the only one that computes these layers here{left_out}"
        times = ", ".join(f"{name} {each:.3g} ms" for name, each in self.milliseconds.items())
        passes = f"forward and backward, all layers, {self.positions:,} positions"
        return f"attention kernel {self.kernel.name}, by measurement ({passes}): {times}{left_out}"


def choose_kernel(
    calls: Sequence[LayerCall],
    segments: Segments,
    kernels: Iterable[AttentionKernel] = tuple(KERNELS.values()),
    seconds: Seconds | None = None,
) -> KernelChoice:
    """The fastest kernel that computes what the reference computes.

    A kernel is left out where it cannot compute one of the layers, fails, or gives other results.

    Args:
        calls: of the model's layers.
        segments: of a micro-batch.
        kernels: to choose from, the ones to prefer at equal speed first.
        seconds: measures a call; left out: the median of several.
    """
    reasons = {kernel: _why_not(kernel, calls) for kernel in kernels}
    able, milliseconds = [kernel for kernel, reason in reasons.items() if not reason], {}
    for kernel in able if len(able) > 1 else ():
        try:
            milliseconds[kernel.name] = 1000 * _measured(kernel, calls, segments, seconds or seconds_of)
        except Exception as error:
            # Kernels of other projects raise what they like.
            if kernel is REFERENCE:
                raise
            reasons[kernel] = _described(error)
    chosen = fastest(milliseconds) if milliseconds else able[0].name
    left_out = {kernel.name: reason for kernel, reason in reasons.items() if reason}
    kernel = next(each for each in able if each.name == chosen)
    return KernelChoice(kernel, sum(segments.lengths), milliseconds, left_out)


class DiffersError(Exception):
    """A kernel's results are not those of the reference."""


def fastest(milliseconds: dict[str, float]) -> str:
    """The name of the fastest kernel, or of an earlier one that is nearly as fast."""
    chosen, least = next(iter(milliseconds.items()))
    for name, each in milliseconds.items():
        if each < least * (1 - LEAST_GAIN):
            chosen, least = name, each
    return chosen


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """The median seconds of several calls, after one that is not timed."""
    found = []
    for _ in range(REPEATS + 1):
        _wait(device)
        began = time.monotonic()
        call()
        _wait(device)
        found.append(time.monotonic() - began)
    return statistics.median(found[1:])


def _why_not(kernel: AttentionKernel, calls: Sequence[LayerCall]) -> str:
    """Why a kernel cannot compute one of the layers; empty: it can compute all."""
    for call in calls:
        query = torch.empty(1, call.heads, 1, call.width, dtype=call.dtype, device=call.device)
        if reason := kernel.why_not(query, call.layer):
            return reason
    return ""


def _described(error: Exception) -> str:
    """The first line of an error."""
    problem = str(error).partition("\n")[0]
    return problem if isinstance(error, DiffersError) else f"{type(error).__name__}: {problem}"


def _measured(kernel: AttentionKernel, calls: Sequence[LayerCall], segments: Segments, seconds: Seconds) -> float:
    """Seconds of all layers. Raises DiffersError."""
    kinds = {call.kind: call for call in calls}
    numbers = Counter(call.kind for call in calls)
    return sum(numbers[kind] * _measured_layer(kernel, call, segments, seconds) for kind, call in kinds.items())


def _measured_layer(kernel: AttentionKernel, call: LayerCall, segments: Segments, seconds: Seconds) -> float:
    """Seconds of one layer. Raises DiffersError."""
    generator = torch.Generator(call.device).manual_seed(0)
    query, key, value = call.states(sum(segments.lengths), generator)

    def passes(which: AttentionKernel) -> list[torch.Tensor]:
        output = which.attend(query, KeysAndValues(key, value), segments, call.layer, None)
        # Slopes that differ from token to token, so that a token of another row shows.
        slopes = torch.linspace(-1, 1, output.shape[1], device=call.device, dtype=call.dtype)[None, :, None, None]
        return [output.detach(), *torch.autograd.grad((output * slopes).sum(), [query, key, value])]

    if kernel is not REFERENCE:
        _require_equal(passes(kernel), passes(REFERENCE), TOLERANCE.get(call.dtype, TOLERANCE[torch.float32]))
    return seconds(lambda: passes(kernel), call.device)


def _require_equal(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor], tolerance: float) -> None:
    for own, other in zip(found, expected, strict=True):
        difference = ((own.float() - other.float()).norm() / other.float().norm()).item()
        if not difference <= tolerance:
            raise DiffersError(f"its results differ by {difference:.2g} of their norm, above {tolerance:.2g}")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
