"""How long messages between processes take: latency and bandwidth, by messages of the size that stages send."""

# ruff: noqa: TID253 - imported by the job's own program only

import time
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed

from components.train.balance.devices import Link
from components.train.balance.measured_costs import MeasuredLink

SECONDS, TRIPS = 0.3, 5
"""A measurement ends after both; each link has two."""
LEAST = 1e-9
"""Seconds by which a long message takes longer than a short one at least: for small ones the difference is noise."""


def measure_links(
    pairs: Sequence[tuple[int, int]], numbers: int, dtype: torch.dtype, device: Any
) -> list[MeasuredLink]:
    """The links between pairs of processes. Every process calls it, and all get the same.

    Args:
        pairs: ranks, each pair once. Pairs without a rank in common are measured at the same time.
        numbers: in a message of the run.
        dtype: of a message.
        device: of this process.
    """
    rank = torch.distributed.get_rank()
    found: dict[tuple[int, int], Link] = {}
    for together in rounds(pairs):
        torch.distributed.barrier()
        for first, second in together:
            if rank == first:
                found[first, second] = _lead(second, numbers, dtype, device)
            elif rank == second:
                _follow(first, 1, dtype, device)
                _follow(first, numbers, dtype, device)
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, found)
    by_pair = {pair: link for each in gathered for pair, link in each.items()}
    return [MeasuredLink(ranks=pair, link=by_pair[pair]) for pair in pairs]


def rounds(pairs: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The pairs in groups in which each rank is once."""
    found: list[list[tuple[int, int]]] = []
    for pair in pairs:
        free = (group for group in found if not any(set(pair) & set(other) for other in group))
        group = next(free, None)
        if group is None:
            found.append([pair])
        else:
            group.append(pair)
    return found


def _lead(peer: int, numbers: int, dtype: torch.dtype, device: Any) -> Link:
    short = _round_trip(peer, 1, dtype, device) / 2
    long = _round_trip(peer, numbers, dtype, device) / 2
    size = numbers * torch.empty((), dtype=dtype).element_size()
    return Link(bytes_a_second=size / max(long - short, LEAST), latency_seconds=short)


def _round_trip(peer: int, numbers: int, dtype: torch.dtype, device: Any) -> float:
    """Mean seconds of a message to a process and back. Its first number is 0 in the last one."""
    message = torch.ones(numbers, dtype=dtype, device=device)
    _exchange(message, peer)
    began, trips, goes_on = time.perf_counter(), 0, True
    while goes_on:
        trips += 1
        goes_on = time.perf_counter() - began < SECONDS or trips < TRIPS
        message[0] = int(goes_on)
        _exchange(message, peer)
    return (time.perf_counter() - began) / trips


def _exchange(message: torch.Tensor, peer: int) -> None:
    torch.distributed.send(message, peer)
    torch.distributed.recv(message, peer)
    if message.is_cuda:
        torch.cuda.synchronize()


def _follow(peer: int, numbers: int, dtype: torch.dtype, device: Any) -> None:
    """Return messages until one is the last."""
    message = torch.ones(numbers, dtype=dtype, device=device)
    goes_on = True
    while goes_on:
        torch.distributed.recv(message, peer)
        goes_on = bool(message[0].item())
        torch.distributed.send(message, peer)
