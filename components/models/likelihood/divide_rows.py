"""Divides rows into batches of a token budget, in which answers to one prompt stay together."""

from collections.abc import Sequence

from components.models.forward.example import Example, by_prompt
from components.models.forward.token_budget import best_fit


def divide_rows(rows: Sequence[Example], budget: int) -> list[list[int]]:
    """Row numbers of each batch, of at most `budget` positions; what is longer by itself is a batch.

    Rows of one prompt are adjacent in one batch, and their prompt counts once. However long a prompt is, it is computed
    once for so many positions of its completions.
    """
    shared = by_prompt(rows, budget)
    batches = best_fit([positions([rows[number] for number in each]) for each in shared], budget)
    return [[number for place in batch for number in shared[place]] for batch in batches]


def positions(rows: Sequence[Example]) -> int:
    """What a model computes for rows of one prompt: a row's last token predicts nothing."""
    return len(rows[0].prompt) + sum(len(row.completion) - 1 for row in rows)
