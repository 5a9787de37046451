"""The complete step on a real Ray: results that do not depend on actors or kills, and nothing left behind.

Tests that take `cluster` run their jobs on a Ray that is there already, by RAY_ADDRESS; the others start their own.
"""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from components.shared.errors import GenerationError, ModelError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Answered, Dropped
from components.synthesize.settings import SynthesizeSettings
from components.synthesize.step import ANSWERED
from components.synthesize.synthesize import summarise, synthesize_responses
from tests.processes import WAIT_SECONDS, alive, command_of, descendants, kill_once, wait_until

Instructions = Callable[[int], Manifest]

RUN = """
import sys
from components.shared.outputs.library import Library
from components.synthesize.settings import SynthesizeSettings
from components.synthesize.synthesize import synthesize_responses
root, address, settings = sys.argv[1:]
synthesize_responses(Library(root), SynthesizeSettings.model_validate_json(settings), Library(root).load(address))
"""


def local_settings(models: dict[str, Path], **changes: Any) -> SynthesizeSettings:
    sampling = {"max_tokens": 12, "temperature": 1.0}
    plain = {
        "teacher": {"model": str(models["teacher"]), "batch": 8},
        "student": str(models["student"]),
        "teacher_sampling": sampling,
        "student_sampling": sampling,
        "rows_per_shard": 16,
    }
    return SynthesizeSettings.model_validate({**plain, **changes})


def remote_settings(stub: Any, **changes: Any) -> SynthesizeSettings:
    endpoint = {"backend": "openai", "model": "m", "endpoints": [stub.url], "window": 4}
    quick = {"timeout_seconds": 10, "attempts": 3, "backoff_seconds": 0.02}
    plain = {"teacher": {**endpoint, **quick}, "origins": ["original", "teacher"], "rows_per_shard": 40}
    return SynthesizeSettings.model_validate({**plain, **changes})


def start(root: Path, dataset: Manifest, settings: SynthesizeSettings) -> "subprocess.Popen[bytes]":
    arguments = [str(root), dataset.address, settings.model_dump_json()]
    return subprocess.Popen([sys.executable, "-c", RUN, *arguments], start_new_session=True)


def store_of(root: Path, settings: SynthesizeSettings, dataset: Manifest) -> Path:
    return root / Output(Library(str(root)), ANSWERED, settings, {"dataset": dataset}).address


def test_local_models_answer_alike_with_one_actor_and_with_two(
    instructions: Instructions, models: dict[str, Path], tmp_path: Path, cluster: None
) -> None:
    dataset = instructions(70)
    made = []
    for actors in (1, 2):
        root = tmp_path / f"store{actors}"
        (tmp_path / "store").rename(root)
        manifest = synthesize_responses(Library(str(root)), local_settings(models, actors=actors), dataset)
        made.append(list(Library(str(root)).read_rows(manifest, Answered)))
        root.rename(tmp_path / "store")
        if actors == 1:
            (tmp_path / "store" / manifest.address / "manifest.json").unlink()
    assert made[0] == made[1]
    rows = made[0]
    assert [row.id for row in rows] == [f"row{number}" for number in range(70)]
    assert [response.origin for response in rows[0].responses] == ["teacher", "student"]
    assert [response.origin for response in rows[1].responses] == ["original", "teacher", "student"]
    assert rows[1].responses[1].text != rows[1].responses[2].text
    assert manifest.content == "answered/1"
    assert manifest.counts["responses_original"] == 52
    assert manifest.cost.tokens_out == sum(r.tokens_out for row in rows for r in row.responses)
    assert not list((tmp_path / "store" / manifest.address).glob("replies/**/*.gz"))
    assert set(manifest.parents) == {"dataset", "teacher", "student"}


def test_a_killed_run_asks_again_only_for_what_is_missing(
    instructions: Instructions, stub: Any, tmp_path: Path
) -> None:
    """kill -9 of the step and of its job: no row lost, no finished shard's row asked twice, the same rows."""
    dataset, root = instructions(400), tmp_path / "store"
    settings = remote_settings(stub)
    store = store_of(root, settings, dataset)
    stub.seconds = 0.02
    process = start(root, dataset, settings)
    kill_once(process, lambda: len(list(store.glob("replies/teacher/*.gz"))) >= 3)
    first = stub.counts()
    assert 120 <= first.total() < 400

    kept = {path.name for path in store.glob("replies/teacher/*.gz")}
    finished = {40 * int(name.split(".")[0]) + position for name in kept for position in range(40)}
    stub.asked.clear()
    manifest = synthesize_responses(Library(str(root)), settings, dataset)
    second = stub.counts()
    assert not any(second[f"What is {number} plus {number}?"] for number in finished)
    assert set(first) | set(second) == {f"What is {number} plus {number}?" for number in range(400)}
    # The window (4) and parts of 32 replies for each chunk in progress are all that may be asked twice.
    assert (first + second).total() - 400 <= 4 + 2 * 32
    assert max((first + second).values()) <= 2
    rows = list(Library(str(root)).read_rows(manifest, Answered))
    assert [row.id for row in rows] == [f"row{number}" for number in range(400)]
    assert all(row.responses[-1].text == f"answer to {row.instruction}" for row in rows)
    assert manifest.counts["failed_teacher"] == 0
    assert '"attempts":2' in (store / "report.json").read_text()


def test_a_teacher_samples_several_answers_and_the_first_is_that_of_one_sample(
    instructions: Instructions, models: dict[str, Path], tmp_path: Path, cluster: None
) -> None:
    dataset, library = instructions(20), Library(str(tmp_path / "store"))
    once, often = (
        synthesize_responses(library, local_settings(models, teacher_samples=samples), dataset) for samples in (1, 4)
    )
    assert once.address != often.address
    pairs = list(zip(library.read_rows(once, Answered), library.read_rows(often, Answered), strict=True))
    for single, several in pairs:
        (first,) = [response for response in single.responses if response.origin == "teacher"]
        samples = [response for response in several.responses if response.origin == "teacher"]
        assert len(samples) == 4 and samples[0].text == first.text
    assert any(len({response.text for response in several.responses}) > 4 for _, several in pairs)
    assert (often.counts["responses_teacher"], often.counts["responses_student"]) == (80, 20)
    assert often.cost.tokens_out > once.cost.tokens_out
    report = json.loads(library.read_bytes(often, "report.json"))
    assert report["origins"]["teacher"]["samples"] == 4 and "samples" not in report["origins"]["student"]


@pytest.mark.parametrize("whom", ["step", "job"])
def test_an_ended_step_or_job_leaves_nothing_running(
    instructions: Instructions, stub: Any, tmp_path: Path, whom: str
) -> None:
    """SIGTERM to the step, as Kubeflow sends it, and kill -9 to the job alone."""
    dataset, root = instructions(400), tmp_path / "store"
    stub.seconds = 0.05
    process = start(root, dataset, remote_settings(stub))
    wait_until(lambda: len(stub.answered) >= 60)
    below = descendants(process.pid)
    assert len(below) > 3  # the job, Ray's own processes and the actor
    if whom == "step":
        process.terminate()
    else:
        job = next(each for each in below if b"components.synthesize.generate" in command_of(each))
        os.kill(job, signal.SIGKILL)
    assert process.wait(WAIT_SECONDS) != 0
    wait_until(lambda: not any(alive(each) for each in below))
    # What was finished is in the store for the next run.
    kept = [path for part in ("replies", "parts") for path in (root / "synthesize").glob(f"*/{part}/teacher/**/*.gz")]
    assert sum(gzip.decompress(path.read_bytes()).count(b"\n") for path in kept) >= 32


def test_failed_answers_are_counted_and_too_many_are_an_error(
    instructions: Instructions, stub: Any, tmp_path: Path, cluster: None
) -> None:
    dataset, root = instructions(60), str(tmp_path / "store")

    def behave(number: int, body: dict[str, Any]) -> web.Response | None:
        # Rows 0, 12, 24, 36 and 48; rows 0, 12, … came without a response of their own as well.
        value = int(body["messages"][-1]["content"].split()[2])
        return web.json_response({"error": {"message": "too long"}}, status=400) if value % 12 == 0 else None

    stub.behave = behave
    with pytest.raises(GenerationError, match="answers of the teacher failed") as caught:
        synthesize_responses(Library(root), remote_settings(stub, failed_share=0.01), dataset)
    assert "too long" in str(caught.value)
    assert "failed_share" in str(caught.value)
    assert Library(root).find("synthesize") is None

    stub.asked.clear()
    manifest = synthesize_responses(Library(root), remote_settings(stub, failed_share=0.2), dataset)
    assert manifest.counts["failed_teacher"] == 5
    assert manifest.counts["rows"] == 55
    rows = {row.id: row for row in Library(root).read_rows(manifest, Answered)}
    assert [response.origin for response in rows["row13"].responses] == ["original", "teacher"]
    dropped = list(Library(root).read_rows(manifest, Dropped, part="dropped"))
    assert {row.id for row in dropped} == {"row0", "row12", "row24", "row36", "row48"}
    assert dropped[0].reason == "no_response"
    assert "too long" in dropped[0].evidence


def completion(message: dict[str, Any], reason: str = "stop") -> web.Response:
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    return web.json_response({"choices": [{"message": message, "finish_reason": reason}], "usage": usage})


def test_a_teacher_that_only_thinks_ends_the_step_with_the_remedy(
    instructions: Instructions, stub: Any, tmp_path: Path, cluster: None
) -> None:
    dataset, root = instructions(40), str(tmp_path / "store")
    stub.behave = lambda number, body: completion({"content": None, "reasoning_content": "Let me see"}, "length")
    with pytest.raises(GenerationError, match="40 of 40 answers of the teacher failed") as caught:
        synthesize_responses(Library(root), remote_settings(stub), dataset)
    problem = caught.value.problem
    assert "no answer, only reasoning, truncated by max_tokens: raise max_tokens" in problem
    assert "enable_thinking: false" in problem


def test_a_teacher_whose_answers_all_fail_is_given_up_early(
    instructions: Instructions, stub: Any, tmp_path: Path, cluster: None
) -> None:
    dataset, root = instructions(600), str(tmp_path / "store")
    stub.behave = lambda number, body: completion({"content": None, "refusal": "I can't."})
    with pytest.raises(GenerationError, match=r"of the first [0-9]+ of 600 answers of the teacher failed"):
        synthesize_responses(Library(root), remote_settings(stub, failed_share=0.5), dataset)
    assert len(stub.asked) < 400


def test_what_is_odd_in_answers_is_kept_out_of_them_and_counted(
    instructions: Instructions, stub: Any, tmp_path: Path, cluster: None, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, root = instructions(40), str(tmp_path / "store")
    odd = {
        1: {"content": "half a pair \ud83d"},
        2: {"content": "<think>\nso\n</think>\n\nThe answer."},
        3: {"content": "The answer.<|im_end|>\n<|im_start|>user\nAnd?"},
        4: {"content": "The answer.", "reasoning": "so \udc00"},
    }
    stub.behave = lambda number, body: completion(odd[number]) if number in odd else None
    manifest = synthesize_responses(Library(root), remote_settings(stub), dataset)
    rows = list(Library(root).read_rows(manifest, Answered))
    teacher = [response for row in rows for response in row.responses if response.origin == "teacher"]
    assert sorted(one.text for one in teacher if not one.text.startswith("answer to")) == [
        *["The answer."] * 3,
        "half a pair \ufffd",
    ]
    assert sorted(one.reasoning for one in teacher if one.reasoning) == ["so", "so \ufffd"]
    counts = {name: manifest.counts[f"{name}_teacher"] for name in ("reasoned", "leaked", "mended", "failed")}
    assert counts == {"reasoned": 2, "leaked": 1, "mended": 2, "failed": 0}
    told, summary = capsys.readouterr().err, summarise(Library(root), manifest)
    for line in (
        "2 answers of the teacher had their reasoning split off",
        "1 answer of the teacher had leaked control tokens removed",
        "2 answers of the teacher contained characters that UTF-8 cannot encode, which were replaced",
    ):
        assert line in told
        assert f"- {line}" in summary


def test_prices_tokens_and_slots_are_reported(
    instructions: Instructions, stub: Any, tmp_path: Path, cluster: None
) -> None:
    dataset, root = instructions(60), str(tmp_path / "store")
    stub.seconds = 0.01
    plain = remote_settings(stub).model_dump(mode="json", exclude_unset=True)
    plain["teacher"]["price"] = {"per_million_in": 1000.0, "per_million_out": 2000.0, "currency": "EUR"}
    plain["student"] = {**plain["teacher"], "price": {}, "model": "small"}
    plain["origins"] = ["teacher", "student"]
    manifest = synthesize_responses(Library(root), SynthesizeSettings.model_validate(plain), dataset)
    tokens_in = sum(len(row.instruction) for row in Library(root).read_rows(manifest, Answered))
    assert manifest.cost.tokens_in == 2 * tokens_in
    assert manifest.cost.tokens_out == 2 * 60 * 3
    assert manifest.cost.price == pytest.approx(tokens_in * 1e-3 + 180 * 2e-3)
    assert manifest.cost.currency == "EUR"
    assert stub.peak <= 4  # teacher and student share the endpoint, and its window
    assert {body["model"] for body in stub.bodies} == {"m", "small"}
    assert 0.2 < manifest.counts["slot_utilisation_teacher"] <= 1
    assert "| teacher | m (openai) | 60 |" in summarise(Library(root), manifest)


def test_a_model_that_is_not_one_is_named_before_ray_starts(
    instructions: Instructions, models: dict[str, Path], tmp_path: Path
) -> None:
    dataset = instructions(3)
    settings = local_settings(models, teacher={"model": str(tmp_path / "nowhere")})
    with pytest.raises(ModelError, match="nowhere"):
        synthesize_responses(Library(str(tmp_path / "store")), settings, dataset)


def test_an_error_inside_an_actor_comes_back_as_itself(
    instructions: Instructions, models: dict[str, Path], tmp_path: Path, cluster: None
) -> None:
    dataset = instructions(3)
    (models["student"] / "chat_template.jinja").rename(tmp_path / "template")
    try:
        with pytest.raises(ModelError, match="no chat template") as caught:
            synthesize_responses(Library(str(tmp_path / "store")), local_settings(models), dataset)
    finally:
        (tmp_path / "template").rename(models["student"] / "chat_template.jinja")
    assert caught.value.step == "synthesize"
    assert "chat_template.jinja" in caught.value.remedy
