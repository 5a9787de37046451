"""Everyone who scores finds the same sums, so that their times compare."""

import pytest
import torch
import transformers

from benchmarks.scoring.__main__ import compare
from benchmarks.scoring.rows import Draw


@pytest.mark.parametrize("completion", [1, 5])
def test_everyone_scores_alike_and_a_shared_prompt_is_computed_once(completion: int) -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    rows = Draw(prompts=3, prompt_median=20, completions=2, completion_median=completion).rows()
    found = compare(rows, rounds=1)
    prompts = sum(len(row.prompt) for row in rows[::2])
    assert found["positions"] == prompts + sum(len(row.completion) - 1 for row in rows)
    assert found["padded"]["positions"] >= found["tokens"] - len(rows) > found["positions"]
