"""Shares by speed change which rank computes a row, not what a step learns: losses, gradients and weights are equal."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from components.shared.outputs.manifest import Manifest

pytestmark = pytest.mark.timeout(1500)
STILL = {"learning_rate": 1e-5, "micro_batch": 2, "global_batch": 16}
"""Weights move so little that rounding stays rounding until the last step."""
CASES: dict[str, dict[str, Any]] = {
    "sft, zero 0": {"method": "sft", "deepspeed": {"stage": 0}},
}


def copied(bench: Any, folder: Path) -> str:
    """Another store with the same selected rows."""
    shutil.copytree(bench.root, folder, ignore=shutil.ignore_patterns("train", "train-reference"))
    return str(folder)


def by_speed(*speeds: float) -> dict[str, Any]:
    return {"shares": "speed", "launch": {"processes_per_node": len(speeds), "speeds": speeds}}


def shares_of(manifest: Manifest, root: str) -> list[dict[str, Any]]:
    lines = (Path(root) / manifest.address / "shares.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("case", CASES)
def test_losses_gradients_and_weights_do_not_depend_on_shares(bench: Any, tmp_path: Path, case: str) -> None:
    even = bench.train(**CASES[case], **STILL)
    expected = bench.losses(even)
    for speeds in ((1, 0.5), (1, 0.25)):
        root = copied(bench, tmp_path / str(speeds))
        dealt = bench.train(**CASES[case], **STILL, **by_speed(*speeds), root=root)
        found = bench.losses(dealt, root)
        for name in ("loss", "gradient_norm"):
            assert [record[name] for record in found] == pytest.approx(
                [record[name] for record in expected], rel=1e-6, abs=1e-7
            )
        assert len(found) == len(expected)
