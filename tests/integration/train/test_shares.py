"""Shares by speed change which rank computes a row, not what a step learns: losses, gradients and weights are equal."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.shared.outputs.manifest import Manifest
from components.train.balance.record import SharesRecord
from tests.integration.train.tolerances import KL_ROUNDING

pytestmark = pytest.mark.timeout(1500)
STILL = {"learning_rate": 1e-5, "micro_batch": 3, "global_batch": 32}
"""Weights move so little that rounding stays rounding until the last step."""
ALONE = {"launch": {"processes_per_node": 1}}
METHODS: dict[str, dict[str, Any]] = {
    "sft": {"method": "sft"},
    "dpo": {"method": "dpo", "epochs": 1},
    "kto": {"method": "kto", "kto": {"kl_batch": 4}},
}
LORA = {"method": "sft", "lora": {"rank": 4}, "deepspeed": {"stage": 2}, "gradient_checkpointing": True}
CASES = [("sft", 0), ("sft", 1), ("sft", 2), ("dpo", 2), ("kto", 1), ("kto", 2)]
"""Every stage sums the gradients of SFT, and pairs are divided as rows are. KTO's micro-batches also hold what its
reference point is measured on: with a stage where ranks make unequal numbers of passes, and with one where they make
equally many."""
SPEEDS = {0: (1, 0.5), 1: (1, 0.25), 2: (1, 0.25)}


def copied(bench: Any, folder: Path) -> str:
    """Another store with the same selected rows."""
    shutil.copytree(bench.root, folder, ignore=shutil.ignore_patterns("train", "train-reference"))
    return str(folder)


def by_speed(*speeds: float) -> dict[str, Any]:
    """Settings with shares by these speeds."""
    return {"shares": "speed", "launch": {"processes_per_node": len(speeds), "speeds": speeds}}


def records_of(manifest: Manifest, root: str) -> list[SharesRecord]:
    """How the training's steps were dealt."""
    lines = (Path(root) / manifest.address / "shares.jsonl").read_text().splitlines()
    return [SharesRecord.model_validate_json(line) for line in lines]


def weights_of(manifest: Manifest, root: str) -> dict[str, torch.Tensor]:
    """The trained model's tensors."""
    tensors: dict[str, torch.Tensor] = load_file(Path(root) / manifest.address / "model" / "model.safetensors")
    return tensors


def assert_equal_results(bench: Any, even: Manifest, dealt: Manifest, root: str, steps: slice = slice(None)) -> None:
    """Compare losses, gradient norms, KTO's reference point and the final weights with those in the bench's store."""
    expected, found = bench.losses(even)[steps], bench.losses(dealt, root)[steps]
    assert len(found) == len(expected) > 0
    # DeepSpeed's stage 0 reports no norm.
    for name in {"loss", "gradient_norm", "kl"} & expected[0].keys() & found[0].keys():
        values = [record[name] for record in found]
        least = KL_ROUNDING if name == "kl" else 1e-6
        assert values == pytest.approx([record[name] for record in expected], rel=1e-6, abs=least), name
    others = weights_of(dealt, root)
    for name, weight in weights_of(even, bench.root).items():
        assert torch.allclose(weight, others[name], rtol=0, atol=1e-6), name


@pytest.mark.parametrize(("method", "stage"), CASES)
def test_losses_gradients_and_weights_do_not_depend_on_shares(
    bench: Any, references: Any, method: str, stage: int
) -> None:
    """All are those of one process, whatever the stage."""
    given = METHODS[method] | STILL | {"deepspeed": {"stage": stage}}
    alone = references.train(**METHODS[method], **STILL, **ALONE)
    speeds = SPEEDS[stage]
    dealt = bench.train(**given, **by_speed(*speeds))
    assert_equal_results(references, alone, dealt, bench.root)
    assert stage == 0 or "gradient_norm" in bench.losses(dealt)[0]
    (record,) = records_of(dealt, bench.root)
    assert (record.reason, record.step) == ("given", 1)
    assert record.shares == pytest.approx([speed / sum(speeds) for speed in speeds], abs=1e-6)
    assert dealt.address == bench.address(**given), "who computes a row is not in the key"
    if stage < 2:
        assert dealt.counts["passes_without_weight"] == 0
    elif method != "kto":
        assert dealt.counts["passes_without_weight"] > 0, "the slow rank has fewer rows than the fast one passes"


def test_measured_shares_of_adapters_are_equal_to_even_ones(
    bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    even = bench.train(**LORA, **STILL, **ALONE)
    root = copied(bench, tmp_path / "by speed")
    dealt = bench.train(**LORA, **STILL, shares="speed", micro_batch_tokens="auto", root=root)
    assert_equal_results(bench, even, dealt, root)
    record, *later = records_of(dealt, root)
    assert record.reason == "measured" and {other.reason for other in later} <= {"changed"}
    assert [rank.name for rank in record.ranks] == ["rank 0 (CPU)", "rank 1 (CPU)"]
    assert sum(record.shares) == pytest.approx(1, abs=1e-5) and min(record.shares) > 0.1
    assert min(record.free_gib) > 0
    assert all(rank.most_tokens == dealt.counts["micro_batch_tokens"] for rank in record.ranks)
    assert 2 < dealt.counts["seconds_speeds"] < 60
    assert capfd.readouterr().err.count("shares by speed (measured) from step 1: rank 0 (CPU)") == 1


def test_rows_need_not_divide_by_the_ranks(bench: Any, tmp_path: Path) -> None:
    alone = bench.train(**STILL | {"global_batch": 25}, **ALONE)
    root = copied(bench, tmp_path / "by speed")
    dealt = bench.train(**STILL | {"global_batch": 25}, **by_speed(1, 0.5), root=root)
    assert_equal_results(bench, alone, dealt, root)
