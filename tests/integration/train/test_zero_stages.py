"""ZeRO's stages 0 and 1: what is chosen where the settings choose nothing, and trainings that continue.

That all stages compute the same is in `test_shares` and `test_token_budget`.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.train.test_resume import COMMON, assert_continues, killed, on

pytestmark = pytest.mark.timeout(1500)


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
