"""Rows to score: random token ids of log-normal lengths, as responses, endings and letters have them."""

from array import array
from dataclasses import dataclass

import numpy as np

from benchmarks.training.rows import WORDS
from components.models.forward.example import Example

SEED, SIGMA = 0, 0.7
SHORTEST, LONGEST = 2, 500
FIRST_WORD = 16
"""Ids below it are control tokens of the demo's tokenizer."""


@dataclass(frozen=True)
class Draw:
    """Rows: prompts, and how many completions follow each; lengths are medians, in tokens."""

    prompts: int
    prompt_median: int
    completions: int
    completion_median: int

    def rows(self) -> list[Example]:
        """The rows, those of one prompt behind each other; the same ones each time."""
        draw = np.random.default_rng(SEED)
        found = []
        for _ in range(self.prompts):
            prompt = _ids(draw, self.prompt_median)
            found += [Example(prompt, _ids(draw, self.completion_median)) for _ in range(self.completions)]
        return found


def _ids(draw: np.random.Generator, median: int) -> "array[int]":
    length = 1 if median == 1 else int(np.clip(draw.lognormal(np.log(median), SIGMA), SHORTEST, LONGEST))
    return array("i", draw.integers(FIRST_WORD, WORDS, length).astype(np.int32).tobytes())


KINDS = {
    "responses": Draw(prompts=16, prompt_median=80, completions=1, completion_median=120),
    "endings": Draw(prompts=8, prompt_median=80, completions=4, completion_median=30),
    "letters": Draw(prompts=8, prompt_median=120, completions=4, completion_median=1),
}
"""A response to each prompt, as select scores them; four endings of each, as in HellaSwag; four letters, as in MMLU."""
