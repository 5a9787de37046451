"""The sums of log-probs of the same rows by others: padded batches of transformers, and lm-evaluation-harness."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from components.models.forward.example import Example
from demo.make_tokenizer import make_tokenizer

BATCH = 8
PAD = 0

Score = Callable[[Sequence[Example]], list[float]]


def padded(model: Any, *, sort: bool) -> Score:
    """Batches of 8 rows through the model's own forward pass, padded at the end.

    Args:
        model: a causal language model of transformers.
        sort: whether rows of similar length are put together.
    """

    @torch.inference_mode()
    def score(rows: Sequence[Example]) -> list[float]:
        order = sorted(range(len(rows)), key=lambda number: -len(rows[number])) if sort else range(len(rows))
        found: dict[int, float] = {}
        for start in range(0, len(rows), BATCH):
            numbers = order[start : start + BATCH]
            found |= zip(numbers, _padded_batch(model, [rows[number] for number in numbers]), strict=True)
        return [found[number] for number in range(len(rows))]

    return score


def _padded_batch(model: Any, rows: Sequence[Example]) -> list[float]:
    ids = [torch.tensor([*row.prompt, *row.completion]) for row in rows]
    given = torch.nn.utils.rnn.pad_sequence([each[:-1] for each in ids], batch_first=True, padding_value=PAD)
    lengths = torch.tensor([len(each) - 1 for each in ids])
    mask = (torch.arange(given.shape[1]) < lengths[:, None]).long()
    logits = model(input_ids=given, attention_mask=mask, use_cache=False).logits
    found = []
    for number, (row, own) in enumerate(zip(rows, ids, strict=True)):
        predicting = logits[number, len(row.prompt) - 1 : len(own) - 1]
        found.append(predicting.log_softmax(1).gather(1, own[len(row.prompt) :, None]).double().sum().item())
    return found


def harness(model: Any) -> Score:
    """lm-evaluation-harness's backend for transformers, with batches of 8: longest first, single tokens shared."""
    from lm_eval.models.huggingface import HFLM

    backend = HFLM(pretrained=model, tokenizer=make_tokenizer(), batch_size=BATCH, device="cpu")

    def score(rows: Sequence[Example]) -> list[float]:
        # The texts only name requests.
        requests = [((str(number), ""), list(row.prompt), list(row.completion)) for number, row in enumerate(rows)]
        return [total for total, _ in backend._loglikelihood_tokens(requests, disable_tqdm=True)]

    return score
