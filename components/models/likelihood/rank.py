"""Log-likelihoods of texts that follow one prompt, as multiple_choice of lm-evaluation-harness ranks answers."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from components.models.conversation.chat_template import Refusal
from components.models.forward.example import Example
from components.models.generators.generator import Ranking, RankRequest
from components.models.generators.prompts import PromptMaker
from components.models.likelihood.likelihood import RowLikelihood

LOOK_AHEAD = 256
"""Requests that are divided into batches together."""


def rank(model: Any, prompts: PromptMaker, requests: Iterable[RankRequest]) -> Iterator[Ranking]:
    """A ranking for each request, in order; a prompt is computed once for all of its continuations.

    No end token follows a continuation, and what exceeds the context is truncated from the left, as in the harness.

    Args:
        model: a causal language model of transformers; it generates nothing until the iterator is exhausted or closed.
        prompts: what encodes for this model.
        requests: prompts and their continuations.

    Raises:
        InputError: a continuation is empty.
        ModelError: a continuation leaves no room for a prompt, or a row does not fit into memory.
        NotFiniteError: a log-likelihood is infinite or NaN.
    """
    likelihood, waiting = RowLikelihood(model, reference=prompts.reference), iter(requests)
    try:
        while ahead := list(islice(waiting, LOOK_AHEAD)):
            made = prompts.continued(ahead)
            named = [
                (request.key, row)
                for request, rows in zip(ahead, made, strict=True)
                if not isinstance(rows, Refusal)
                for row in rows
            ]
            totals = iter(likelihood.totals([row for _, row in named], [key for key, _ in named]))
            for request, rows in zip(ahead, made, strict=True):
                yield _ranking(request.key, rows, totals)
    finally:
        likelihood.close()


def _ranking(key: str, rows: Sequence[Example] | Refusal, totals: Iterator[float]) -> Ranking:
    if isinstance(rows, Refusal):
        return Ranking(key=key, refusal=str(rows))
    tokens = max(len(row.prompt) for row in rows) + sum(len(row.completion) for row in rows)
    return Ranking(key=key, log_likelihoods=tuple(next(totals) for _ in rows), tokens_in=tokens)
