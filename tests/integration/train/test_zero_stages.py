"""ZeRO's stages: every method computes the same at all of them; what is chosen where the settings choose nothing, and
trainings that continue."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.train.test_resume import COMMON, assert_continues, killed, on
from tests.integration.train.test_shares import assert_equal_results

pytestmark = pytest.mark.timeout(1500)
STILL = {"learning_rate": 1e-5, "global_batch": 32, "epochs": 1}
"""Weights move so little that rounding stays rounding until the last step."""
METHODS: dict[str, dict[str, Any]] = {
    "sft": {"method": "sft"},
    "kto": {"method": "kto", "kto": {"kl_batch": 4}},
    "dpo": {"method": "dpo"},
    "orpo": {"method": "orpo"},
    "simpo": {"method": "simpo"},
}
ADAPTERS = {"lora": {"rank": 4}}


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_on_two_ranks_computes_what_one_process_does(
    bench: Any, references: Any, method: str, stage: int
) -> None:
    alone = references.train(**METHODS[method], **STILL, launch=on(1, 1))
    both = bench.train(**METHODS[method], **STILL, deepspeed={"stage": stage}, launch=on(1, 2))
    assert both.counts["ranks"] == 2
    assert_equal_results(references, alone, both, bench.root)


@pytest.mark.parametrize("stage", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_adapters_of_every_method_on_two_ranks_are_those_of_one_process(
    bench: Any, references: Any, method: str, stage: int
) -> None:
    alone = references.train(**METHODS[method], **ADAPTERS, **STILL, launch=on(1, 1))
    both = bench.train(**METHODS[method], **ADAPTERS, **STILL, deepspeed={"stage": stage}, launch=on(1, 2))
    assert both.counts["parameters_trained"] < both.counts["parameters"]
    assert_equal_results(references, alone, both, bench.root)


def test_the_default_decides_logs_and_shares_its_address(bench: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """What is chosen is in the log with its numbers; another choice of recomputing is no other output."""
    trained = bench.train(method="sft", gradient_checkpointing="auto")
    log = capfd.readouterr().err
    assert log.count("attention kernel sdpa, the only one that computes these layers here. Left out: varlen: ") == 1
    assert log.count("ZeRO stage 1, activations kept: by estimate each of 2 processes needs") == 1
    again = bench.train(method="sft", gradient_checkpointing=True)
    assert again.address == trained.address


@pytest.mark.parametrize(
    "given",
    [
        {"method": "sft", "deepspeed": {"stage": 0}},
        {"method": "sft", "deepspeed": {"stage": 1}, "micro_batch_tokens": 90},
        {"method": "orpo", "deepspeed": {"stage": 2}},
        {"method": "simpo", "deepspeed": {"stage": 1}, **ADAPTERS},
    ],
    ids=str,
)
def test_two_ranks_continue_on_two_and_on_one(
    given: dict[str, Any], bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = COMMON | given
    two, one = str(tmp_path / "two"), str(tmp_path / "one")
    newest = killed(bench, two, **chosen)
    shutil.copytree(two, one)
    uninterrupted = bench.train(**chosen)
    assert_continues(bench, uninterrupted, two, newest, capfd, **chosen)
    assert_continues(bench, uninterrupted, one, newest, capfd, **chosen, launch=on(1, 1))
