"""A tokenized row: a prompt and what follows it."""

from array import array
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """Token ids of a prompt, up to where the response begins, and of the response with its end token."""

    prompt: "array[int]"
    completion: "array[int]"

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)
