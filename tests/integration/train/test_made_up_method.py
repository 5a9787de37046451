"""A method that is only in the registry trains: nothing else knows its name."""

from pathlib import Path
from typing import Any

import pytest

from components.train.methods.registry import METHODS
from components.train.train import summarise
from tests.unit.registries.made_up.cloning import METHOD

pytestmark = pytest.mark.timeout(600)
REPOSITORY = Path(__file__).parents[3]
REGISTERED = """
from components.train.methods.registry import METHODS
from tests.unit.registries.made_up.cloning import METHOD
METHODS[METHOD.name] = METHOD
"""


def test_a_made_up_method_trains(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of four rows; the job's processes register the method as they start."""
    monkeypatch.setitem(METHODS, METHOD.name, METHOD)
    (tmp_path / "sitecustomize.py").write_text(REGISTERED)
    launch = {"processes_per_node": 1, "environment": {"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}}
    manifest = bench.train(method="cloning", global_batch=4, launch=launch)
    assert (manifest.counts["rows"], manifest.counts["steps"]) == (8, 2)
    assert [record["entropy"] > 0 for record in bench.losses(manifest)] == [True, True]
    assert "| method | cloning |" in summarise("train", manifest)
    assert "| entropy of the last steps |" in summarise("train", manifest)
