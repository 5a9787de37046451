"""Stages on gloo processes compute what one process computes: losses, gradient norms and weights, by every schedule."""

import os
import random
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
from datasets import Dataset
from torch.multiprocessing.spawn import start_processes
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from components.models.forward.attention_kernels import KERNELS, REFERENCE, SegmentKernel
from components.models.forward.choose_kernel import KernelChoice, choose_kernel
from components.models.forward.layer_calls import LayerCall
from components.models.forward.packed_model import PackedModel
from components.models.forward.segments import Segments
from components.train.engine.losses import StepBook
from components.train.methods.registry import method_of, parse_train_settings
from components.train.objectives.objective import Objective
from components.train.settings import TrainSettings
from components.train.stages.load_stage import adapted
from components.train.stages.make_stage_trainer import make_stage_trainer
from components.train.stages.optimizer import make_optimizer, make_schedule
from components.train.stages.pack_steps import PackedSteps
from tests.conftest import free_port

STEPS, ROWS = 3, 16
COMMON: dict[str, Any] = {
    "precision": "fp32",
    "learning_rate": 1e-5,
    "weight_decay": 0.1,
    "max_grad_norm": 0.5,
    "gradient_checkpointing": False,
    "global_batch": ROWS,
}
"""A rate at which weights move so little that rounding stays rounding."""
CASES: dict[str, dict[str, Any]] = {
    "4 and 2 layers, tied": {"stages": {"layers": [4, 2]}},
    "3, 2 and 1 layers, untied": {"stages": {"layers": [3, 2, 1], "micro_batches": 5}, "tied": False},
    "qwen2, 4 and 2 layers, tied": {"stages": {"layers": [4, 2]}, "architecture": "qwen2"},
    "qwen2, 3, 2 and 1 layers, tied": {"stages": {"layers": [3, 2, 1]}, "architecture": "qwen2"},
    "interleaved": {"stages": {"count": 4, "schedule": "interleaved"}},
    "zero bubble, 4 stages": {"stages": {"count": 4, "schedule": "zero_bubble"}},
    "zero bubble, 2 stages": {"stages": {"schedule": "zero_bubble"}},
    "adapters": {"stages": {}, "lora": {"rank": 4}},
    "recomputed": {"stages": {}, "gradient_checkpointing": True},
    "orpo": {"stages": {}, "method": "orpo"},
    "simpo": {"stages": {}, "method": "simpo"},
    "dpo, adapters": {"stages": {}, "method": "dpo", "lora": {"rank": 4}},
    "kto": {"stages": {"micro_batches": 5}, "method": "kto", "kto": {"kl_batch": 8}},
    "kto, adapters, interleaved": {
        "stages": {"count": 4, "schedule": "interleaved"},
        "method": "kto",
        "kto": {"kl_batch": 4},
        "lora": {"rank": 4},
    },
    "kto, zero bubble": {"stages": {"schedule": "zero_bubble"}, "method": "kto", "kto": {"kl_batch": 16}},
    "2 pipelines, unequal shares, tied": {"stages": {"pipelines": 2, "layers": [4, 2], "micro_batches": 5}},
    "2 pipelines, untied, by cost": {"stages": {"pipelines": 2}, "tied": False, "gradient_checkpointing": "auto"},
    "2 pipelines, interleaved, adapters": {
        "stages": {"pipelines": 2, "count": 4, "schedule": "interleaved"},
        "lora": {"rank": 4},
    },
    "2 pipelines, dpo": {"stages": {"pipelines": 2}, "method": "dpo"},
    "2 pipelines, kto": {"stages": {"pipelines": 2, "micro_batches": 5}, "method": "kto", "kto": {"kl_batch": 8}},
    "kto without a reference point": {"stages": {}, "method": "kto", "kto": {"loss": "apo_zero_unpaired"}},
}


@dataclass(frozen=True)
class Run:
    """What one process needs to know."""

    folder: Path
    settings: TrainSettings
    port: int

    @property
    def objective(self) -> Objective[Any]:
        """The loss; of its data only KTO's weights have a part in it."""
        data: Any = SimpleNamespace(arguments={"undesirable_weight": 1.0, "desirable_weight": 1.5})
        found = method_of(self.settings).objective(self.settings, data)
        assert found is not None
        return found


class Unstored:
    """The reference's log-probs, computed each time."""

    def columns(self, rows: Any, names: Any, compute: Any) -> dict[str, np.ndarray]:
        """As `ReferenceOutput` has them."""
        found = dict(zip(names, np.asarray(compute(), dtype=np.float32), strict=True))
        return {name: shifted(name, values) for name, values in found.items()}


def shifted(name: str, values: np.ndarray) -> np.ndarray:
    """KTO's other responses as if the model had moved away from the reference, so that each reference point differs."""
    return values - np.arange(len(values), dtype=np.float32) / 10 if name == "ref_KL_logps" else values


class Unwaited:
    """A mirror without checkpoints."""

    snapshot = property(lambda self: self)

    def settle(self) -> float:
        """Nothing is copied."""
        return 0.0


def save_model(folder: Path, tied: bool, architecture: str = "llama") -> None:
    """A model of 6 layers with random weights: a Llama, or a Qwen2, whose attention has biases and shares keys."""
    torch.manual_seed(7)
    shape: dict[str, Any] = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "tie_word_embeddings": tied,
    }
    if architecture == "llama":
        LlamaForCausalLM(LlamaConfig(**shape)).save_pretrained(folder)
    else:
        Qwen2ForCausalLM(Qwen2Config(**shape, num_key_value_heads=2)).save_pretrained(folder)


def made_rows(method: str) -> tuple[Dataset, np.ndarray]:
    """Rows of random tokens, and their positions in a forward pass."""
    draw = random.Random(1)

    def tokens(most: int) -> list[int]:
        return draw.choices(range(1, 300), k=draw.randint(2, most))

    if method == "sft":
        ids = [tokens(30) for _ in range(ROWS)]
        rows = {"input_ids": ids, "prompt_tokens": [draw.randint(1, len(row) - 1) for row in ids]}
        return Dataset.from_dict(rows), np.asarray([len(row) - 1 for row in ids])
    if method == "kto":
        names = ("prompt_ids", "completion_ids", "KL_completion_ids")
        judged: dict[str, Any] = {name: [tokens(12) for _ in range(ROWS)] for name in names}
        prompt, own, other = (np.asarray([len(row) for row in judged[name]]) for name in names)
        return Dataset.from_dict(judged | {"label": [True, False] * (ROWS // 2)}), prompt + np.maximum(own, other) - 1
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    pairs = {name: [tokens(12) for _ in range(ROWS)] for name in names}
    return Dataset.from_dict(pairs), np.asarray([[len(row) for row in pairs[name]] for name in names]).sum(axis=0)


def train_alone(run: Run) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """Losses and gradient norms of each step in this process, on all rows in one pass, and the trained weights."""
    settings, objective = run.settings, run.objective
    model = adapted(AutoModelForCausalLM.from_pretrained(run.folder, dtype=torch.float32), settings)
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimizer = make_optimizer(settings, [model], weights)
    schedule, packed = make_schedule(settings, optimizer, STEPS), PackedModel(model)
    rows, _ = made_rows(settings.method)
    if objective.reference_columns:
        with torch.no_grad():
            found = objective.reference(packed, objective.collate(list(rows)))
        for name, values in zip(objective.reference_columns, found, strict=True):
            rows = rows.add_column(name, shifted(name, values.numpy()))
    batch = objective.collate(list(rows))
    log = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        graded = objective.grade(packed, batch)
        loss = graded.loss / objective.units(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), settings.max_grad_norm)
        points = {name: float(total) / count for name, (total, count) in graded.sums.items() if name == "kl"}
        log.append(points | {"loss": loss.item(), "grad_norm": norm.item(), "learning_rate": schedule.get_last_lr()[0]})
        optimizer.step()
        schedule.step()
    return log, {name: weight.detach() for name, weight in weights.items()}


def joined_trainer(rank: int, run: Run, order: np.ndarray) -> Any:
    """The trainer of one process of the pipeline, on rows in an order."""
    torch.set_num_threads(1)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": run.settings.ranks, "MASTER_PORT": run.port}
    os.environ |= {name: str(value) for name, value in places.items()} | {"MASTER_ADDR": "127.0.0.1"}
    torch.distributed.init_process_group("gloo")
    assert run.settings.stages is not None
    rows, positions = made_rows(run.settings.method)
    return make_stage_trainer(
        run.settings,
        run.settings.stages,
        run.objective,
        rows,
        PackedSteps(order, positions, run.settings.global_batch, run.settings.stages.micro_batches),
        start=run.folder,
        name="student",
        reference=Unstored(),  # type: ignore[arg-type]
        folder=run.folder / "run",
        task="train",
    )


def train_stages(rank: int, run: Run) -> None:
    """One process of the pipeline; the first one writes what came out."""
    order = np.tile(np.arange(ROWS), STEPS)
    trainer = joined_trainer(rank, run, order)
    trainer.book = StepBook("train", order, np.zeros(STEPS), ROWS)
    trainer.mirror = Unwaited()
    trainer.train()
    weights = trainer.gathered(keep=rank == 0)
    if rank == 0:
        torch.save((trainer.state.log_history, weights, trainer.counts), run.folder / "out.pt")
    torch.distributed.destroy_process_group()


def score_stages(rank: int, run: Run) -> None:
    """One process of a pipeline whose training ends after half of the rows; the first one writes the reference."""
    trainer = joined_trainer(rank, run, np.arange(ROWS)[::2])
    if rank == 0:
        torch.save({name: trainer._rows[name] for name in run.objective.reference_columns}, run.folder / "out.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let costs be measured for a moment, since results do not depend on them."""
    for module in ("measure_layers", "measure_links"):
        monkeypatch.setattr(f"components.train.stages.{module}.SECONDS", 0.01)


@pytest.mark.parametrize("case", CASES)
def test_stages_train_as_one_process(tmp_path: Path, case: str) -> None:
    values = dict(CASES[case])
    save_model(tmp_path, tied=values.pop("tied", True), architecture=values.pop("architecture", "llama"))
    processes = values["stages"].get("pipelines", 1) * len(values["stages"].get("layers", (0, 0)))
    launch = {"processes_per_node": processes}
    run = Run(tmp_path, parse_train_settings({"method": "sft", **COMMON, **values, "launch": launch}), free_port())
    log, weights = train_alone(run)
    start_processes(train_stages, (run,), nprocs=processes, start_method="fork")  # type: ignore[no-untyped-call]
    history, trained, counts = torch.load(tmp_path / "out.pt", weights_only=False)
    found = [entry for entry in history if "loss" in entry]
    assert len(found) == STEPS
    for name, expected in {name: [entry[name] for entry in log] for name in log[0]}.items():
        assert [entry[name] for entry in found] == pytest.approx(expected, rel=1e-6), name
    assert trained.keys() == weights.keys()
    for name, weight in weights.items():
        assert torch.allclose(trained[name], weight, rtol=0, atol=1e-6), name
    if run.settings.method == "sft":
        _, positions = made_rows("sft")
        assert counts["positions"] - counts["positions_padding"] == STEPS * positions.sum()


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_the_reference_of_all_rows_is_computed_where_a_budget_ends_within_an_epoch(tmp_path: Path, method: str) -> None:
    """Other trainings read it, too."""
    save_model(tmp_path, tied=True)
    values = {"method": method, "stages": {}, "global_batch": ROWS // 2, "launch": {"processes_per_node": 2}}
    values |= {"kto": {"kl_batch": 4}} if method == "kto" else {}
    run = Run(tmp_path, parse_train_settings({**COMMON, **values}), free_port())
    start_processes(score_stages, (run,), nprocs=2, start_method="fork")  # type: ignore[no-untyped-call]
    found, objective = torch.load(tmp_path / "out.pt", weights_only=False), run.objective
    packed = PackedModel(LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32))
    with torch.no_grad():
        expected = objective.reference(packed, objective.collate(list(made_rows(method)[0])))
    for name, values_of in zip(objective.reference_columns, expected, strict=True):
        assert list(found[name]) == pytest.approx(shifted(name, values_of.numpy()).tolist(), rel=1e-5), name


class Noted(SegmentKernel):
    """The reference's results, and a file for each process that computes with it."""

    name = "noted"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def attend(self, *given: Any) -> torch.Tensor:
        """As the reference."""
        (self._folder / f"rank-{os.environ['RANK']}").touch()
        return super().attend(*given)


def test_all_stages_compute_attention_by_the_kernel_that_is_measured_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kernel = Noted(tmp_path)
    monkeypatch.setattr("components.train.engine.choose_attention.KERNELS", {**KERNELS, kernel.name: kernel})

    def chosen(calls: list[LayerCall], segments: Segments) -> KernelChoice:
        assert not list(tmp_path.glob("rank-*"))
        seconds = iter((2.0, 1.0))
        return choose_kernel(calls, segments, [REFERENCE, kernel], seconds=lambda *_: next(seconds))

    monkeypatch.setattr("components.train.stages.make_stage_trainer.choose_kernel", chosen)
    save_model(tmp_path, tied=True)
    launch = {"processes_per_node": 2}
    run = Run(tmp_path, parse_train_settings({"method": "sft", **COMMON, "stages": {}, "launch": launch}), free_port())
    start_processes(train_stages, (run,), nprocs=2, start_method="fork")  # type: ignore[no-untyped-call]
    log = capfd.readouterr().err
    assert log.count("attention kernel noted, by measurement (forward and backward, all layers, ") == 1
    assert {path.name for path in tmp_path.glob("rank-*")} == {"rank-0", "rank-1"}
