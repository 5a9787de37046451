"""ZeRO's stages differ in what they share and when they reduce, not in what they compute."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.train.test_resume import COMMON, assert_continues, killed, on

pytestmark = pytest.mark.timeout(1500)
ROUNDING = 1e-5
"""Relative: sums of fp32 in another order."""


def losses(bench: Any, stage: int) -> list[float]:
    """Of a training in micro-batches on two processes."""
    trained = bench.train(method="sft", epochs=2, micro_batch=2, deepspeed={"stage": stage})
    return [record["loss"] for record in bench.losses(trained)]


def test_stages_0_and_1_train_as_stage_2(bench: Any) -> None:
    expected = losses(bench, 2)
    for stage in (0, 1):
        assert losses(bench, stage) == pytest.approx(expected, rel=ROUNDING)


def test_the_default_decides_logs_and_shares_its_address(bench: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """What is chosen is in the log with its numbers; another choice of recomputing is no other output."""
    trained = bench.train(method="sft", gradient_checkpointing="auto")
    log = capfd.readouterr().err
    assert log.count("ZeRO stage 1, activations kept: by estimate each of 2 processes needs") == 1
    again = bench.train(method="sft", gradient_checkpointing=True)
    assert again.address == trained.address


@pytest.mark.parametrize(("stage", "budget"), [(0, None), (1, 90)])
def test_two_ranks_continue_on_two_and_on_one(
    stage: int, budget: int | None, bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = COMMON | {"method": "sft", "deepspeed": {"stage": stage}, "micro_batch_tokens": budget}
    two, one = str(tmp_path / "two"), str(tmp_path / "one")
    newest = killed(bench, two, **chosen)
    shutil.copytree(two, one)
    uninterrupted = bench.train(**chosen)
    assert_continues(bench, uninterrupted, two, newest, capfd, **chosen)
    assert_continues(bench, uninterrupted, one, newest, capfd, **chosen, launch=on(1, 1))
