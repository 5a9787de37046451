"""The reference's log-probs are read from the store by every training after the first."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from components.shared.outputs.library import Library
from components.train.train import summarise

pytestmark = pytest.mark.timeout(1500)


def test_another_learning_rate_seed_and_number_of_ranks_read_what_is_there(
    bench: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    bench.train(method="dpo", launch={"processes_per_node": 1})
    (address,) = (f"train-reference/{folder.name}" for folder in Path(bench.root, "train-reference").iterdir())
    assert f"reference log-probs: 96 rows computed, written to {address}" in capfd.readouterr().err
    other = bench.train(method="dpo", learning_rate=1e-3, seed=7)
    assert f"reference log-probs: 96 rows read from {address}" in capfd.readouterr().err
    assert "| reference log-probs | 96 rows, read |" in summarise("train", other)
    assert Library(bench.root).load(address).parents["dataset"] == bench.selected.parent


def test_a_training_that_reads_them_is_the_one_that_computed_them(bench: Any) -> None:
    """Also where computing wrapped a model that ZeRO-3 shards."""
    chosen = {"method": "kto", "deepspeed": {"stage": 3}}
    computing = bench.train(**chosen)
    losses = bench.losses(computing)
    shutil.rmtree(Path(bench.root, computing.address))
    reading = bench.train(**chosen)
    computed = [manifest.counts["reference_rows_computed"] for manifest in (computing, reading)]
    assert computed == [computing.counts["reference_rows"], 0]
    assert bench.losses(reading) == losses
    assert reading.digest == computing.digest
