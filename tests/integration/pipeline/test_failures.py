"""What a user sees when something outside of Tutelage is wrong: the step, the value, the remedy, no traceback."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import S3Server, free_port
from tests.integration.pipeline.conftest import Change, CommandLine, small_demo
from tests.stand_in_teacher import stand_in_teacher


def failure(command_line: CommandLine, change: Change, store: str = "") -> str:
    """Run a recipe that must fail in a step; what was printed."""
    recipe = small_demo(command_line.folder, store or str(command_line.folder / "store"), change)
    done = command_line.run("run", str(recipe))
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "remedy:" in done.stderr
    assert done.stderr.count(": failed") == 1, "a failure is not retried on one machine"
    return done.stderr


def taught_at(url: str) -> Change:
    def change(recipe: dict[str, Any]) -> None:
        recipe["teacher"] = {
            "backend": "openai",
            "model": "teacher",
            "endpoints": [url],
            "api_key_variable": "TEACHER_KEY",
            "attempts": 2,
            "timeout_seconds": 5,
        }

    return change


@pytest.fixture
def rubbish_teacher() -> Iterator[str]:
    """An endpoint that answers every prompt with the same nonsense."""
    with stand_in_teacher(lambda prompt: "lorem ipsum") as server:
        yield server.url


def test_a_teacher_that_cannot_be_reached(command_line: CommandLine) -> None:
    command_line.environment["TEACHER_KEY"] = "key-that-nobody-may-see"
    url = f"http://127.0.0.1:{free_port()}/v1"
    text = failure(command_line, taught_at(url))
    assert "curate" in text and url in text
    assert "key-that-nobody-may-see" not in text + command_line.log
    assert list((command_line.folder / "store" / "collect").glob("*/manifest.json")), "what was done is kept"
    status = command_line.run("status")
    assert status.returncode == 1 and "failed" in status.stdout


def test_a_teacher_that_answers_labels_with_rubbish(command_line: CommandLine, rubbish_teacher: str) -> None:
    command_line.environment["TEACHER_KEY"] = "k"
    assert "label" in failure(command_line, taught_at(rubbish_teacher))


def test_a_bucket_that_does_not_exist(command_line: CommandLine, moto_server: S3Server) -> None:
    command_line.environment.update(moto_server.environment())
    text = failure(command_line, lambda recipe: None, store="s3://nobody-made-this/runs")
    assert "collect" in text and "nobody-made-this" in text and "create the bucket" in text


def test_a_key_that_is_wrong(command_line: CommandLine, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3_server.use(monkeypatch)
    wrong = {**s3_server.environment(), "AWS_SECRET_ACCESS_KEY": "wrong-secret-value"}
    command_line.environment.update(wrong)
    text = failure(command_line, lambda recipe: None, store=f"{bucket}/runs")
    assert "AWS_SECRET_ACCESS_KEY" in text and "wrong-secret-value" not in text + command_line.log


def test_nothing_left_after_curation_and_then_a_truncated_shard(command_line: CommandLine) -> None:
    """The second run reads what the first one has kept."""
    store = command_line.folder / "store"
    assert "rare" in failure(command_line, lambda recipe: recipe["curate"].update(rare_below=100_000))
    shards = list((store / "collect").rglob("rows/*.jsonl.gz"))
    assert shards
    for shard in shards:
        shard.write_bytes(shard.read_bytes()[:-20])
    text = failure(command_line, lambda recipe: recipe["curate"].update(rare_below=99_999))
    assert "curate" in text and "damaged" in text


def test_a_model_without_a_chat_template(command_line: CommandLine) -> None:
    import shutil

    source = Path(__file__).parents[3] / "demo" / "teacher"
    bare = command_line.folder / "bare"
    shutil.copytree(source, bare)
    (bare / "chat_template.jinja").unlink()
    text = failure(command_line, lambda recipe: recipe["teacher"].update(model=str(bare)))
    assert "curate" in text and "chat template" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system that runs full")
def test_a_disk_that_is_full(command_line: CommandLine) -> None:
    import subprocess

    small = command_line.folder / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True, timeout=600
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        text = failure(command_line, lambda recipe: None, store=str(small / "store"))
    finally:
        subprocess.run(["umount", str(small)], check=True, timeout=600)
    assert "space" in text.lower()
