"""The k largest magnitudes of a tensor, found by counting, slice by slice, instead of by sorting.

The bits of a positive float32 grow with its value, so the k-th largest is found in two passes: one counts the upper 16
bits, one the lower 16 of those that share the upper bits of the k-th.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

UPPER, LOWER = 1 << 15, 1 << 16

Deltas = Mapping[str, "torch.Tensor"]


class LargestMagnitudes:
    """The elements above a magnitude, and the first of those that are equal to it.

    Args:
        at: bits of the k-th largest magnitude.
        equal: how many elements of that magnitude belong to the k.
    """

    def __init__(self, at: int, equal: int) -> None:
        self._at, self._equal = at, equal

    def mask(self, values: "torch.Tensor") -> "torch.Tensor":
        """Which elements of the next slice are among the k largest; slices come in order, each once."""
        bits = magnitude_bits(values)
        equal = bits == self._at
        found = int(equal.sum())
        if found <= self._equal:
            self._equal -= found
            return (bits > self._at).logical_or_(equal)
        mask = bits > self._at
        mask[equal.nonzero().flatten()[: self._equal]] = True
        self._equal = 0
        return mask


def find_largest(slices: Callable[[], Iterator[Deltas]], wanted: Mapping[str, int]) -> dict[str, LargestMagnitudes]:
    """Find the largest magnitudes of several tensors at once.

    Args:
        slices: begins a pass over the tensors, by name, slice by slice.
        wanted: how many of each, at least one.
    """
    upper = _count(slices, wanted, lambda _, bits: bits >> 16, UPPER)
    tops = {name: _find(upper[name], wanted[name]) for name in wanted}
    lower = _count(slices, wanted, lambda name, bits: bits[(bits >> 16) == tops[name][0]] & 0xFFFF, LOWER)
    result = {}
    for name, (top, left) in tops.items():
        low, equal = _find(lower[name], left)
        result[name] = LargestMagnitudes((top << 16) | low, equal)
    return result


def magnitude_bits(values: "torch.Tensor") -> "torch.Tensor":
    """The bits of the magnitudes of float32 numbers, as int32 that order alike."""
    import torch

    return values.view(torch.int32) & 0x7FFFFFFF


def _count(
    slices: Callable[[], Iterator[Deltas]],
    wanted: Mapping[str, int],
    digits: "Callable[[str, torch.Tensor], torch.Tensor]",
    size: int,
) -> "dict[str, torch.Tensor]":
    """How often each digit occurs, shape (size,), by name."""
    import torch

    counts = {name: torch.zeros(size, dtype=torch.int64) for name in wanted}
    for values in slices():
        for name in wanted:
            _tally(counts[name], digits(name, magnitude_bits(values[name])))
    return counts


def _tally(counts: "torch.Tensor", digits: "torch.Tensor") -> None:
    """Add to the counts; a few digits are added one by one, since a table of all costs more."""
    import torch

    if len(digits) * 8 < len(counts):
        counts.index_add_(0, digits, torch.ones(len(digits), dtype=torch.int64))
    else:
        counts += torch.bincount(digits, minlength=len(counts))


def _find(counts: "torch.Tensor", wanted: int) -> tuple[int, int]:
    """The digit of the wanted-th element from the top, and how many with that digit are wanted."""
    above = counts.flip(0).cumsum(0)
    place = int((above < wanted).sum())
    digit = len(counts) - 1 - place
    return digit, wanted - int(above[place] - counts[digit])
