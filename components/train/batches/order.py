"""The order of rows in training: determined by the seed alone, and the same for any number of ranks."""

from collections.abc import Mapping, Sequence, Sized

import numpy as np

from components.train.batches.split import Split
from components.train.batches.token_table import lengths_of

WINDOW_GROUPS = 8
"""Groups whose rows are sorted together: more of them pad less, fewer mix lengths more."""


def shuffled(rows: int, global_batch: int, seed: int, epoch: int) -> np.ndarray:
    """Row numbers of one epoch, shape (steps * global_batch,).

    Each row occurs once; the last step is padded with the epoch's first rows, so that none is left out.
    """
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    return np.resize(order, -(-rows // global_batch) * global_batch)


def dealt(order: np.ndarray, lengths: np.ndarray, split: Split, group: int) -> np.ndarray:
    """The order in which a loader returns rows: micro-batch i goes to rank i modulo ranks.

    Within each `group` of rows (a step, or the rows that estimate a reference point together) rows are sorted by
    length and dealt to the ranks in turn, so that ranks pad little and wait little; the rows of a group stay the same.

    Args:
        order: row numbers, a multiple of `group`.
        lengths: tokens of each row, by row number.
    """
    steps = order.reshape(-1, group)
    ranked = np.take_along_axis(steps, np.argsort(-lengths[steps], axis=1, kind="stable"), axis=1)
    forwards = ranked.reshape(-1, split.micro_batch, split.ranks)
    return forwards.transpose(0, 2, 1).reshape(-1)


def bucketed(order: np.ndarray, lengths: np.ndarray, group: int) -> np.ndarray:
    """The same rows, each `group` of them of similar length.

    Rows are sorted by length within windows of WINDOW_GROUPS groups, each a random sample where the order is shuffled.

    Args:
        order: row numbers, a multiple of `group`; the last window may be smaller.
        lengths: tokens of each row, by row number.
        group: rows that are read together.
    """
    size = group * WINDOW_GROUPS
    windows = [order[begin : begin + size] for begin in range(0, len(order), size)]
    return np.concatenate([window[np.argsort(-lengths[window], kind="stable")] for window in windows])


def shuffled_groups(lengths: np.ndarray, group: int, epochs: int, seed: int, split: Split) -> np.ndarray:
    """The order of a training whose groups are fixed and shuffled in every epoch, shape (epochs * rows,).

    Args:
        lengths: tokens of each row, group by group: a multiple of a step's rows.
        group: rows that are read together; a step has a multiple of them.
        epochs: passes over the groups.
        seed: of the shuffling.
        split: of a step's rows.
    """
    places = np.arange(len(lengths)).reshape(-1, group)
    orders = (shuffled(len(places), split.global_batch // group, seed, epoch) for epoch in range(epochs))
    return np.concatenate([dealt(places[order].reshape(-1), lengths, split, group) for order in orders])


def padded_lengths(columns: Mapping[str, Sequence[Sized]]) -> np.ndarray:
    """Tokens of each row's prompt and the longest of its responses, shape (rows,); a batch pads to the longest row.

    Args:
        columns: token ids by name: `prompt_ids`, and those of one or two responses.
    """
    tokens = {name: lengths_of(column) for name, column in columns.items()}
    return np.asarray(tokens.pop("prompt_ids") + np.maximum.reduce(list(tokens.values())))


def shuffled_epochs(lengths: np.ndarray, epochs: int, seed: int, split: Split) -> np.ndarray:
    """The order of a training whose epochs are each shuffled by themselves, shape (epochs * steps * global_batch,).

    Args:
        lengths: tokens of each row, by row number.
        epochs: passes over the rows.
        seed: of the shuffling.
        split: of a step's rows, which are dealt by length.
    """
    group = split.global_batch
    orders = (shuffled(len(lengths), group, seed, epoch) for epoch in range(epochs))
    return np.concatenate([dealt(order, lengths, split, group) for order in orders])


def mismatched(order: np.ndarray, group: int, prompts: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """For each place in the order, the row whose response is paired with its prompt; and how many come from elsewhere.

    The KTO paper (section 4.1) estimates the reference point from mismatched pairs of one batch, so a response is never
    paired with its own prompt. Within `group` places the responses are the group's own: those of the
    place before, or, where two neighbours share a prompt, those of places sorted by prompt and moved on by the largest
    number that share one. Where more than half of a group share a prompt, the places left over take responses of rows
    outside their group.

    Args:
        order: row numbers, a multiple of `group`.
        group: places whose pairs belong together, such as those of one reference point.
        prompts: for each row, the number of its prompt; at least two prompts.
        seed: of the draws from outside a group.
    """
    groups = order.reshape(-1, group)
    partners = np.roll(groups, 1, axis=1)
    for number in np.flatnonzero((prompts[groups] == prompts[partners]).any(axis=1)):
        partners[number] = _rearranged(groups[number], prompts)
    clashes = np.argwhere(prompts[groups] == prompts[partners])
    draws = np.random.default_rng([seed, len(order)])
    others: dict[int, np.ndarray] = {}
    for row, place in clashes:
        prompt = int(prompts[groups[row, place]])
        if prompt not in others:
            others[prompt] = np.flatnonzero(prompts != prompt)
        partners[row, place] = draws.choice(others[prompt])
    return partners.reshape(-1), len(clashes)


def _rearranged(group: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    """Partners among a group's rows: no two of one prompt, unless more than half of the group share it."""
    by_prompt = np.argsort(prompts[group], kind="stable")
    largest = np.unique(prompts[group], return_counts=True)[1].max()
    partners = np.empty_like(group)
    partners[by_prompt] = np.roll(group[by_prompt], -largest)
    return partners
