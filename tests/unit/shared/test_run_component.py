"""What holds for every component, whatever its step does."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.shared.outputs.manifest import Cost
from components.shared.process.run_component import run_component


@pytest.mark.parametrize(("given", "wanted"), [("", "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_passively_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, wanted: str
) -> None:
    """In a pod with a limit on CPU, threads that wait actively would use it up."""
    monkeypatch.setenv("OMP_WAIT_POLICY", given)
    if not given:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    made = SimpleNamespace(address="curate/0", cost=Cost(seconds=1.0))
    found: list[str] = []
    uri = run_component(
        "curate", str(tmp_path), lambda _: (found.append(os.environ["OMP_WAIT_POLICY"]), made)[1], lambda *_: "uri"
    )
    assert (uri, found) == ("uri", [wanted])
