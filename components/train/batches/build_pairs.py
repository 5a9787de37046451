"""Pairs of responses to tokens: both through the chat template, and both truncated alike."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.models.conversation.chat_template import Refusal
from components.models.conversation.encoder import Encoded
from components.shared.rows import Pair
from components.train.batches.build_dataset import (
    Template,
    count_response,
    in_chunks,
    nothing_left,
    within_max_length,
)
from components.train.batches.examples import Examples, Kept
from components.train.batches.token_table import lengths_of
from components.train.settings import TrainSettings


@dataclass(frozen=True)
class PairExample:
    """Token ids of a prompt, and of the chosen and the rejected response, each with its end token."""

    prompt: "array[int]"
    chosen: "array[int]"
    rejected: "array[int]"


@dataclass
class PairExamples(Examples[PairExample]):
    """All pairs of a training; a pair counts as truncated, dropped or refused when one of its responses is.

    Attributes:
        equal: pairs that were left out, as their responses are the same tokens within `max_length`.
    """

    equal: int = 0

    @property
    def counts(self) -> dict[str, float]:
        """The counts of pairs for the manifest."""
        return super().counts | {"pairs_equal": self.equal}

    def notes(self) -> list[str]:
        """Lines for the log, one for each thing that happened to pairs."""
        equal = f"{self.equal} pairs dropped: their responses are equal within max_length, so neither is preferred"
        return [*super().notes(), *([equal] if self.equal else [])]


def build_pairs(
    template: Template, rows: Iterable[Pair], settings: TrainSettings, kept: Kept[PairExample] | None = None
) -> PairExamples:
    """Tokenize all pairs.

    Args:
        template: of the model that is trained.
        rows: in the order of the examples.
        settings: what becomes of long rows.
        kept: takes the examples; left out: a list, with 4 bytes for each token.

    Raises:
        ModelError: the tokenizer has no end token.
        EmptyDataError: no pair is left.
    """
    examples = PairExamples([] if kept is None else kept)
    for chunk in in_chunks(rows):
        encoded = template.encode([(row.prompt, text) for row in chunk for text in (row.chosen, row.rejected)])
        for row, chosen, rejected in zip(chunk, encoded[::2], encoded[1::2], strict=True):
            if isinstance(chosen, Refusal):
                examples.refuse(chosen.about(row.id))
            elif isinstance(rejected, Refusal):
                examples.refuse(rejected.about(row.id))
            else:
                _add(examples, row, chosen, rejected, settings)
    if not len(examples.kept):
        equal = [f"{examples.equal} have equal responses within max_length"] if examples.equal else []
        raise nothing_left(examples, settings, *equal)
    return examples


def pair_columns(pairs: Sequence[PairExample]) -> dict[str, Any]:
    """Columns of token ids: `prompt_ids`, `chosen_ids` and `rejected_ids`."""
    return {
        "prompt_ids": [np.asarray(pair.prompt) for pair in pairs],
        "chosen_ids": [np.asarray(pair.chosen) for pair in pairs],
        "rejected_ids": [np.asarray(pair.rejected) for pair in pairs],
    }


def pair_tokens(columns: Mapping[str, Any]) -> np.ndarray:
    """Tokens of both responses of each pair, each with its prompt, shape (pairs,)."""
    prompt, chosen, rejected = (lengths_of(columns[f"{name}_ids"]) for name in ("prompt", "chosen", "rejected"))
    return 2 * prompt + chosen + rejected


def pair_positions(columns: Mapping[str, Any]) -> np.ndarray:
    """Positions of each pair in a packed forward pass, in which both responses share their prompt, shape (pairs,)."""
    # A response's last token predicts nothing.
    return pair_tokens(columns) - lengths_of(columns["prompt_ids"]) - 2


def _add(examples: PairExamples, row: Pair, chosen: Encoded, rejected: Encoded, settings: TrainSettings) -> None:
    better = within_max_length(chosen, row.chosen, settings)
    worse = within_max_length(rejected, row.rejected, settings)
    if better is None or worse is None:
        examples.dropped += 1
    elif better == worse:
        examples.equal += 1
    else:
        count_response(examples, (chosen, better), (rejected, worse))
        examples.kept.append(PairExample(array("i", chosen.prompt), better, worse))
