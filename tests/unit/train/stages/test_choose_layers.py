"""The layers of a job's stages: chosen by the planner from what its processes report, the same in all of them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch.distributed
from torch.multiprocessing.spawn import ProcessRaisedException, start_processes

from components.train.methods.registry import parse_train_settings
from components.train.stages.choose_layers import as_kinds, choose_layers
from components.train.stages.staged_model import StagedModel
from tests.conftest import free_port
from tests.unit.train.stages.test_stage_trainer import save_model

GIB = 2**30


def choose(rank: int, folder: Path, values: dict[str, Any], port: int) -> None:
    """One process of a job; each writes what it has chosen."""
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes_of(values), "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in places.items()} | {"MASTER_ADDR": "127.0.0.1"}
    torch.distributed.init_process_group("gloo")
    settings = parse_train_settings({"method": "sft", "precision": "fp32", **values})
    assert settings.stages is not None
    model = StagedModel(folder, "student", settings, count=6, width=32, length=64, task="train")
    pipelines, recomputed = choose_layers(model, settings.stages)
    found = [[each.ranks, each.spans, each.micro_batches] for each in pipelines]
    (folder / f"chosen-{rank}.json").write_text(json.dumps([found, recomputed]))
    torch.distributed.destroy_process_group()


def processes_of(values: dict[str, Any]) -> int:
    found: int = values["launch"]["processes_per_node"]
    return found


def chosen(
    folder: Path, stages: dict[str, Any], processes: int = 2, recompute: Any = False, **launch: Any
) -> list[Any]:
    """Ranks, layers and micro-batches of each pipeline."""
    save_model(folder, tied=True)
    values = {"stages": stages, "launch": {"processes_per_node": processes, **launch}}
    values["gradient_checkpointing"] = recompute
    start_processes(choose, (folder, values, free_port()), nprocs=processes, start_method="fork")  # type: ignore[no-untyped-call]
    first, *others = (json.loads((folder / f"chosen-{rank}.json").read_text()) for rank in range(processes))
    assert others == [first] * (processes - 1)
    pipelines, recomputed = first
    assert not recomputed, "this machine has the memory"
    found: list[Any] = pipelines
    return found


def test_layers_follow_speeds_and_the_log_has_the_plan(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # The head is about a layer: seven parts at 3 : 1.
    assert chosen(tmp_path, {}, speeds=[3, 1]) == [[[0, 1], [[0, 5], [5, 6]], 4]]
    log = capfd.readouterr().err
    assert log.count("layers by cost: stages of 5, 1, the slowest ") == 1
    assert "(equal numbers of layers: 2.2" in log and "no time is predicted, since the speed of these devices" in log


def test_layers_that_are_listed_stay(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert chosen(tmp_path, {"layers": [2, 4]}, speeds=[3, 1]) == [[[0, 1], [[0, 2], [2, 6]], 4]]
    assert "layers by cost" not in capfd.readouterr().err


def test_activations_are_kept_where_they_fit(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chosen(tmp_path, {}, recompute="auto")
    assert capfd.readouterr().err.count("activations kept. The fullest stage needs 0.0") == 1


def test_every_pipeline_has_devices_of_each_kind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spans = [[0, 5], [5, 6]]
    found = chosen(tmp_path, {"pipelines": 2, "micro_batches": 5}, 4, speeds=[3, 3, 1, 1])
    assert found == [[[0, 2], spans, 3], [[1, 3], spans, 2]]
    assert "stages of 5, 1 in each of 2 pipelines" in capfd.readouterr().err


def test_devices_that_no_pipelines_share_equally_are_refused_unless_layers_are_listed(tmp_path: Path) -> None:
    speeds = [3, 1, 1, 1]
    with pytest.raises(
        ProcessRaisedException, match="2 pipelines cannot have equally many of each kind of device: 1 × "
    ):
        chosen(tmp_path, {"pipelines": 2}, 4, speeds=speeds)
    found = chosen(tmp_path, {"pipelines": 2, "layers": [4, 2]}, 4, speeds=speeds)
    assert [ranks for ranks, _, _ in found] == [[0, 1], [2, 3]]


def test_processes_that_are_alike_are_one_kind_with_the_least_of_their_memory() -> None:
    gpu = "NVIDIA H100 80GB HBM3"
    first, slow, cpu = as_kinds([(gpu, 70 * GIB, 1.0), (gpu, 69 * GIB, 1.0), (gpu, 70 * GIB, 0.5), ("CPU", GIB, 1.0)])
    assert (first.kind.name, first.kind.count, first.kind.memory_bytes) == (f"ranks 0 to 1 ({gpu})", 2, 69 * GIB)
    assert (slow.kind.name, slow.relative, slow.operations) == (f"rank 2 ({gpu})", 0.5, 989e12)
    assert (cpu.kind.name, cpu.operations, cpu.on_cpu) == ("rank 3 (CPU)", None, True)


def test_speeds_of_another_number_of_ranks_are_refused() -> None:
    values = {"method": "sft", "stages": {}, "launch": {"processes_per_node": 2, "speeds": [1]}}
    with pytest.raises(ValueError, match="has 1 values, and there are 2 ranks"):
        parse_train_settings(values)
