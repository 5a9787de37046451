"""`tutelage preview`: only the rows that it shows are asked of the teacher, and only once."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.preview.document import PreviewDocument
from tests.conftest import free_port
from tests.integration.pipeline.conftest import CommandLine, small_demo
from tests.integration.pipeline.test_failures import taught_at
from tests.stand_in_teacher import StandInTeacher, stand_in_teacher

HOSTILE = "\x1b[2J<script>document.title = 'owned'</script>"
ROWS = 6


@pytest.fixture
def teacher() -> Iterator[StandInTeacher]:
    """It labels all instructions but the first, and answers them."""

    def answer(prompt: str) -> str:
        if len(server.prompts) == 1:
            return "I would rather not."
        return "Mathematics / sums" if prompt.startswith("Label: ") else f"{HOSTILE} 42"

    with stand_in_teacher(answer) as server:
        yield server


def priced(url: str) -> Any:
    def change(recipe: dict[str, Any]) -> None:
        taught_at(url)(recipe)
        recipe["teacher"]["price"] = {"per_million_in": 1000, "per_million_out": 2000, "currency": "EUR"}

    return change


def test_a_preview_asks_for_its_rows_alone_and_a_second_one_asks_nobody(
    command_line: CommandLine, teacher: StandInTeacher
) -> None:
    command_line.environment["TEACHER_KEY"] = "k"
    store = command_line.folder / "store"
    recipe = str(small_demo(command_line.folder, str(store), priced(teacher.url)))

    first = command_line.run("preview", recipe, "--rows", str(ROWS))
    assert first.returncode == 0, first.stderr
    assert len(teacher.prompts) == 2 * ROWS - 1, "a label for each row that is shown, an answer if it has got one"
    assert [path.name for path in store.iterdir()] == ["preview"], "nothing is where a run would look for it"

    shown = read(command_line)
    assert len(shown.rows) == ROWS and not any(step.reused for step in shown.steps)
    assert len({row.source for row in shown.rows}) == 5, "each source is shown"
    (unlabelled,) = [row for row in shown.rows if not row.labels]
    assert unlabelled.dropped.startswith("curate: unlabelled: I would rather not.")
    assert ("curate", "unlabelled", 1, ROWS) in {(drop.step, drop.reason, drop.rows, drop.of) for drop in shown.drops}
    assert "1 of 6 replies have no label" in shown.warnings[0] and "unlabelled_share 10.0%" in shown.warnings[0]
    for row in set(shown.rows) - {unlabelled}:
        assert row.labels == ("mathematics", "sums")
        assert {response.origin for response in row.responses} >= {"teacher", "student"}
        assert all(response.why and response.scores for response in row.responses)
        learnt = any(response.learnt for response in row.responses)
        assert learnt != bool(row.dropped)
    labels, answers, _ = shown.estimates
    assert (labels.requests, labels.tokens_in, answers.requests) == (ROWS, 10 * (ROWS - 1), ROWS - 1)
    assert answers.price == pytest.approx(0.02 * (ROWS - 1)) and answers.full > 100
    assert answers.full_price == pytest.approx(0.02 * answers.full, abs=0.02)

    assert "\x1b" not in first.stdout and "page: " in first.stdout
    looks_harmless(command_line.folder / ".tutelage" / "previews" / "demo" / "preview.html", command_line.folder)

    again = command_line.run("preview", recipe, "--rows", str(ROWS))
    assert again.returncode == 0, again.stderr
    assert len(teacher.prompts) == 2 * ROWS - 1 and all(step.reused for step in read(command_line).steps)
    assert read(command_line).rows == shown.rows
    assert "Traceback" not in first.stderr + again.stderr


def test_a_teacher_that_cannot_be_reached_is_named_with_a_remedy(command_line: CommandLine) -> None:
    command_line.environment["TEACHER_KEY"] = "key-that-nobody-may-see"
    url = f"http://127.0.0.1:{free_port()}/v1"
    recipe = small_demo(command_line.folder, str(command_line.folder / "store"), taught_at(url))
    done = command_line.run("preview", str(recipe))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "curate" in done.stderr and url in done.stderr and "remedy:" in done.stderr
    assert "key-that-nobody-may-see" not in done.stderr + done.stdout


def read(command_line: CommandLine) -> PreviewDocument:
    path = command_line.folder / ".tutelage" / "previews" / "demo" / "preview.json"
    return PreviewDocument.model_validate_json(path.read_bytes())


def looks_harmless(page: Path, folder: Path) -> None:
    """The page as a browser builds it holds the hostile answer as text, where there is a browser."""
    assert "<script" not in page.read_text() and "&lt;script&gt;" in page.read_text()
    if chromium := shutil.which("chromium"):
        flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", "--dump-dom")
        done = subprocess.run(
            [chromium, *flags, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
        )
        assert "demo: Tutelage preview</title>" in done.stdout and 'id="estimates-table"' in done.stdout
