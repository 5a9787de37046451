"""Merging needs the memory of a few slices, not that of a model, nor of one tensor of it."""

import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

LARGEST = 8 << 20
"""Elements of the largest tensor: 32 MiB in float32."""

METHODS = {
    "linear": {"method": "linear", "models": [{"name": "sft"}, {"name": "kto"}]},
    "slerp": {"method": "slerp", "models": [{"name": "sft"}, {"name": "kto"}]},
    "ties": {"method": "ties", "base": "base", "models": [{"name": "sft"}, {"name": "kto"}]},
}
PROGRAM = """
import json, sys
from pathlib import Path
import torch
from components.merge.methods.registry import METHODS
from components.merge.settings import MergeSettings
from components.merge.source import MergeSource
from components.merge.stream.stream_weights import StreamedMerge, stream_weights
from components.models.stored.stored_model import read_folder

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024

def merge(settings, home):
    sources = {name: MergeSource(home / name, read_folder(home / name), frozenset()) for name in settings.used}
    target = home / settings.method
    target.mkdir()
    stream_weights(sources, [StreamedMerge(METHODS[settings.method], settings, "float32", target)], 1 << 14)

torch.set_num_threads(1)
home, merges = Path(sys.argv[1]), [MergeSettings.model_validate(one) for one in json.loads(sys.argv[2])]
for settings in merges:
    merge(settings, home / "small")
before = memory("VmRSS")
for settings in merges:
    merge(settings, home / "large")
    print(memory("VmHWM") - before)
"""


def save_models(home: Path, elements: int) -> None:
    """Three models, each with one large tensor and four small ones."""
    for name in ("base", "sft", "kto"):
        folder = home / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        shapes = {"large": elements, **{f"small.{number}": 1000 for number in range(4)}}
        save_file({key: torch.randn(size) for key, size in shapes.items()}, folder / "model.safetensors")


def test_memory_is_that_of_slices(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_models(tmp_path / "small", 1000)
    save_models(tmp_path / "large", LARGEST)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), json.dumps(list(METHODS.values()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    grown = dict(zip(METHODS, map(int, done.stdout.split()), strict=True))
    assert max(grown.values()) < LARGEST, f"{grown}: a quarter of the largest tensor; a slice is 64 KiB, a chunk 512"
