"""`tutelage run` from the recipe to the report, with real Ray, torchrun and DeepSpeed."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.recipe.schemas import schema_of
from tests.integration.pipeline.conftest import CommandLine, small_demo

VARIANTS = ["sft", "kto", "sft-kto", "sft-dpo"]
MODELS = ["base", *VARIANTS, "half"]
TASKS = ["collect", "curate", "synthesize", "select", *(f"train-{name}" for name in VARIANTS), "merge-half"]
TASKS += [*(f"evaluate-{name}" for name in MODELS), "compare", "publish"]


def done_tasks(errors: str) -> dict[str, str]:
    """Addresses by task, from the plain lines of a run."""
    found = {}
    for line in errors.splitlines():
        _, _, rest = line.partition(" ")
        task, _, what = rest.partition(": done in ")
        if what:
            found[task] = what.split(" s ")[1]
    return found


def written_files(store: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime for path in store.rglob("*") if path.is_file()}


def left_processes(folder: Path) -> list[str]:
    """Command lines of processes that still work for a run in the folder: forked ones have their runner's."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in text and path.parent.name != str(os.getpid()):
            found.append(text)
    return found


def test_a_run_killed_in_the_middle_continues_to_its_report(command_line: CommandLine) -> None:
    store = command_line.folder / "store"
    recipe = str(small_demo(command_line.folder, str(store)))

    command_line.kill_when("train-sft: running", "run", recipe)
    deadline = time.monotonic() + 30
    while left_processes(command_line.folder) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left_processes(command_line.folder) == []
    kept = written_files(store)

    again = command_line.run("run", recipe)
    assert again.returncode == 0, again.stderr
    assert sorted(done_tasks(again.stderr)) == sorted(TASKS)
    manifests = {path: time for path, time in kept.items() if path.endswith("manifest.json")}
    assert len(manifests) >= 5  # two of collect, curate, synthesize, select
    now = written_files(store)
    assert {path: now[path] for path in manifests} == manifests, "finished steps are not run again"
    _check_report(command_line, again.stdout)

    third = command_line.run("run", recipe)
    assert third.returncode == 0, third.stderr
    assert done_tasks(third.stderr) == done_tasks(again.stderr)
    assert written_files(store) == now, "a complete run writes nothing"
    assert "Traceback" not in again.stderr + third.stderr + command_line.log

    status = command_line.run("status")
    assert status.returncode == 0 and status.stdout.count("done") == len(TASKS)


def _check_report(command_line: CommandLine, printed: str) -> None:
    folder = command_line.folder / ".tutelage" / "runs" / "demo"
    assert str(folder / "report.html") in printed.replace("\n", "")
    report = json.loads((folder / "report.json").read_text())
    assert set(report) == set(schema_of("report")["properties"])
    names = [variant["name"] for variant in report["variants"]]
    assert sorted(names) == sorted(MODELS)
    for variant in report["variants"]:
        assert variant["scores"][0]["count"] == 40
        assert variant["name"] in printed
    assert report["run"]["name"] == "demo"
    assert {item["kind"] for item in report["planted"]} >= {"malformed", "near-duplicate", "evaluation-overlap"}
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_a_run_in_a_real_s3_store(command_line: CommandLine, s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3_server.use(monkeypatch)
    command_line.environment.update(s3_server.environment())

    def only_sft(recipe: dict[str, Any]) -> None:
        recipe["train"] = {"sft": recipe["train"]["sft"]}
        recipe["merge"] = {}

    recipe = str(small_demo(command_line.folder, f"{bucket}/runs", only_sft))
    done = command_line.run("run", recipe)
    assert done.returncode == 0, done.stderr + command_line.log[-3000:]
    assert s3_server.secret not in done.stdout + done.stderr + command_line.log
    assert not (command_line.folder / "runs").exists()

    from components.shared.store.open_store import open_store

    store = open_store(bucket)
    for entry in store.list():
        assert s3_server.secret.encode() not in store.read(entry.key)
