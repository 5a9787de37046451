"""Completions are scored without padding, each with the log-probability that a plain pass over its row alone gives."""

from array import array
from typing import Any

import pytest
import torch
import transformers

from components.models.forward.attention import PACKED
from components.models.forward.example import Example
from components.models.likelihood.likelihood import RowLikelihood, divide_rows, positions
from components.models.likelihood.row_scorers import PackedScorer, SingleScorer, open_scorer
from components.shared.errors import ModelError
from tests.packed_models import CONFIGS, log_probs_alone, make_packed_model, make_recurrent_model
from tests.tiny_architectures import ARCHITECTURES


def example(prompt: int, size: int, completion: int, length: int) -> Example:
    """A row of `size` and `length` tokens that begin at given ids."""
    return Example(
        *(
            array("i", [(start + 5 * place) % 90 + 5 for place in range(count)])
            for start, count in ((prompt, size), (completion, length))
        )
    )


SHARED = [example(1, 12, first, length) for first, length in ((2, 5), (3, 1), (4, 9))]
ROWS = [SHARED[0], example(7, 3, 1, 4), *SHARED[1:], example(8, 20, 2, 1), example(9, 1, 5, 2), SHARED[0]]


def plain_totals(model: Any, rows: list[Example]) -> list[float]:
    with torch.no_grad():
        return [log_probs_alone(model, row).double().sum().item() for row in rows]


def make_bloom() -> Any:
    """Its attention sees positions through a mask of its own alone, so it cannot run on packed rows."""
    torch.manual_seed(0)
    config = transformers.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2)
    return transformers.BloomForCausalLM(config).eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_totals_are_those_of_rows_alone(name: str) -> None:
    model = make_packed_model(name)
    expected = plain_totals(model, ROWS)
    for budget in (16, 2048):
        scored = RowLikelihood(model, budget)
        assert scored.totals(ROWS) == pytest.approx(expected, abs=1e-4)
        scored.close()
    assert plain_totals(model, ROWS) == pytest.approx(expected, abs=1e-4), "the model is as it was"


@pytest.mark.parametrize("make", [make_bloom, make_recurrent_model, ARCHITECTURES["qwen3_5_vision"]])
def test_models_that_cannot_be_packed_are_scored_row_by_row(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = make().eval()
    expected = plain_totals(model, ROWS)
    own = model.config._attn_implementation
    scored = RowLikelihood(model, reference="mine")
    assert scored.totals(ROWS) == pytest.approx(expected, abs=1e-4)
    assert model.config._attn_implementation == own != PACKED
    assert scored.tokens_in == sum(len(row) - 1 for row in ROWS)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "mine: " in line]
    assert "answers are scored one at a time, which is slower: " in line and type(model).__name__ in line


def test_only_real_positions_are_computed_and_a_shared_prompt_once() -> None:
    model, seen = make_packed_model("grouped_heads"), []
    scored = RowLikelihood(model)
    model.get_decoder().register_forward_pre_hook(
        lambda _, __, named: seen.append(named["input_ids"].numel()), with_kwargs=True
    )
    heads: list[int] = []
    model.lm_head.register_forward_pre_hook(lambda _, given: heads.append(len(given[0])))
    scored.totals(SHARED)
    assert scored.tokens_in == sum(seen) == 12 + sum(len(row.completion) - 1 for row in SHARED)
    assert heads == [sum(len(row.completion) for row in SHARED)], "the head sees label positions alone"


def test_batches_stay_within_the_budget_and_keep_prompts_together() -> None:
    draw = torch.Generator().manual_seed(0)
    sizes = torch.randint(1, 40, (60, 2), generator=draw).tolist()
    rows = [example(number % 20, sizes[number % 20][0], number, size[1]) for number, size in enumerate(sizes)]
    batches = divide_rows(rows, 64)
    assert sorted(number for batch in batches for number in batch) == list(range(60))
    for batch in batches:
        prompts = [rows[number].prompt.tobytes() for number in batch]
        groups = [[rows[number] for number in batch if rows[number].prompt.tobytes() == one] for one in set(prompts)]
        assert len(groups) == 1 or sum(map(positions, groups)) <= 64
        assert prompts == sorted(prompts, key=prompts.index), "rows of one prompt are adjacent"
    assert len(divide_rows(SHARED, 12)) == 1 < len(divide_rows(SHARED, 11)), "12 positions follow their prompt"


def test_a_batch_that_does_not_fit_into_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_packed_model("grouped_heads")
    expected, totals = plain_totals(model, ROWS), PackedScorer.totals
    scored, sizes = RowLikelihood(model), []

    def limited(scorer: PackedScorer, rows: list[Example], most: int = 2) -> list[float]:
        sizes.append(len(rows))
        if len(rows) > most:
            raise torch.OutOfMemoryError
        return totals(scorer, rows)

    monkeypatch.setattr(PackedScorer, "totals", limited)
    assert scored.totals(ROWS) == pytest.approx(expected, abs=1e-4)
    assert sizes[0] == len(ROWS) and set(sizes) > {1, 2}
    monkeypatch.setattr(PackedScorer, "totals", lambda scorer, rows: limited(scorer, rows, 0))
    with pytest.raises(ModelError, match=r"a conversation of \d+ tokens does not fit"):
        scored.totals(ROWS)


def test_a_small_model_uses_one_thread_and_the_setting_is_restored() -> None:
    model, seen = make_packed_model("grouped_heads"), []
    torch.set_num_threads(2)
    try:
        scored = RowLikelihood(model)
        model.get_decoder().register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
        scored.totals(ROWS)
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_half_precision_is_deterministic_and_close() -> None:
    expected = plain_totals(make_packed_model("grouped_heads"), ROWS)
    scored = [RowLikelihood(make_packed_model("grouped_heads").bfloat16()).totals(ROWS) for _ in range(2)]
    assert scored[0] == scored[1] == pytest.approx(expected, rel=0.05)


def test_the_scorer_of_most_models_is_packed() -> None:
    assert isinstance(open_scorer(make_packed_model("sinks"), "m"), PackedScorer)
    assert isinstance(open_scorer(make_bloom(), "m"), SingleScorer)


@pytest.mark.parametrize("make", [lambda: make_packed_model(next(iter(CONFIGS))), make_bloom])
def test_tokens_have_the_log_probs_and_ranks_of_the_models_own_logits(make: Any) -> None:
    model = make()
    scored = RowLikelihood(model, 16)
    found = scored.tokens(ROWS)
    totals = scored.totals(ROWS)
    scored.close()
    for row, tokens, total in zip(ROWS, found, totals, strict=True):
        with torch.no_grad():
            ids = torch.tensor([[*row.prompt, *row.completion]])
            logits = model(input_ids=ids, use_cache=False).logits[0, len(row.prompt) - 1 : -1].float()
        places = [
            order.index(token) + 1
            for order, token in zip(logits.argsort(1, descending=True).tolist(), row.completion, strict=True)
        ]
        assert list(tokens.ranks) == places
        assert tokens.log_probs == pytest.approx(log_probs_alone(model, row).tolist(), abs=1e-4)
        assert sum(tokens.log_probs) == pytest.approx(total, abs=1e-4)
