"""A model in pipeline stages learns what it learns in one process, and continues with or without stages."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from components.shared.outputs.manifest import Manifest
from components.shared.store.folder import FolderStore
from components.train.checkpoints.checkpoint import complete_steps
from components.train.train import summarise
from tests.integration.train.test_resume import COMMON, assert_continues, killed
from tests.integration.train.test_shares import assert_equal_results, copied

pytestmark = pytest.mark.timeout(600)
SLOW = {"learning_rate": 1e-5, "global_batch": 16}
"""Weights move so little that rounding stays rounding until the last step."""
ALONE = {"launch": {"processes_per_node": 1}}
TWO_PIPELINES = {"stages": {"pipelines": 2, "micro_batches": 5}, "launch": {"processes_per_node": 4}}
IN_STAGES = {"stages": {"micro_batches": 4}, "launch": {"processes_per_node": 2}}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings leave their checkpoints when they end, as those that are killed do."""
    monkeypatch.setattr("components.train.train.delete_checkpoints", lambda *_: None)


def interrupted(bench: Any, trained: Manifest, folder: Path, step: int, root: str = "") -> str:
    """Another store, in which the training got as far as a checkpoint."""
    other = copied(bench, folder)
    source = Path(root or bench.root, trained.address)
    for path in (source / "checkpoints").glob(f"*{step}"):
        shutil.copytree(path, Path(other, trained.address, "checkpoints", path.name))
    assert complete_steps(FolderStore(Path(other, trained.address))) == [step]
    return other


def assert_bit_for_bit(bench: Any, expected: Manifest, found: Manifest, root: str, expected_root: str = "") -> None:
    """Compare every record and the model's file."""
    assert bench.losses(found, root) == bench.losses(expected, expected_root)
    model = "model/model.safetensors"
    assert found.shard(model).digest == expected.shard(model).digest


@dataclass(frozen=True)
class Both:
    """A training in one process, and the same in stages in another store, with a checkpoint on the way."""

    given: dict[str, Any]
    alone: Manifest
    staged: Manifest
    root: str


@pytest.fixture
def train_both(bench: Any, tmp_path: Path, kept: None) -> Callable[[dict[str, Any]], Both]:
    """Trains both, whose results must be equal."""

    def train(placed: dict[str, Any]) -> Both:
        given = SLOW | {"checkpoint_steps": 3, "weight_decay": 0.1}
        alone = bench.train(**given, **ALONE)
        root = copied(bench, tmp_path / "stages")
        staged = bench.train(**given, **placed, root=root)
        assert staged.address == alone.address, "where layers are computed is not in the key"
        assert_equal_results(bench, alone, staged, root)
        return Both(given, alone, staged, root)

    return train


def test_two_stages_train_as_one_process_and_continue_with_and_without_stages(
    bench: Any, tmp_path: Path, train_both: Callable[[dict[str, Any]], Both], capfd: pytest.CaptureFixture[str]
) -> None:
    both = train_both(IN_STAGES)
    given, alone, staged, root = both.given, both.alone, both.staged, both.root
    for name in ("rows", "tokens", "learning_rate"):
        assert [r[name] for r in bench.losses(staged, root)] == [r[name] for r in bench.losses(alone)]
    assert staged.counts["parameters_trained"] == alone.counts["parameters_trained"]
    assert 0 < staged.counts["positions_padding"] < staged.counts["positions"] / 2

    again = interrupted(bench, staged, tmp_path / "again", 3, root)
    assert_bit_for_bit(bench, staged, bench.train(**given, **IN_STAGES, root=again), again, root)
    without = interrupted(bench, staged, tmp_path / "without", 3, root)
    assert_equal_results(bench, alone, bench.train(**given, **ALONE, root=without), without)
    into = interrupted(bench, alone, tmp_path / "into", 3)
    assert_equal_results(bench, alone, bench.train(**given, **IN_STAGES, root=into), into)
    log = capfd.readouterr().err
    assert log.count("continuing from the checkpoint of step 3") == 3
    assert log.count("layers by cost: stages of 1, 1, ") == log.count("costs measured in") == 2, "a checkpoint's stay"
    assert log.count("stages of 1, 1 layers, as in the checkpoint") == 1
    (measured,) = records(root, staged, "stages.jsonl")
    assert (measured["step"], measured["layers"], len(measured["ranks"])) == (1, [1, 1], 2)
    assert records(again, staged, "stages.jsonl") == [measured]
    assert [entry["step"] for entry in records(into, staged, "stages.jsonl")] == [4]
    assert staged.counts["step_seconds_predicted"] == measured["step_seconds"] > 0
    assert f"| stages by measured cost | predicted {measured['step_seconds']:.3g} s a step" in summarise("sft", staged)


def records(root: str, trained: Manifest, name: str) -> list[dict[str, Any]]:
    """The lines of a file beside a model."""
    return [json.loads(line) for line in Path(root, trained.address, name).read_text().splitlines()]


def test_two_pipelines_train_as_one_process_and_continue(
    bench: Any, tmp_path: Path, train_both: Callable[[dict[str, Any]], Both], capfd: pytest.CaptureFixture[str]
) -> None:
    both = train_both(TWO_PIPELINES)
    given, alone, beside, root = both.given, both.alone, both.staged, both.root
    assert [r["tokens"] for r in bench.losses(beside, root)] == [r["tokens"] for r in bench.losses(alone)]
    assert "2 pipelines, each of 2 stages of 1, 1 layers on 2 processes" in capfd.readouterr().err
    files = list(Path(root, beside.address, "checkpoints").glob("*3/stage-*.pt"))
    assert sorted(path.name for path in files) == ["stage-0-of-4.pt", "stage-1-of-4.pt"], "weights are there once"

    again = interrupted(bench, beside, tmp_path / "again", 3, root)
    assert_bit_for_bit(bench, beside, bench.train(**given, **TWO_PIPELINES, root=again), again, root)
    into = interrupted(bench, alone, tmp_path / "into", 3)
    assert_equal_results(bench, alone, bench.train(**given, **TWO_PIPELINES, root=into), into)


def test_two_ranks_continue_in_stages_and_these_on_two_ranks(
    bench: Any, references: Any, tmp_path: Path, kept: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """From data parallelism, whose optimizer state ZeRO shards, to a pipeline and back, all within six steps."""
    given = SLOW | {"checkpoint_steps": 2, "weight_decay": 0.1}
    both = {"launch": {"processes_per_node": 2}}
    alone = references.train(**given, **ALONE)
    beside = bench.train(**given, **both)
    into = interrupted(bench, beside, tmp_path / "into", 2)
    staged = bench.train(**given, **IN_STAGES, root=into)
    assert_equal_results(references, alone, staged, into)
    back = interrupted(bench, staged, tmp_path / "back", 4, into)
    assert_equal_results(references, alone, bench.train(**given, **both, root=back), back)
    log = capfd.readouterr().err
    assert [log.count(f"continuing from the checkpoint of step {step}") for step in (2, 4)] == [1, 1]


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("stage", [2])
def test_stages_continue_what_zero_has_sharded(
    bench: Any, references: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], stage: int
) -> None:
    """As if `auto` had chosen the stage by memory: one that is set is in the address."""
    given = SLOW | {"checkpoint_steps": 3, "weight_decay": 0.1}
    sharded = bench.train(**given, deepspeed={"stage": stage}, launch={"processes_per_node": 2})
    root, address = copied(bench, tmp_path / "stages"), bench.address(**given)
    (checkpoint,) = Path(bench.root, sharded.address, "checkpoints").glob("*3")
    shutil.copytree(checkpoint, Path(root, address, "checkpoints", checkpoint.name))
    staged = bench.train(**given, **IN_STAGES, root=root)
    assert staged.address == address != sharded.address
    assert_equal_results(references, references.train(**given, **ALONE), staged, root)
    assert "continuing from the checkpoint of step 3" in capfd.readouterr().err


def test_two_pipelines_that_are_killed_continue_as_one_and_without_stages(
    bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = COMMON | {"method": "kto", "kto": {"kl_batch": 4}}
    one, without = str(tmp_path / "one"), str(tmp_path / "without")
    newest = killed(bench, one, **chosen, **TWO_PIPELINES)
    shutil.copytree(one, without)
    uninterrupted = bench.train(**chosen, **ALONE)
    assert_continues(bench, uninterrupted, one, newest, capfd, **chosen, **IN_STAGES)
    assert_continues(bench, uninterrupted, without, newest, capfd, **chosen, launch={"processes_per_node": 2})


def test_adapters_and_pairs_continue_on_other_stages(bench: Any, tmp_path: Path, kept: None) -> None:
    """Three processes, each with a stage of its own, continue what two began: the checkpoint has tensors by name."""
    start = deeper(bench.student, tmp_path / "deeper")
    given = SLOW | {"method": "dpo", "epochs": 1, "lora": {"rank": 4, "keep_adapter": True}, "checkpoint_steps": 3}
    alone = bench.train(**given, **ALONE, start=start)
    root = copied(bench, tmp_path / "stages")
    staged = bench.train(**given, **IN_STAGES, start=start, root=root)
    assert_equal_results(bench, alone, staged, root)
    assert staged.counts["reference_rows_computed"] == staged.counts["rows"]
    adapter = Path(root, staged.address, "adapter", "adapter_config.json")
    assert f'"base_model_name_or_path": "{start}"' in adapter.read_text()
    other = interrupted(bench, staged, tmp_path / "other", 3, root)
    three = {"stages": {"layers": [2, 1, 1], "micro_batches": 4}, "launch": {"processes_per_node": 3}}
    assert_equal_results(bench, alone, bench.train(**given, **three, start=start, root=other), other)


def test_kto_in_stages_reads_mismatched_pairs_as_one_process_does(bench: Any, tmp_path: Path, kept: None) -> None:
    given = SLOW | {"method": "kto", "epochs": 2, "kto": {"kl_batch": 8}, "checkpoint_steps": 3}
    alone = bench.train(**given, **ALONE)
    root = copied(bench, tmp_path / "stages")
    staged = bench.train(**given, **IN_STAGES, root=root)
    assert staged.address == alone.address
    assert_equal_results(bench, alone, staged, root)
    assert [r["rows"] for r in bench.losses(staged, root)] == [r["rows"] for r in bench.losses(alone)]
    again = interrupted(bench, staged, tmp_path / "again", 6, root)  # the two newest are kept
    assert_bit_for_bit(bench, staged, bench.train(**given, **IN_STAGES, root=again), again, root)


def deeper(student: Path, folder: Path) -> str:
    """The student with four layers, each of its own twice."""
    shutil.copytree(student, folder)
    model = AutoModelForCausalLM.from_pretrained(student)
    layers = model.model.layers
    model.model.layers = torch.nn.ModuleList([layers[0], layers[1], copy.deepcopy(layers[0]), copy.deepcopy(layers[1])])
    model.config.num_hidden_layers = 4
    model.save_pretrained(folder)
    return str(folder)
