"""Training on packed rows is training on padded ones with TRL's trainers, step by step, on two gloo ranks."""

import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(1500)
REPOSITORY = Path(__file__).parents[3]
PADDED = """
from components.train.methods.method import TrainingMethod
from components.train.methods.registry import METHODS
for method in METHODS.values():
    type(method).objective = TrainingMethod.objective
"""
CASES: dict[str, dict[str, Any]] = {
    "sft": {"method": "sft", "micro_batch": 2, "deepspeed": {"stage": 2}},
    "kto": {"method": "kto", "kto": {"kl_batch": 4}, "deepspeed": {"stage": 3}},
    "dpo": {"method": "dpo", "deepspeed": {"stage": 3}, "lora": {"rank": 4}},
    "orpo": {"method": "orpo", "micro_batch": 2, "deepspeed": {"stage": 2}, "gradient_checkpointing": True},
}


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_padded_rows(
    bench: Any, tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    other = str(tmp_path / "padded")
    shutil.copytree(bench.root, other)
    (tmp_path / "sitecustomize.py").write_text(PADDED)
    environment = {"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    launch = {"processes_per_node": 2}
    packed = bench.train(**CASES[case], launch=launch)
    assert "padded rows" not in capfd.readouterr().err
    padded = bench.train(**CASES[case], root=other, launch=launch | {"environment": environment})
    found, expected = bench.losses(packed), bench.losses(padded, other)
    for name in ("loss", "gradient_norm", *({"kl"} & expected[0].keys())):
        first, *rest = [record[name] for record in expected]
        assert found[0][name] == pytest.approx(first, rel=1e-5, abs=1e-7), name
        # Later steps start from weights that differ by rounding.
        assert [record[name] for record in found[1:]] == pytest.approx(rest, rel=2e-3, abs=1e-5), name
    assert packed.counts["loss_last"] < packed.counts["loss_first"]


def test_adapters_under_zero_3_train_with_checkpointed_activations(bench: Any, tmp_path: Path) -> None:
    """Recomputed layers give the same losses; KTO's captured keys are those of the first computation."""
    other = str(tmp_path / "other")
    shutil.copytree(bench.root, other)
    chosen = {"method": "kto", "deepspeed": {"stage": 3}, "lora": {"rank": 4}}
    recomputed = bench.losses(bench.train(**chosen, gradient_checkpointing=True))
    kept = bench.losses(bench.train(**chosen, root=other), other)
    for name in ("loss", "gradient_norm"):
        assert [record[name] for record in recomputed] == pytest.approx([record[name] for record in kept], rel=1e-4)
