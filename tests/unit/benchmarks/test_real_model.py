"""The benchmark of a real model without the model: its tasks, and the names and shapes of converted weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

from benchmarks.real_model.choose_tasks import choose_tasks
from benchmarks.real_model.convert import _name, _unpermuted
from benchmarks.real_model.rates import seconds_of_run, sizes_within


def test_tasks_with_short_answers_are_chosen(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Which?\u2028Two lines", "response": "the second one"},
        {"prompt": "Summarise", "response": "It is a long answer."},
        {"prompt": "What?", "response": " "},
    ]
    source = tmp_path / "all.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert choose_tasks(source, tmp_path / "chosen" / "tasks.jsonl") == (3, 1)
    (line,) = (tmp_path / "chosen" / "tasks.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert json.loads(line) == rows[0]


@pytest.mark.parametrize(("name", "heads"), [("attn_q", 4), ("attn_k", 2), ("attn_v", 0)])
def test_queries_and_keys_are_put_in_order_as_transformers_does(name: str, heads: int) -> None:
    values = np.arange(heads * 8 * 6 or 96, dtype=np.float32).reshape(-1, 6)
    theirs = LlamaTensorProcessor({"num_attention_heads": 4, "num_key_value_heads": 2})
    expected = theirs.process(values, name=f"blk.0.{name}.weight").weights
    assert np.array_equal(_unpermuted(values, heads), expected)


def test_a_tensor_that_a_llama_lacks_is_an_error() -> None:
    assert _name("blk.29.ffn_down.weight") == "model.layers.29.mlp.down_proj.weight"
    with pytest.raises(KeyError, match="rope_freqs"):
        _name("rope_freqs.weight")


def test_the_seconds_of_a_run_grow_with_its_sizes() -> None:
    rates = {"generated": 40.0, "read": 350.0, "learnt": 100.0, "served": 200.0}
    sizes = {"rows": 200, "samples": 4, "epochs": 1, "questions": 200, "gsm8k_questions": 100}
    once = seconds_of_run(rates, sizes)
    twice = seconds_of_run(rates, {**sizes, "rows": 400})
    assert twice["train sft"] == 2 * once["train sft"] and twice["evaluate"] == once["evaluate"]


def test_sizes_are_scaled_down_to_the_time_there_is_and_never_up() -> None:
    rates = {"generated": 40.0, "read": 350.0, "learnt": 100.0, "served": 200.0}
    sizes = {"rows": 200, "samples": 4, "epochs": 1, "questions": 200, "gsm8k_questions": 100}
    whole = sum(seconds_of_run(rates, sizes).values())
    assert sizes_within(rates, sizes, 10 * whole) == sizes
    smaller = sizes_within(rates, sizes, whole / 2)
    assert sum(seconds_of_run(rates, smaller).values()) < whole / 2
    assert smaller["rows"] < 100 and smaller["samples"] == 4 and smaller["epochs"] == 1
