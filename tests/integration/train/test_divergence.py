"""A training that diverges: an error, or an output with `diverged.json` in place of a model, as its settings say."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from components.models.reference import as_parent, divergence_of, local_model
from components.shared.errors import ModelError
from components.shared.outputs.divergence import has_diverged
from components.shared.outputs.library import Library
from components.train.train import summarise

pytestmark = pytest.mark.timeout(600)
STEEP = {"method": "sft", "epochs": 3, "learning_rate": 1.0, "lora": {"rank": 4, "alpha": 1e17}}
"""The adapters are scaled by 2.5e16: once a step has changed them, gradients overflow (the rate of step 1 is 0)."""


def test_a_training_that_diverges_is_a_result_where_that_is_asked_for(
    bench: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    made = bench.train(**STEEP, on_divergence="finish", hand_over_epochs=(1, 2))
    said = capfd.readouterr().err
    assert "diverged, so there is no model: the gradients of step 3 are not finite" in said and "FAILED" not in said
    step = int(made.counts["diverged_step"])
    assert has_diverged(made) and made.counts["diverged"] == 1
    assert sorted(shard.name for shard in made.shards) == ["diverged.json", "losses.jsonl"]
    steps = [record["step"] for record in bench.losses(made)]
    assert step == 3 and steps == [1, 2], "the steps before it are recorded"
    assert (made.counts["steps"], made.cost.tokens_in) == (step - 1, made.counts["tokens"])
    assert f"| **diverged**: there is no model | at step {step} |" in summarise("train-sft", made)

    reference = f"{bench.root}/{made.address}"
    found = divergence_of(reference)
    assert found is not None and (found.step, found.training) == (step, made.address)
    assert as_parent(reference) == made.parent
    with pytest.raises(ModelError, match="holds no model: the gradients of step 3"):
        local_model(reference)

    library = Library(bench.root)
    for epoch in (1, 2):
        early = library.load(bench.address(**STEEP, stop_after_epochs=epoch))
        assert has_diverged(early) and early.counts["diverged_step"] == step
        assert early.digest != made.digest, "what was not asked is still told apart"

    with pytest.raises(ModelError, match=f"diverged at step {step}, so it has no model"):
        bench.train(**STEEP)


def test_a_training_that_stays_finite_is_the_same_either_way(bench: Any, references: Any) -> None:
    plain = references.train(method="sft")
    assert references.train(method="sft", on_divergence="finish") == plain and not has_diverged(plain)
    assert divergence_of(f"{references.root}/{plain.address}") is None


def test_a_start_whose_log_probs_overflow_has_diverged_before_the_first_step(
    bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its weights are finite, so nothing refused it until its logits were needed."""
    start = tmp_path / "overflowing"
    shutil.copytree(bench.student, start)
    weights = load_file(start / "model.safetensors")
    for part in ("up_proj", "down_proj"):
        weights[f"model.layers.0.mlp.{part}.weight"].fill_(3e38)
    save_file(weights, start / "model.safetensors", metadata={"format": "pt"})
    made = bench.train(method="dpo", start=str(start), on_divergence="finish")
    assert has_diverged(made) and (made.counts["diverged_step"], made.counts["steps"]) == (0, 0)
    said = capfd.readouterr().err
    assert "the reference's log-probs of 96 rows are infinite or NaN; the first begins with '<|user|>Repeat: " in said
