"""The GPU's benchmark: its arithmetic, its refusal without a card, and all of it at a toy's size."""

import json
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from typer.testing import CliRunner

from benchmarks.gpu.__main__ import app, utilisation
from benchmarks.gpu.scale import CARD, QWEN2_HALF_BILLION, TOY, operations, parameters, peak_operations
from benchmarks.training.counting import counting

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without a GPU is what it tests")


def test_the_model_has_the_size_of_qwen2_half_billion() -> None:
    with torch.device("meta"):
        model = Qwen2ForCausalLM(Qwen2Config(**QWEN2_HALF_BILLION))
    assert model.num_parameters() == 494_032_768
    assert parameters(QWEN2_HALF_BILLION) == pytest.approx(model.num_parameters(), rel=1e-3)


def test_operations_are_those_of_the_products() -> None:
    """torch's counter counts all scores, masked or not, so the formula's half of them is added again."""
    rows, length = 2, 24
    model = Qwen2ForCausalLM(Qwen2Config(**TOY))
    with counting(model) as counts:
        ids = torch.zeros(rows, length, dtype=torch.long)
        model(input_ids=ids, use_cache=False).logits.sum().backward()
    masked = rows * length * 12 * TOY["num_hidden_layers"] * TOY["hidden_size"] * length // 2
    # The backward pass of fused attention computes the scores once more: a quarter of its forward and backward.
    assert counts.flops == pytest.approx(operations(TOY, rows, length) + masked, rel=0.05)


def test_cards_are_known_by_a_part_of_their_name() -> None:
    assert peak_operations("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_operations("NVIDIA H100 PCIe") == 756e12
    assert peak_operations("NVIDIA L40S") == 362e12
    assert peak_operations("another card") is None


def test_utilisation_is_the_share_of_the_peak() -> None:
    asked = operations(CARD.shape, CARD.batch, CARD.sft_tokens)
    assert utilisation(CARD, 2.0, asked) == 0.5
    assert utilisation(CARD, 2.0, None) is None


@needs_no_gpu
def test_without_a_gpu_it_exits_with_2() -> None:
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 2
    assert "needs an NVIDIA GPU" in done.stderr


@needs_no_gpu
@pytest.mark.timeout(1500)
def test_all_of_it_runs_at_a_toys_size(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--toy", "--result", str(tmp_path / "gpu.json")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["toy"] and found["kto"]["times_as_fast"]["timed_seconds"] > 0
    assert found["sft"]["tokens"] > 0 and found["attention"]["sdpa_seconds"] > 0
    assert "| KTO's steps, times as fast as TRL's defaults |" in done.stdout
