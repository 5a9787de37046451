"""Divides rows into batches of a token budget, in which answers to one prompt stay together."""

from collections.abc import Sequence

from components.models.forward.example import Example
from components.models.forward.token_budget import best_fit


def divide_rows(rows: Sequence[Example], budget: int) -> list[list[int]]:
    """Row numbers of each batch, of at most `budget` positions; what is longer by itself is a batch.

    Rows of one prompt are adjacent in one batch, and their prompt counts once (`share_prompts` has the exception).
    """
    shared = share_prompts(rows, budget)
    lengths = [positions([rows[number] for number in each]) for each in shared]
    within = [place for place, length in enumerate(lengths) if length <= budget]
    alone = [shared[place] for place, length in enumerate(lengths) if length > budget]
    batches = best_fit([lengths[place] for place in within], budget)
    return [*alone, *([number for place in batch for number in shared[within[place]]] for batch in batches)]


def share_prompts(rows: Sequence[Example], most: int) -> list[list[int]]:
    """Numbers of the rows that share a prompt's pass, with at most `most` positions after the prompt.

    However long a prompt is, it is computed once for so many positions of its completions.
    """
    open_groups: dict[bytes, tuple[list[int], int]] = {}
    groups: list[list[int]] = []
    for number, row in enumerate(rows):
        prompt, more = row.prompt.tobytes(), len(row.completion) - 1
        group, after = open_groups.get(prompt, ([], 0))
        if not group or after + more > most:
            group, after = [], 0
            groups.append(group)
        group.append(number)
        open_groups[prompt] = group, after + more
    return groups


def positions(rows: Sequence[Example]) -> int:
    """What a model computes for rows of one prompt: a row's last token predicts nothing."""
    return len(rows[0].prompt) + sum(len(row.completion) - 1 for row in rows)
