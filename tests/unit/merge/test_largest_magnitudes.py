"""The kept elements are those of a stable sort by magnitude, whatever the values' distribution."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from components.merge.stream import largest_magnitudes
from components.merge.stream.largest_magnitudes import SAMPLE_STEP, LargestMagnitudes, find_largest, largest_of

ELEMENTS = 20_000
SLICE = 3_000
DISTRIBUTIONS: dict[str, Callable[[torch.Generator], torch.Tensor]] = {
    "normal": lambda seed: torch.randn(ELEMENTS, generator=seed),
    "few values": lambda seed: torch.randint(-3, 4, (ELEMENTS,), generator=seed).float(),
    "bfloat16": lambda seed: torch.randn(ELEMENTS, generator=seed).bfloat16().float(),
    "mostly zeros": lambda seed: torch.randn(ELEMENTS, generator=seed) * (torch.rand(ELEMENTS, generator=seed) < 0.1),
    "all zeros": lambda _: torch.zeros(ELEMENTS),
    "wide": lambda seed: torch.randn(ELEMENTS, generator=seed).mul(40).exp(),
    # What a sample of every so many elements sees is not what there is.
    "in step with the sample": lambda seed: (
        torch.randn(ELEMENTS, generator=seed) + 100 * (torch.arange(ELEMENTS) % SAMPLE_STEP == 0)
    ),
}
SHARES = [1 / ELEMENTS, 0.01, 0.2, 0.5, 0.93, 1 - 1 / ELEMENTS]


@pytest.fixture(autouse=True)
def several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor in memory is looked through in pieces, of which the last is shorter."""
    monkeypatch.setattr(largest_magnitudes, "PIECE", SLICE)


def in_memory(values: torch.Tensor, wanted: int) -> LargestMagnitudes:
    return largest_of(values.abs().numpy(), wanted)


def by_slices(values: torch.Tensor, wanted: int) -> LargestMagnitudes:
    return find_largest(lambda: (("one", part.clone()) for part in values.split(SLICE)), {"one": wanted})["one"]


@pytest.mark.parametrize("search", [in_memory, by_slices])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_kept_elements_are_the_first_of_a_stable_sort(
    name: str, share: float, search: Callable[[torch.Tensor, int], LargestMagnitudes]
) -> None:
    values = DISTRIBUTIONS[name](torch.Generator().manual_seed(7))
    wanted = round(share * ELEMENTS)
    expected = torch.zeros(ELEMENTS)
    kept = torch.from_numpy(np.argsort(-values.abs().numpy(), kind="stable")[:wanted].copy())
    expected[kept] = values[kept]
    largest, found = search(values, wanted), values.clone()
    for part in found.split(SLICE):
        largest.keep_in(part)
    assert torch.equal(found, expected)
