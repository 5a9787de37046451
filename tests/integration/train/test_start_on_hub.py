"""A start on the hub is checked before a job: by its small files and the headers of its weights, nothing more.

The hub is a stand-in on this machine; its client is the real one.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.edit_model import edit_config, edit_weights, split_weights, without
from tests.hub_server import serve_hub
from tests.tiny_model import save_tiny_model

PROGRAM = """
import sys
from components.shared.errors import TutelageError
from components.train.check_start import check_start
from components.train.methods.sft import SftSettings
try:
    check_start("owner/name", SftSettings(precision="fp32", max_length=64), "train-sft")
except TutelageError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def start(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "start")


def judge(endpoint: str) -> subprocess.CompletedProcess[str]:
    """Check the start in a separate process: the client reads its endpoint when it is imported."""
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    root = Path(__file__).parents[3]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, cwd=root, timeout=300
    )


def judged(folder: Path) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """The result of checking a folder's files on the hub, and the ranges that were fetched of each file."""
    with serve_hub("models", {path.name: path.read_bytes() for path in folder.iterdir()}) as hub:
        return judge(hub.endpoint), dict(hub.fetched)


def test_a_complete_start_passes_and_its_weights_stay_on_the_hub(start: Path) -> None:
    ended, fetched = judged(split_weights(start, 2))
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    weights = [wanted for name, wanted in fetched.items() if name.endswith(".safetensors")]
    assert len(weights) == 2 and all(wanted.startswith("bytes=0-") for wanted in weights)


def test_a_start_that_lacks_a_layer_is_refused(start: Path) -> None:
    ended, _ = judged(edit_weights(start, without("layers.1.")))
    assert ended.returncode == 1 and "'owner/name'" in ended.stderr and "layer" in ended.stderr, ended.stderr


def test_a_quantised_start_is_refused(start: Path) -> None:
    packed = {"model.layers.0.mlp.up_proj.weight": torch.zeros(64, 32).to(torch.float8_e4m3fn)}
    edit_config(edit_weights(start, lambda tensors: tensors | packed), quantization_config={"quant_method": "fp8"})
    ended, _ = judged(start)
    assert ended.returncode == 1 and "fp8" in ended.stderr and "dequantise" in ended.stderr, ended.stderr


def test_an_unreachable_hub_is_logged_and_the_check_is_left_to_the_job() -> None:
    ended = judge("http://127.0.0.1:1")
    assert ended.returncode == 0
    assert "owner/name: judged once a job has its files, since the hub cannot be asked from here" in ended.stderr
