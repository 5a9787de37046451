"""The contract of synthesize: the component and the work function on a folder store with tiny models."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.launch.hand_back import hand_over
from components.shared.errors import EmptyDataError, InputError, ModelError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, parse_manifest
from components.shared.outputs.output import Output
from components.shared.rows import Answered, Instruction, Labelled
from components.shared.settings import Settings
from components.shared.step import Product
from components.synthesize import synthesize as step
from components.synthesize.answer_here import answer_here
from components.synthesize.component import synthesize
from components.synthesize.settings import SynthesizeSettings
from components.synthesize.step import ANSWERED
from components.synthesize.synthesize import synthesize_responses
from tests.edit_model import edit_config
from tests.tiny_model import save_tiny_model


class Made(Settings):
    """Stands for the settings of whatever made the instructions."""


def instruction(number: int) -> dict[str, Any]:
    return {"id": f"r{number}", "source": "s", "line": number + 1, "instruction": f"say {number}", "response": "ok"}


def written(root: Path, rows: list[Any]) -> Manifest:
    output = Output(Library(str(root)), Product("curate", 1, "labelled/1"), Made(), {})
    if rows:
        output.write_rows("rows/00000", rows)
    return output.finish()


def labelled(count: int) -> list[Labelled]:
    return [Labelled(**instruction(n), type="t", primary="p", secondary="s") for n in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=128))


def settings(model: str) -> dict[str, Any]:
    # KFP passes integers as doubles.
    sampling = {"max_tokens": 6.0}
    asked = {"teacher_sampling": sampling, "student_sampling": sampling, "rows_per_shard": 2.0, "actors": 1.0}
    return {"teacher": {"model": model}, "student": model, **asked}


def artifact(path: Path) -> SimpleNamespace:
    return SimpleNamespace(path=str(path), uri=str(path), metadata={})


def test_the_component_hands_over_the_address_and_a_second_call_finds_it(tmp_path: Path, model: str) -> None:
    root = tmp_path / "store"
    (tmp_path / "in.json").write_text(written(root, labelled(5)).model_dump_json())
    logged: dict[str, float] = {}
    metrics = SimpleNamespace(path=str(tmp_path / "metrics"), log_metric=logged.__setitem__)

    def call(name: str) -> tuple[str, Any]:
        responses, summary = artifact(tmp_path / name / "manifest"), artifact(tmp_path / name / "summary.md")
        uri = synthesize.python_func(
            root=str(root),
            settings=settings(model),
            dataset=artifact(tmp_path / "in.json"),
            responses=responses,
            metrics=metrics,
            summary=summary,
        )
        assert "| teacher |" in Path(summary.path).read_text()
        return uri, responses

    uri, responses = call("first")
    manifest = parse_manifest(Path(responses.path).read_bytes(), where="artifact")
    assert uri == f"{root}/{manifest.address}"
    assert responses.metadata["address"] == manifest.address
    assert (logged["rows"], logged["responses_teacher"], logged["failed_student"]) == (5, 5, 0)
    rows = list(Library(str(root)).read_rows(manifest, Answered))
    assert [row.id for row in rows] == ["r0", "r1", "r2", "r3", "r4"]
    assert all([r.origin for r in row.responses] == ["original", "teacher", "student"] for row in rows)
    assert [shard.name for shard in manifest.shards if shard.rows] == [f"rows/{n:05d}.jsonl.gz" for n in range(3)]
    report = json.loads((root / manifest.address / "report.json").read_bytes())
    assert report["origins"]["teacher"]["responses"] == 5
    made = (root / manifest.address / "manifest.json").stat().st_mtime_ns
    assert call("second")[0] == uri
    assert (root / manifest.address / "manifest.json").stat().st_mtime_ns == made

    # Without Ray, as for a preview: the same rows, at the same address of another store.
    other = written(tmp_path / "other", labelled(5))
    here = SynthesizeSettings.model_validate(settings(model))
    again = synthesize_responses(Library(str(tmp_path / "other")), here, other, answer_here)
    assert (again.address, again.digest) == (manifest.address, manifest.digest)
    assert again.counts["replies_per_second_teacher"] > 0


def test_rows_without_labels_name_step_missing_fields_and_those_present(tmp_path: Path, model: str) -> None:
    dataset = written(tmp_path, [Instruction(**instruction(0))])
    with pytest.raises(InputError) as caught:
        synthesize_responses(Library(str(tmp_path)), SynthesizeSettings.model_validate(settings(model)), dataset)
    text = str(caught.value)
    assert text.startswith("synthesize: ")
    assert "primary" in text


def test_no_instructions_is_an_error_with_a_remedy(tmp_path: Path, model: str) -> None:
    with pytest.raises(EmptyDataError, match="no instructions") as caught:
        synthesize_responses(
            Library(str(tmp_path)), SynthesizeSettings.model_validate(settings(model)), written(tmp_path, [])
        )
    assert caught.value.remedy


def test_wrong_settings_end_with_exit_code_2_and_no_traceback(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.json").write_text(written(tmp_path / "store", labelled(1)).model_dump_json())
    wrong = {**settings(model), "teacher": None}
    with pytest.raises(SystemExit) as caught:
        synthesize.python_func(
            root=str(tmp_path / "store"),
            settings=wrong,
            dataset=artifact(tmp_path / "in.json"),
            responses=artifact(tmp_path / "out"),
            metrics=SimpleNamespace(log_metric=lambda *pair: None),
            summary=artifact(tmp_path / "summary"),
        )
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "teacher" in said
    assert "Traceback" not in said


def test_where_and_how_fast_does_not_move_the_address_but_what_is_asked_does(tmp_path: Path, model: str) -> None:
    dataset = written(tmp_path, labelled(1))

    def address(**changes: Any) -> str:
        made = SynthesizeSettings.model_validate({**settings(model), **changes})
        return Output(Library(str(tmp_path)), ANSWERED, made, {"dataset": dataset}).address

    plain = address()
    elsewhere = {"model": model, "batch": 3, "price": {"per_million_in": 1}}
    assert address(actors=7, cpus_per_actor=2, failed_share=0.5, teacher=elsewhere) == plain
    served = {"backend": "openai", "model": "m", "endpoints": ["http://a/v1"]}
    moved = {**served, "endpoints": ["http://b/v1"], "window": 9, "timeout_seconds": 1, "attempts": 2}
    assert address(teacher=served) == address(teacher=moved) != plain
    assert address(teacher_sampling={"max_tokens": 7}) != plain
    assert address(system_prompt="Be brief.") != plain
    assert address(origins=["teacher"]) != plain


def test_a_model_that_is_not_complete_starts_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = edit_config(save_tiny_model(tmp_path / "broken"), num_hidden_layers=3)
    monkeypatch.setattr(hand_over, "run_job", lambda job: pytest.fail("a job was started"))
    with pytest.raises(ModelError, match=r"no tensors of model\.layers\.2"):
        step.synthesize_responses(
            Library(str(tmp_path / "store")),
            SynthesizeSettings.model_validate(settings(str(broken))),
            written(tmp_path / "store", labelled(2)),
        )
