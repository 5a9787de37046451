"""Shares by speed change which rank computes a row, not what a step learns: losses, gradients and weights are equal."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.shared.outputs.manifest import Manifest
from components.train.balance.record import SharesRecord
from components.train.train import summarise
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
CASES = [(method, stage) for method in METHODS for stage in (0, 1, 2)]
"""At stages 0 and 1 ranks make unequal numbers of passes, at 2 equally many."""
SPEEDS = {0: (1, 0.5), 1: (1, 0.25), 2: (1, 0.25)}
ADAPTERS = {"lora": {"rank": 4}}
DESCENT: dict[str, Any] = {
    "learning_rate": 1.0,
    "scheduler": "constant",
    "warmup_share": 0.0,
    "max_grad_norm": 1e9,
    "epochs": 1,
    "micro_batch": 3,
    "global_batch": 96,
}
"""One step of plain gradient descent over all rows, at a rate of 1: weights change by their gradients."""
SLOWING = """
import os
from components.train.engine.share_by_speed import SpeedShares
measured = SpeedShares._rank_now
def slowed(self, speed):
    rank = measured(self, speed)
    slow = os.environ.get("RANK") == "1" and self._steps > 10
    return rank.model_copy(update={"tokens_a_second": rank.tokens_a_second / 4}) if slow else rank
SpeedShares._rank_now = slowed
"""
"""From step 11 on the second rank finds itself four times as slow as it is."""
REPOSITORY = Path(__file__).parents[3]


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


@pytest.mark.parametrize(("method", "stage"), [("sft", 0), ("dpo", 1), ("kto", 2)])
def test_adapters_do_not_depend_on_shares(bench: Any, references: Any, method: str, stage: int) -> None:
    given = METHODS[method] | STILL | ADAPTERS
    alone = references.train(**given, **ALONE)
    dealt = bench.train(**given, deepspeed={"stage": stage}, **by_speed(*SPEEDS[stage]))
    assert dealt.counts["parameters_trained"] < dealt.counts["parameters"]
    assert_equal_results(references, alone, dealt, bench.root)


@pytest.mark.parametrize(
    ("method", "stage", "more"), [("sft", 2, {}), ("dpo", 1, {}), ("kto", 2, {}), ("kto", 1, ADAPTERS)]
)
def test_each_gradient_is_that_of_the_even_split(
    bench: Any, tmp_path: Path, method: str, stage: int, more: dict[str, Any]
) -> None:
    """By an optimizer without a state: Adam's steps are nearly the same for gradients of another size."""
    config = {
        "optimizer": {"type": "SGD"},
        "zero_optimization": {"stage": stage},
        "zero_allow_untested_optimizer": True,
    }
    given = {**METHODS[method], **DESCENT, **more, "deepspeed_config": config}
    even = bench.train(**given)
    root = copied(bench, tmp_path / "by speed")
    dealt = bench.train(**given, **by_speed(1, 0.25), root=root)
    assert even.counts["steps"] == dealt.counts["steps"] == 1
    start = load_file(bench.student / "model.safetensors")
    ours, theirs = weights_of(dealt, root), weights_of(even, bench.root)
    assert ours.keys() == theirs.keys() == start.keys()
    gradient = norm(start[name] - theirs[name] for name in start)
    assert gradient > 0.1
    assert norm(ours[name] - theirs[name] for name in start) < 1e-6 * gradient


def norm(tensors: Iterable[torch.Tensor]) -> float:
    """The L2 norm over all of them."""
    return float(sum(tensor.double().square().sum() for tensor in tensors) ** 0.5)


def test_a_rank_that_slows_gets_less_and_what_is_learnt_stays(bench: Any, references: Any, tmp_path: Path) -> None:
    given = STILL | {"method": "sft", "epochs": 2, "global_batch": 8, "deepspeed": {"stage": 1}}
    alone = references.train(**given, **ALONE)
    (tmp_path / "sitecustomize.py").write_text(SLOWING)
    launch = {"processes_per_node": 2, "environment": {"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}}
    dealt = bench.train(**given, shares="speed", launch=launch)
    assert_equal_results(references, alone, dealt, bench.root)
    *earlier, last = records_of(dealt, bench.root)
    assert earlier[0].reason == "measured"
    assert (last.reason, last.step) == ("changed", 21), "compared after 20 steps"
    assert last.shares[1] < earlier[-1].shares[1]
    assert dealt.counts["shares_changed"] == len(earlier)


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
    assert f"| shares by speed | found in {dealt.counts['seconds_speeds']:,.0f} s, changed " in summarise("sft", dealt)
    assert capfd.readouterr().err.count("shares by speed (measured) from step 1: rank 0 (CPU)") == 1


def test_rows_need_not_divide_by_the_ranks(bench: Any, tmp_path: Path) -> None:
    alone = bench.train(**STILL | {"global_batch": 25}, **ALONE)
    root = copied(bench, tmp_path / "by speed")
    dealt = bench.train(**STILL | {"global_batch": 25}, **by_speed(1, 0.5), root=root)
    assert_equal_results(bench, alone, dealt, root)
