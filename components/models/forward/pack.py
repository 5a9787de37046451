"""Packs rows into one sequence without padding; rows that share a prompt share its tokens."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from components.models.forward.captured_keys import CapturedKeys
from components.models.forward.example import Example, by_prompt
from components.models.forward.packed_rows import PackedRows
from components.models.forward.segments import NO_PARENT, Segments
from components.shared.errors import InputError

Ids = np.ndarray


def pack(rows: Sequence[Example], *, share_prompts: bool = True) -> PackedRows:
    """Pack rows in their order; with `share_prompts`, equal prompts are one segment that all their completions see.

    A shared prompt is computed once, with gradients: chosen and rejected responses of a pair, and all responses to one
    prompt. Log-probs and gradients equal those of separate rows.

    Raises:
        InputError: there are no rows, or one lacks a prompt or a completion.
    """
    _require_complete(rows)
    packing = _Packing(len(rows))
    for numbers in by_prompt(rows) if share_prompts else [[number] for number in range(len(rows))]:
        packing.add({number: rows[number] for number in numbers})
    return packing.result(rows)


def pack_continuations(packed: PackedRows, completions: Sequence[Sequence[int]], captured: CapturedKeys) -> PackedRows:
    """Pack a completion for the prompt of each row of `packed`, without those prompts: `captured` has their keys.

    The first label of a row is predicted by its prompt's last hidden state, which the earlier pass has computed.

    Args:
        packed: the rows whose prompts are continued.
        completions: token ids of each row's other completion.
        captured: keys and values of the earlier forward pass over `packed`.

    Raises:
        InputError: a completion is empty.
    """
    if len(completions) != len(packed.prompt_spans):
        raise ValueError(f"{len(completions)} completions for {len(packed.prompt_spans)} prompts")
    ids = [np.asarray(completion, dtype=np.int64) for completion in completions]
    if not all(len(each) for each in ids):
        raise _incomplete([len(each) for each in ids].index(0), "completion")
    inputs = [each[:-1] for each in ids]
    if not any(len(each) for each in inputs):
        # A forward pass must have a token: ranks that share weights (ZeRO-3) make the same number of passes.
        inputs[0] = ids[0]
    return _continue(packed.prompt_spans, ids, inputs, captured)


def _continue(
    spans: Sequence[tuple[int, int]], ids: Sequence[Ids], inputs: Sequence[Ids], captured: CapturedKeys
) -> PackedRows:
    starts = len(spans) + np.cumsum([0, *map(len, inputs)])
    places = [
        np.concatenate([[number], np.arange(start, start + len(labels) - 1)])
        for number, (start, labels) in enumerate(zip(starts, ids, strict=False))
    ]
    positions = [np.arange(len(each)) + end - start for each, (start, end) in zip(inputs, spans, strict=True)]
    filled = [number for number, each in enumerate(inputs) if len(each)]
    segments = Segments(
        tuple(len(inputs[number]) for number in filled),
        (NO_PARENT,) * len(filled),
        captured,
        tuple(spans[number] for number in filled),
    )
    return PackedRows(
        _joined(inputs)[None],
        _joined(positions)[None],
        segments,
        _joined(places),
        _joined(ids),
        torch.tensor([len(each) for each in ids]),
    )


@dataclass
class _Packing:
    """A batch while rows are added to it."""

    rows: int
    ids: list[Ids] = field(default_factory=list)
    positions: list[Ids] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    tokens: int = 0
    labels: dict[int, Ids] = field(default_factory=dict)
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, rows: dict[int, Example]) -> None:
        """Add rows of one prompt, by their numbers."""
        prompt = np.asarray(next(iter(rows.values())).prompt, dtype=np.int64)
        start, end = self.tokens, self.tokens + len(prompt)
        self.spans |= dict.fromkeys(rows, (start, end))
        inputs = {number: np.asarray(row.completion, dtype=np.int64)[:-1] for number, row in rows.items()}
        if len(rows) == 1:
            ((number, own),) = inputs.items()
            self._segment(np.concatenate([prompt, own]), 0, NO_PARENT)
            self.labels[number] = np.arange(end - 1, end + len(own))
            return
        parent = self._segment(prompt, 0, NO_PARENT)
        for number, own in inputs.items():
            self.labels[number] = np.concatenate([[end - 1], np.arange(self.tokens, self.tokens + len(own))])
            if len(own):
                self._segment(own, len(prompt), parent)

    def _segment(self, ids: Ids, first_position: int, parent: int) -> int:
        self.ids.append(ids)
        self.positions.append(np.arange(first_position, first_position + len(ids)))
        self.parents.append(parent)
        self.tokens += len(ids)
        return len(self.ids) - 1

    def result(self, rows: Sequence[Example]) -> PackedRows:
        """The batch, with labels in the order of the rows."""
        return PackedRows(
            _joined(self.ids)[None],
            _joined(self.positions)[None],
            Segments(tuple(len(ids) for ids in self.ids), tuple(self.parents)),
            _joined(self.labels[number] for number in range(self.rows)),
            _joined(np.asarray(row.completion, dtype=np.int64) for row in rows),
            torch.tensor([len(row.completion) for row in rows]),
            tuple(self.spans[number] for number in range(self.rows)),
        )


def _require_complete(rows: Sequence[Example]) -> None:
    if not rows:
        raise InputError("no rows to pack", rule="a batch has at least one row")
    for number, row in enumerate(rows):
        if not row.prompt or not row.completion:
            raise _incomplete(number, "completion" if row.prompt else "prompt")


def _incomplete(number: int, part: str) -> InputError:
    return InputError(
        f"row {number} of the batch has an empty {part}",
        rule="a row has a token of a prompt, which predicts its first label, and a label",
        remedy="drop such rows, or begin prompts with the tokenizer's first token",
    )


def _joined(parts: Iterable[Ids]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(list(parts)).astype(np.int64, copy=False))
