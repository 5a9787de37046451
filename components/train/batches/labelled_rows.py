"""Rows for supervised training: tokens and the prompt's length; padded batches get labels when a row is read."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from components.models.forward.example import Example

PROMPT_TOKENS = "prompt_tokens"


def stored_columns(examples: Sequence[Example]) -> dict[str, Any]:
    """Columns `input_ids` and `prompt_tokens`, the number of ids before the response."""
    return {
        "input_ids": [np.asarray(example.prompt + example.completion) for example in examples],
        PROMPT_TOKENS: np.array([len(example.prompt) for example in examples], np.int32),
    }


def with_labels(dataset: Any, ignored: int) -> Any:
    """A `datasets.Dataset` of `stored_columns` with columns `input_ids` and `labels`, without a copy.

    Args:
        dataset: the rows.
        ignored: the label of a prompt's tokens.
    """
    # The trainer looks for a column of this name; the transformation replaces its values. It must not refer to the
    # rows: `datasets` pickles a transformation to hash it.
    return dataset.rename_column(PROMPT_TOKENS, "labels").with_transform(partial(_labelled, ignored))


def _labelled(ignored: int, batch: Mapping[str, Any]) -> dict[str, Any]:
    ids = batch["input_ids"]
    return {
        "input_ids": ids,
        "labels": [[ignored] * prompt + row[prompt:] for row, prompt in zip(ids, batch["labels"], strict=True)],
    }
