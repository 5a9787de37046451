"""The peak of memory is that of all tensors that are held at one time."""

import torch
import transformers

from benchmarks.training.peak import held_bytes, measuring, packed_peak, trl_peak


def test_the_peak_is_what_is_held_at_one_time() -> None:
    before = torch.zeros(1000)
    with measuring() as peak:
        first = torch.zeros(1_000_000)
        del first
        second = torch.zeros(500_000)
        third = second + 1
    assert 4_000_000 <= peak.bytes < 4_000_100  # and what torch makes of a number
    assert before.nbytes + second.nbytes + third.nbytes > peak.bytes


def test_weights_and_gradients_are_held() -> None:
    layer = torch.nn.Linear(3, 5)
    assert held_bytes(layer) == 4 * 20
    layer(torch.ones(3)).sum().backward()
    assert held_bytes(layer, layer) == 2 * 2 * 4 * 20


def test_packed_batches_need_at_most_half_of_trls_memory() -> None:
    """At a quarter of the benchmark's vocabulary, and half of its rows."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    assert packed_peak(16_384, 8) <= 0.5 * trl_peak("default", 16_384, 8)
