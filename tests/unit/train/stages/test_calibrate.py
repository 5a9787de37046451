"""Costs are measured by the processes of a job, and its stages follow them."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
from torch.multiprocessing.spawn import start_processes
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from components.train.balance.measured_costs import StagesRecord
from components.train.checkpoints.checkpoint import Fetched
from components.train.methods.registry import parse_train_settings
from components.train.stages.calibrate import ENTRY, STATE_FILE, Calibration
from components.train.stages.choose_layers import choose_layers
from components.train.stages.measure_layers import SampledRun
from components.train.stages.measure_links import measure_links, rounds
from components.train.stages.pack_steps import PackedSteps
from components.train.stages.staged_model import StagedModel
from tests.conftest import free_port
from tests.unit.train.balance.test_measured_costs import rank_of
from tests.unit.train.stages.test_stage_trainer import ROWS, Run, made_rows, save_model

LAYERS, SLOW_SECONDS = 6, 0.05


def join(rank: int, world: int, port: int) -> None:
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in places.items()} | {"MASTER_ADDR": "127.0.0.1"}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")


def slowed(function: Any) -> Any:
    """The function after a while: what a slow device or link does."""

    def later(*arguments: Any, **named: Any) -> Any:
        time.sleep(SLOW_SECONDS)
        return function(*arguments, **named)

    return later


def choose_measured(rank: int, folder: Path, values: dict[str, Any], port: int, step: int) -> None:
    """One of two processes, of which the second has slow layers; each writes what it has chosen, and the record."""
    join(rank, 2, port)
    if rank == 1:
        pytest.MonkeyPatch().setattr(LlamaDecoderLayer, "forward", slowed(LlamaDecoderLayer.forward))
    settings = parse_train_settings({"precision": "fp32", "global_batch": ROWS, **values})
    assert settings.stages is not None
    rows, positions = made_rows(settings.method)
    steps = PackedSteps(np.arange(ROWS), positions, ROWS, settings.stages.micro_batches)
    model = StagedModel(folder, "student", settings, LAYERS, width=32, length=steps.length, task="train")
    sample = SampledRun(Run(folder, settings, port).objective, rows, steps, torch.device("cpu"))
    earlier = Fetched(step, folder, 2, by_stages=True) if step else None
    calibration = Calibration(model, 1, sample, earlier)
    before = torch.random.get_rng_state()
    (pipeline,), _ = choose_layers(model, settings.stages, calibration)
    assert torch.equal(torch.random.get_rng_state(), before), "measuring draws nothing from the training's stream"
    found = (pipeline.spans, calibration.record.model_dump(mode="json") if calibration.record else None)
    (folder / f"found-{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("measure_layers", "measure_links"):
        monkeypatch.setattr(f"components.train.stages.{module}.SECONDS", 0.05)


def chosen(folder: Path, step: int = 0, **values: Any) -> tuple[list[list[int]], dict[str, Any] | None]:
    """What both processes have chosen, and the record."""
    given: dict[str, Any] = {"method": "sft", "stages": {}, **values}
    given["launch"] = {"processes_per_node": 2, **given.get("launch", {})}
    start_processes(choose_measured, (folder, given, free_port(), step), nprocs=2, start_method="fork")  # type: ignore[no-untyped-call]
    (spans, record), other = (json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(2))
    for one in (record, other[1]):
        assert one is None or one.pop("measuring_seconds") > 0  # each process's own
    assert [spans, record] == other, "all processes choose the same"
    return spans, record


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_layers_follow_what_the_processes_have_measured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], method: str
) -> None:
    save_model(tmp_path, tied=True)
    spans, record = chosen(tmp_path, method=method)
    assert spans == [[0, 5], [5, 6]], "a layer of the second process takes longer than all of the first one's"
    assert record is not None
    made = StagesRecord.model_validate(record | {"measuring_seconds": 1.0})
    assert (made.step, made.layers, [one.ranks for one in made.links]) == (1, (5, 1), [(0, 1)])
    fast, slow = (rank.layers for rank in made.ranks)
    assert slow.inner.forward >= SLOW_SECONDS > fast.inner.forward > 0 and fast.inner.backward > 0
    assert made.step_seconds >= 4 * SLOW_SECONDS, "four micro-batches of the slow layer"
    log = capfd.readouterr().err
    assert log.count("costs measured in ") == log.count("layers by cost: stages of 5, 1, ") == 1


def test_speeds_that_are_given_are_not_measured(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_model(tmp_path, tied=True)
    spans, record = chosen(tmp_path, launch={"speeds": [1, 3]})
    assert (spans[0], record) == ([0, 1], None), "the head is about a layer: seven parts at 1 : 3"
    assert "costs measured" not in capfd.readouterr().err


def test_a_training_that_continues_on_the_same_devices_keeps_its_stages(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path, tied=True)
    _, record = chosen(tmp_path)
    assert record is not None

    def history(**changed: Any) -> None:
        entries = [{"loss": 1.0, "step": 1}, {ENTRY: {**record, "measuring_seconds": 1.0, **changed}, "step": 1}]
        (tmp_path / STATE_FILE).write_text(json.dumps({"log_history": entries}))

    history(layers=[3, 3])
    capfd.readouterr()
    assert chosen(tmp_path, step=7) == ([[0, 3], [3, 6]], None)
    assert capfd.readouterr().err.count("stages of 3, 3 layers, as in the checkpoint") == 1
    history(layers=[3, 3], ranks=[{**record["ranks"][0], "name": "H100"}, record["ranks"][1]])
    spans, again = chosen(tmp_path, step=7)
    assert spans == [[0, 5], [5, 6]] and again is not None and again["step"] == 8


def link_of(rank: int, folder: Path, port: int) -> None:
    """One of three processes in a row, of which the last one is slow to answer."""
    join(rank, 3, port)
    if rank == 2:
        pytest.MonkeyPatch().setattr(torch.distributed, "send", slowed(torch.distributed.send))
    found = measure_links([(0, 1), (1, 2)], 1000, torch.float32, torch.device("cpu"))
    (folder / f"links-{rank}.json").write_text(json.dumps([one.model_dump(mode="json") for one in found]))
    torch.distributed.destroy_process_group()


def test_each_link_is_measured_by_itself(tmp_path: Path) -> None:
    start_processes(link_of, (tmp_path, free_port()), nprocs=3, start_method="fork")  # type: ignore[no-untyped-call]
    found, *others = (json.loads((tmp_path / f"links-{rank}.json").read_text()) for rank in range(3))
    assert others == [found, found]
    fast, slow = (one["link"]["latency_seconds"] for one in found)
    assert slow >= SLOW_SECONDS / 2 > fast > 0


def test_links_of_a_row_of_processes_are_measured_in_two_rounds() -> None:
    assert rounds([(0, 1), (1, 2), (2, 3), (3, 4)]) == [[(0, 1), (2, 3)], [(1, 2), (3, 4)]]
    assert rounds([(0, 1), (2, 3)]) == [[(0, 1), (2, 3)]]


def test_kinds_that_pipelines_cannot_divide_are_those_of_the_devices_names() -> None:
    """So that noise in a measurement never refuses a job."""
    settings = parse_train_settings({"method": "sft", "stages": {}, "launch": {"processes_per_node": 4}})

    def counts(pipelines: int, *seconds: float) -> list[int]:
        unsampled: Any = None
        made = Calibration(StagedModel(Path(), "", settings, 8, width=1, length=1, task=""), pipelines, unsampled)
        return made.counts([rank_of(one) for one in seconds])

    assert counts(1, 1.0, 1.5, 1.5, 1.5) == [1, 3]
    assert counts(2, 1.0, 1.0, 1.5, 1.5) == [2, 2]
    assert counts(2, 1.0, 1.5, 1.5, 1.5) == [4]
