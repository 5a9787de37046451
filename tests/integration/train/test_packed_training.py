"""Training on packed rows is training on padded ones with TRL's trainers, step by step, on two gloo ranks."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.launch.here.fork_server import ForkServer, forking_jobs
from pipelines.local.fork_steps import LIBRARIES

pytestmark = pytest.mark.timeout(1500)
REPOSITORY = Path(__file__).parents[3]
PADDED = """
import sys
from components.train.methods.registry import METHODS
def without_objective(*_):
    print("no objective on packed rows", file=sys.stderr)
for method in METHODS.values():
    type(method).objective = without_objective
"""
CASES: dict[str, dict[str, Any]] = {
    "sft": {"method": "sft", "micro_batch": 2, "deepspeed": {"stage": 3}},
    "kto": {"method": "kto", "kto": {"kl_batch": 4}, "deepspeed": {"stage": 3}},
    "dpo": {"method": "dpo", "deepspeed": {"stage": 3}, "lora": {"rank": 4}},
    "orpo": {"method": "orpo", "micro_batch": 2, "deepspeed": {"stage": 2}, "gradient_checkpointing": True},
    "simpo": {"method": "simpo", "deepspeed": {"stage": 1}, "lora": {"rank": 4}},
    "orpo, adapters": {"method": "orpo", "micro_batch": 2, "deepspeed": {"stage": 3}, "lora": {"rank": 4}},
    "simpo, adapters": {"method": "simpo", "deepspeed": {"stage": 3}, "lora": {"rank": 4}},
}


@pytest.fixture(scope="module")
def padding_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Forks trainings in which no method has an objective on packed rows."""
    folder = tmp_path_factory.mktemp("padding")
    (folder / "sitecustomize.py").write_text(PADDED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{folder}:{REPOSITORY}")
        server = ForkServer(LIBRARIES, new_interpreter=True)
    yield server
    server.close()


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_padded_rows(
    bench: Any, padding_server: ForkServer, tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    other = str(tmp_path / "padded")
    shutil.copytree(bench.root, other)
    packed = bench.train(**CASES[case])
    assert "padded rows" not in capfd.readouterr().err
    with forking_jobs(padding_server):
        padded = bench.train(**CASES[case], root=other)
    assert "no objective on packed rows" in capfd.readouterr().err
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
