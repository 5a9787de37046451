"""A model with finite weights whose logits overflow: its answers and rankings are errors, never scores."""

import itertools
from array import array
from pathlib import Path
from typing import Any

import pytest
import torch

from components.models.forward.example import Example
from components.models.generators.generator import ChatRequest, RankRequest, Sampling, open_generator
from components.models.generators.transformers import TransformersGenerator, TransformersSettings
from components.models.likelihood.likelihood import RowLikelihood
from components.models.not_finite import NotFiniteError
from components.shared.rows import Message
from tests.packed_models import make_packed_model

QUESTIONS = tuple((Message(role="user", content=text),) for text in ("a", "a longer question", "why?"))


def with_infinite_logits(model: Any) -> None:
    with torch.no_grad():
        model.lm_head.weight.copy_(model.lm_head.weight.sign() * 3e38)


def with_nan_logits(model: Any) -> None:
    """The first layer's output is infinite, and the norm after it makes NaN of that."""
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.fill_(3e38)
        model.model.layers[0].mlp.up_proj.weight.fill_(3e38)


@pytest.fixture
def loaded(model_folder: Path) -> TransformersGenerator:
    opened = open_generator(TransformersSettings(model=str(model_folder), batch=4))
    assert isinstance(opened, TransformersGenerator)
    return opened


@pytest.mark.parametrize("spoil", [with_infinite_logits, with_nan_logits])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_an_answer_by_logits_that_are_not_finite_is_an_error(
    loaded: TransformersGenerator, spoil: Any, temperature: float
) -> None:
    spoil(loaded.model)
    assert all(weights.isfinite().all() for weights in loaded.model.parameters())
    asked = [ChatRequest(key=f"demo/{n}", messages=messages) for n, messages in enumerate(QUESTIONS)]
    passes: list[int] = []
    loaded.model.lm_head.register_forward_pre_hook(lambda *_: passes.append(1))
    with pytest.raises(NotFiniteError, match=r"computes logits for token 1 of its answer to 'demo/0'") as caught:
        list(loaded.answer(asked, Sampling(max_tokens=40, temperature=temperature)))
    assert len(passes) == 1, "a batch ends where none of its answers means anything any more"
    assert "learning_rate" in caught.value.remedy


def test_only_tokens_of_the_answer_count(loaded: TransformersGenerator) -> None:
    """Rows of a batch are computed on while others still answer; and -inf rules out a token."""
    own, steps = loaded.model.lm_head.forward, itertools.count(1)

    def head(states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = own(states)
        logits[..., 200:] = float("-inf")
        step = next(steps)
        if step == 1:
            logits[0, ..., loaded.end_ids[0]] = 1e6
        if step == 3:
            logits[0] = float("nan")
        return logits

    loaded.model.lm_head.forward = head
    asked = [ChatRequest(key=f"demo/{n}", messages=messages) for n, messages in enumerate(QUESTIONS)]
    replies = {reply.key: reply.tokens_out for reply in loaded.answer(asked, Sampling(max_tokens=6))}
    assert replies == {"demo/0": 1, "demo/1": 6, "demo/2": 6}


@pytest.mark.parametrize("spoil", [with_infinite_logits, with_nan_logits])
def test_a_ranking_by_log_likelihoods_that_are_not_finite_is_an_error(
    loaded: TransformersGenerator, spoil: Any
) -> None:
    spoil(loaded.model)
    asked = [RankRequest(key=f"demo/{n}", messages=each, continuations=("1", "12")) for n, each in enumerate(QUESTIONS)]
    with pytest.raises(NotFiniteError, match=r"log-probabilities of 6 of 6 texts .* first in row 'demo/0'"):
        list(loaded.rank(asked))


def test_token_scores_that_are_not_finite_are_an_error() -> None:
    model = make_packed_model("grouped_heads")
    with_nan_logits(model)
    scorer = RowLikelihood(model, reference="mine")
    with pytest.raises(NotFiniteError, match=r"'mine' computes log-probabilities of 1 of 1 text .* first in row 'r7'"):
        scorer.tokens([Example(array("i", [5, 6, 7]), array("i", [8, 9]))], ["r7"])
