"""Data sets of the hub, read by the real clients from a local imitation of the hub."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import COMMIT, serve_hub

FILES = {
    "README.md": b"---\nlicense: mit\n---\n",
    "train.jsonl": "".join(
        json.dumps({"prompt": f"问 {number}", "response": "答"}, ensure_ascii=False) + "\n" for number in range(50)
    ).encode(),
    "test.jsonl": b'{"prompt": "only one", "response": "here"}\n',
}
PROGRAM = """
import json, sys
from components.shared.outputs.library import Library
from components.collect.sources.read_sources import read_sources
from components.collect.settings import DatasetSettings
from components.shared.errors import TutelageError
from components.shared.rows import Instruction
try:
    settings = DatasetSettings.model_validate({"sources": [json.loads(sys.argv[2])]})
    manifest = read_sources(Library(sys.argv[1]), settings)
except TutelageError as error:
    sys.exit(str(error))
rows = [row.model_dump() for row in Library(sys.argv[1]).read_rows(manifest, Instruction)]
print(json.dumps({"rows": rows, "parents": manifest.model_dump()["parents"], "address": manifest.address}))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """The endpoint of the imitation."""
    with serve_hub("datasets", FILES) as hub:
        yield hub.endpoint


def collect(endpoint: str, home: Path, **source: Any) -> subprocess.CompletedProcess[str]:
    """Collect one source in a new process: the clients read their endpoint at import."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home / "hf"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", PROGRAM, str(home / "store"), json.dumps({"name": "hub", **source})]
    root = Path(__file__).parents[3]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, timeout=550)


def test_split_is_streamed_and_its_commit_recorded(hub: str, tmp_path: Path) -> None:
    ended = collect(hub, tmp_path, uri="hub:owner/name", limit=30)
    assert ended.returncode == 0, ended.stderr[-2000:]
    made = json.loads(ended.stdout)
    assert [row["instruction"] for row in made["rows"]] == [f"问 {number}" for number in range(30)]
    assert {row["source"] for row in made["rows"]} == {"hub/train"}
    assert [row["line"] for row in made["rows"]] == list(range(1, 31))
    assert made["parents"]["hub"]["address"] == f"hub:owner/name@{COMMIT}"


def test_other_split_is_another_output(hub: str, tmp_path: Path) -> None:
    ended = collect(hub, tmp_path, uri="hub:owner/name", split="test", revision="v1")
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert [row["instruction"] for row in json.loads(ended.stdout)["rows"]] == ["only one"]


@pytest.mark.parametrize(
    "source", [{"uri": "hub:owner/absent"}, {"uri": "hub:owner/name", "split": "validation"}], ids=["name", "split"]
)
def test_missing_on_the_hub(source: dict[str, str], hub: str, tmp_path: Path) -> None:
    ended = collect(hub, tmp_path, **source)
    assert ended.returncode == 1
    assert f"data set '{source['uri']}' cannot be loaded from the hub" in ended.stderr and "check name" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_unreachable_hub(tmp_path: Path) -> None:
    ended = collect("http://127.0.0.1:1", tmp_path, uri="hub:owner/name")
    assert ended.returncode == 1 and "the network" in ended.stderr and "Traceback" not in ended.stderr
