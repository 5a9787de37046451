"""Rows for supervised training: the labels are made when a row is read, since stored ones would double the table."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from components.models.forward.example import Example
from components.train.batches.token_table import Table, TokenTable

PROMPT_TOKENS = "prompt_tokens"


def stored_columns(examples: Sequence[Example]) -> dict[str, Any]:
    """Columns `input_ids` and `prompt_tokens`, from which a `LabelledTable` makes its labels."""
    return {
        "input_ids": [np.asarray(example.prompt + example.completion) for example in examples],
        PROMPT_TOKENS: np.array([len(example.prompt) for example in examples], np.int32),
    }


class LabelledTable(Table):
    """Columns `input_ids` and `labels`.

    Args:
        table: of `stored_columns`.
        ignored: the label of a prompt's tokens.
    """

    def __init__(self, table: TokenTable, ignored: int) -> None:
        self._table, self._ignored = table, ignored

    def __getitem__(self, name: str) -> Any:
        if name != "labels":
            return self._table[name]
        rows = zip(self._table["input_ids"], self._table[PROMPT_TOKENS], strict=True)
        return [np.concatenate([np.full(prompt, self._ignored, np.int32), ids[prompt:]]) for ids, prompt in rows]

    def __iter__(self) -> Iterator[str]:
        return iter(("input_ids", "labels"))

    def __len__(self) -> int:
        return 2

    def dataset(self) -> Any:
        """The rows as a `datasets.Dataset`."""
        # The trainer looks for a column of this name; the transformation replaces its values. It must not refer to the
        # table: `datasets` pickles a transformation to hash it.
        rows = self._table.dataset().rename_column(PROMPT_TOKENS, "labels")
        return rows.with_transform(partial(_labelled, ignored=self._ignored))


def _labelled(batch: Mapping[str, Any], ignored: int) -> dict[str, Any]:
    ids = batch["input_ids"]
    labels = [[ignored] * n + row[n:] for row, n in zip(ids, batch["labels"], strict=True)]
    return {"input_ids": ids, "labels": labels}
