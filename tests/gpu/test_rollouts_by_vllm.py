"""GRPO whose rollouts a real vLLM draws on the GPU that trains. Skipped without a GPU or without the package vllm."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from components.models.reference import package_folder
from components.shared.outputs.library import Library
from components.shared.rollout_rows import TrainingRollout
from tests.integration.train.conftest import Bench
from tests.integration.train.test_rollout_training import problem, write_routed

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="lacks a CUDA GPU"),
    pytest.mark.skipif(find_spec("vllm") is None, reason="lacks the package vllm: the image train-vllm has it"),
    pytest.mark.timeout(1500),
]
STUDENT = "package:demo/graded/student"
OPTIONS = {"group_size": 8, "max_response": 64, "mask_truncated": False}
TRAINING = {
    "method": "grpo",
    "learning_rate": 1e-5,
    "global_batch": 32,
    "micro_batch": 16,
    "max_length": 128,
    "precision": "bf16",
    "deepspeed": {"stage": 0},
    "launch": {"processes_per_node": 1},
}


@pytest.mark.parametrize("sleep", [False, True])
def test_a_colocated_vllm_draws_with_the_weights_of_each_step(sleep: bool, tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    problems = [
        problem(number).model_copy(update={"instruction": f"You have {number + 5} coins. Lose 2. How many?"})
        for number in range(12)
    ]
    room = Bench(root, write_routed(root, problems), package_folder(STUDENT))
    vllm = {"gpu_memory_utilization": 0.2, "sleep": sleep}
    manifest = room.train(**TRAINING, grpo={**OPTIONS, "vllm": vllm})
    rows = list(Library(root).read_rows(manifest, TrainingRollout, part="rollouts"))
    assert len(rows) == 3 * 32
    assert all(row.tokens_out <= 64 for row in rows)
    ended = [row.text for row in rows if row.finish == "stop"]
    # The student writes sentences; weights that did not arrive would write noise.
    assert sum("makes" in text or "Answer" in text for text in ended) > len(rows) / 2
