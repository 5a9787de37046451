"""The same optimizer steps on packed batches: counted, or to be repeated."""

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import logsigmoid

from benchmarks.training.counting import Counts, counting
from benchmarks.training.rows import TextRow, make_model
from components.models.forward.captured_keys import CapturedKeys
from components.models.forward.check_packed import packed_model
from components.models.forward.example import Example
from components.models.forward.pack import pack, pack_continuations
from components.models.forward.packed_model import PackedModel
from components.models.forward.token_budget import best_fit

KL_GROUP = 16
"""Rows whose mismatched pairs estimate KTO's reference point together: `kto.kl_batch`."""
TOKENS = 4096
BETA = 0.1

Passes = Callable[[PackedModel, Sequence[Example]], None]
"""Forward and backward passes of one optimizer step over rows."""


def counted(passes: Passes, rows: list[TextRow]) -> Counts:
    """What the passes cost."""
    model, examples = make_model(), [row.example() for row in rows]
    packed = packed_model(model)
    with counting(model) as counts:
        passes(packed, examples)
    return counts


def repeatable(passes: Passes, rows: list[TextRow]) -> Callable[[], None]:
    """A function that makes the passes each time that it is called."""
    model, examples = make_model(), [row.example() for row in rows]
    packed = packed_model(model)

    def repeat() -> None:
        model.zero_grad()
        passes(packed, examples)

    return repeat


def sft_passes(packed: PackedModel, rows: Sequence[Example]) -> None:
    """Supervised fine-tuning on micro-batches of a token budget."""
    labels = sum(len(row.completion) for row in rows)
    for numbers in best_fit([len(row) for row in rows], TOKENS):
        batch = pack([rows[number] for number in numbers])
        (packed.summed_loss(batch, packed.hidden(batch)) / labels).backward()


def kto_passes(packed: PackedModel, rows: Sequence[Example]) -> None:
    """KTO with reference log-probs that are computed before; each response is paired with the next row's prompt."""
    for start in range(0, len(rows), KL_GROUP):
        group = rows[start : start + KL_GROUP]
        batch, captured = pack(group), CapturedKeys()
        hidden = packed.hidden(batch, captured)
        others = [group[number - 1].completion for number in range(len(group))]
        continued = pack_continuations(batch, others, captured)
        mismatched = continued.sum_by_row(packed.continuation_log_probs(continued, hidden[batch.prompt_ends]))
        captured.release()
        # What a step costs does not depend on the reference's values: zero here.
        kl = mismatched.mean().clamp(min=0)
        ratios = batch.sum_by_row(packed.log_probs(batch, hidden))
        signs = torch.tensor([1.0 if number % 2 == 0 else -1.0 for number in range(len(group))])
        ((1 - torch.sigmoid(BETA * signs * (ratios - kl))).sum() / len(rows)).backward()


def dpo_passes(packed: PackedModel, rows: Sequence[Example]) -> None:
    """DPO with reference log-probs that are computed before; a pair is two rows."""
    for start in range(0, len(rows), KL_GROUP):
        group = rows[start : start + KL_GROUP]
        batch = pack(group)
        ratios = batch.sum_by_row(packed.log_probs(batch, packed.hidden(batch)))
        (-logsigmoid(BETA * (ratios[::2] - ratios[1::2])).sum() / len(rows)).backward()
