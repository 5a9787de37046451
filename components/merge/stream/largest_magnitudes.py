"""The k largest magnitudes of a tensor, found without sorting it.

`find_largest` reads a tensor slice by slice. The bits of a positive float32 grow with its value, so the k-th largest is
found in two passes: one counts the upper 16 bits, one the lower 16 of the few that share the upper bits of the k-th.
`largest_of` needs one pass over a tensor in memory: a sample says roughly where the k-th is, and only what is near it
is sorted. Where numpy and torch differ in speed, the faster one is taken: numpy compares, selects and counts booleans
several times as fast as torch does on a CPU.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

UPPER, LOWER, BLOCK = 1 << 15, 1 << 16, 1 << 8
SAMPLE_STEP, DEVIATIONS = 64, 4.0
"""Every so many elements are the sample; how far from its estimate the k-th may be. Beyond, all elements are sorted."""

PIECE = 1 << 16
"""Elements: 256 KiB of float32, which stay in a core's cache from one comparison to the next."""

Deltas = Iterator[tuple[str, "torch.Tensor"]]
"""Slices of tensors by name, which may be changed; those of one tensor in order, each valid until the next."""

Counts = npt.NDArray[np.int64]


class LargestMagnitudes:
    """The elements above a magnitude, and the first of those that are equal to it.

    Args:
        at: bits of the k-th largest magnitude.
        wanted: how many elements of that magnitude belong to the k.
        found: how many there are.
    """

    def __init__(self, at: int, wanted: int, found: int) -> None:
        self._at = _as_float(at)
        self._below = _as_float(max(at - 1, 0))
        self._left = wanted
        self._all_kept = wanted == found or at == 0

    def keep_in(self, values: "torch.Tensor") -> None:
        """Set all others of the next slice to 0; slices come in order, each once."""
        import torch

        limit = self._below if self._all_kept or self._drop_equal(values) else self._at
        # Sets what is at most the limit to 0.
        torch.ops.aten.hardshrink.out(values, limit, out=values)

    def _drop_equal(self, values: "torch.Tensor") -> bool:
        """Set to 0 what is equal and not among the first; whether others of that magnitude are left in the slice."""
        if not self._left:
            return False
        array = values.numpy()
        equal = np.flatnonzero(np.abs(array) == np.float32(self._at))
        array[equal[self._left :]] = 0
        self._left -= min(self._left, len(equal))
        return True


def largest_of(magnitudes: npt.NDArray[np.float32], wanted: int) -> LargestMagnitudes:
    """The largest of magnitudes that are in memory, shape (elements,)."""
    low, high = _bracket(magnitudes, wanted)
    above, near = _around(magnitudes, low, high)
    if not above < wanted <= above + len(near):
        above, near = 0, magnitudes
    place = len(near) - (wanted - above)
    at = np.partition(near, place)[place]
    larger = above + int(np.count_nonzero(near > at))
    return LargestMagnitudes(int(at.view(np.int32)), wanted - larger, int(np.count_nonzero(near == at)))


def _around(
    magnitudes: npt.NDArray[np.float32], low: np.float32, high: np.float32
) -> tuple[int, npt.NDArray[np.float32]]:
    """How many are above `high`, and those from `low` to `high`."""
    above, near = 0, []
    for start in range(0, len(magnitudes), PIECE):
        piece = magnitudes[start : start + PIECE]
        inside = piece <= high
        above += len(piece) - int(np.count_nonzero(inside))
        inside &= piece >= low
        near.append(piece[inside])
    return above, np.concatenate(near)


def _bracket(magnitudes: npt.NDArray[np.float32], wanted: int) -> tuple[np.float32, np.float32]:
    """Between what the wanted-th magnitude from the top almost certainly is, by a sample."""
    sample = magnitudes[::SAMPLE_STEP]
    share = wanted / len(magnitudes)
    spread = DEVIATIONS * (len(sample) * share * (1 - share)) ** 0.5 + 1
    estimate = len(sample) * (1 - share)
    low, high = (int(min(max(place, 0), len(sample) - 1)) for place in (estimate - spread, estimate + spread))
    ordered = np.partition(sample, (low, high))
    return ordered[low], ordered[high]


def find_largest(slices: Callable[[], Deltas], wanted: Mapping[str, int]) -> dict[str, LargestMagnitudes]:
    """Find the largest magnitudes of several tensors at once.

    Args:
        slices: begins a pass over the tensors.
        wanted: how many of each, at least one.
    """
    upper = _count_upper(slices(), wanted)
    tops = {name: _find(upper[name], wanted[name]) for name in wanted}
    lower = _count_lower(slices(), {name: top for name, (top, _) in tops.items()})
    result = {}
    for name, (top, left) in tops.items():
        low, equal = _find(lower[name], left)
        result[name] = LargestMagnitudes((top << 16) | low, equal, int(lower[name][low]))
    return result


def _count_upper(slices: Deltas, names: Mapping[str, int]) -> dict[str, Counts]:
    """How often each value of the upper bits occurs, shape (UPPER,), by name."""
    import torch

    counts = {name: torch.zeros(UPPER, dtype=torch.int64) for name in names}
    for name, values in slices:
        bits = values.abs_().view(torch.int32)
        counts[name] += torch.bincount(bits.bitwise_right_shift_(16), minlength=UPPER)
    return {name: count.numpy() for name, count in counts.items()}


def _count_lower(slices: Deltas, tops: Mapping[str, int]) -> dict[str, Counts]:
    """How often each value of the lower bits occurs among those with the given upper bits, shape (LOWER,), by name."""
    counts = {name: np.zeros(LOWER, np.int64) for name in tops}
    for name, values in slices:
        bits = values.abs_().numpy().view(np.uint32)
        # What has smaller upper bits wraps around, and becomes large too.
        bits -= np.uint32(tops[name] << 16)
        np.add.at(counts[name], bits[bits < LOWER], 1)
    return counts


def _find(counts: Counts, wanted: int) -> tuple[int, int]:
    """The digit of the wanted-th element from the top, and how many with that digit are wanted."""
    # First among blocks of digits: a sum of all of them would cost as much as the counting of a small tensor.
    block, left = _from_top(counts.reshape(-1, BLOCK).sum(axis=1), wanted)
    digit, left = _from_top(counts[block * BLOCK : (block + 1) * BLOCK], left)
    return block * BLOCK + digit, left


def _from_top(counts: Counts, wanted: int) -> tuple[int, int]:
    above = counts[::-1].cumsum()
    place = int(np.searchsorted(above, wanted))
    last = len(counts) - 1 - place
    return last, wanted - int(above[place] - counts[last])


def _as_float(bits: int) -> float:
    """The float32 with these bits, exactly."""
    return np.array(bits, np.int32).view(np.float32).item()
