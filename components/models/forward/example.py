"""A tokenized row: a prompt and what follows it."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """Token ids of a prompt, up to where the response begins, and of the response with its end token."""

    prompt: "array[int]"
    completion: "array[int]"

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


def by_prompt(rows: Sequence[Example], most: int | None = None) -> list[list[int]]:
    """Numbers of the rows that share a prompt's pass, in the order of their first ones.

    Args:
        rows: whose prompts are compared.
        most: positions after a prompt, above which its next rows are a group of their own; None: any number.
    """
    latest: dict[bytes, tuple[list[int], int]] = {}
    groups: list[list[int]] = []
    for number, row in enumerate(rows):
        prompt, more = row.prompt.tobytes(), len(row.completion) - 1
        group, after = latest.get(prompt, ([], 0))
        if not group or (most is not None and after + more > most):
            group, after = [], 0
            groups.append(group)
        group.append(number)
        latest[prompt] = group, after + more
    return groups
