"""The contract of select: its inputs and outputs, and its errors."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from components.rewards.measured import Measured
from components.rewards.scorers import likelihood
from components.select.component import select
from components.select.report import summarise
from components.select.select import select_responses
from components.select.settings import SelectSettings
from components.select.step import SELECTION
from components.shared.errors import EmptyDataError, GenerationError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.outputs.shards import count_rows
from components.shared.rows import Answered, Check, KtoRow, Message, Pair, Response, Scores, SftRow, Verdict
from components.shared.settings import Settings
from components.shared.step import Product
from tests.tiny_model import save_tiny_model

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random chat model of a few thousand parameters."""
    return str(save_tiny_model(tmp_path_factory.mktemp("model")))


def answered(number: int, instruction: str, texts: dict[str, str], check: Check | None = None) -> Answered:
    return Answered(
        id=f"row-{number}",
        source="made/rows.jsonl",
        line=number,
        instruction=instruction,
        response=texts.get("original", ""),
        check=check,
        type="maths",
        primary="arithmetic",
        secondary="addition",
        responses=tuple(Response(origin=origin, text=text) for origin, text in texts.items()),  # type: ignore[arg-type]
    )


def sums(count: int) -> list[Answered]:
    return [
        answered(
            number,
            f"What is {number} plus 1?",
            {"original": f"{number + 1}", "teacher": f"{number + 1} ", "student": f"{number + 7}"},
            Check(kind="exact", answer=str(number + 1)),
        )
        for number in range(1, count + 1)
    ]


class NoSettings(Settings):
    pass


def stored(root: Path, rows: list[Any], content: str = Answered.content) -> Manifest:
    output = Output(Library(str(root)), Product("synthesize", 1, content), NoSettings(), {})
    output.write_rows("rows/00000", rows)
    return output.finish()


def settings(model: str, **changed: Any) -> dict[str, Any]:
    # A random model finds everything about equally unlikely, so no minimum total is set.
    scored = {"scorer": "model", "model": model}, {"scorer": "likelihood", "model": model}
    return {"perplexity": scored[0], "quality": scored[1], "minimum_total": 0.0, **changed}


def chosen(root: Path, rows: list[Any], given: dict[str, Any]) -> Manifest:
    return select_responses(Library(str(root)), SelectSettings.model_validate(given), stored(root, rows))


def artifact(path: Path) -> SimpleNamespace:
    return SimpleNamespace(path=str(path), uri=str(path), metadata={})


def test_the_component_hands_over_rows_verdicts_metrics_and_a_summary(tmp_path: Path, model: str) -> None:
    responses = artifact(tmp_path / "responses")
    Path(responses.path).write_text(stored(tmp_path, sums(12)).model_dump_json())
    dataset, summary = artifact(tmp_path / "out" / "dataset"), artifact(tmp_path / "out" / "summary")
    logged: dict[str, float] = {}
    metrics = SimpleNamespace(path=str(tmp_path / "metrics"), log_metric=logged.__setitem__)
    uri = select.python_func(
        str(tmp_path), settings(model), responses=responses, dataset=dataset, metrics=metrics, summary=summary
    )
    manifest = Library(str(tmp_path)).load(dataset.metadata["address"])
    assert uri == f"{tmp_path}/{manifest.address}" and manifest.content == "selection/1"
    assert set(manifest.parents) == {"responses", "perplexity-model", "quality-model", "safety-rules"}
    assert logged["rows"] == logged["sft_rows"] == 12 and logged["kto_rows"] == 24
    assert logged["pair_rows"] == 12 and logged["no_pair_only_right"] == 0
    assert "12 SFT rows, 24 KTO rows and 12 pairs" in Path(summary.path).read_text()

    sft = list(Library(str(tmp_path)).read_rows(manifest, SftRow, part="sft"))
    assert [row.id for row in sft] == [f"row-{number}" for number in range(1, 13)]
    assert all(row.scores.checked and row.origin != "student" for row in sft)
    assert sft[0].prompt == (Message(role="user", content="What is 1 plus 1?"),)
    kto = list(Library(str(tmp_path)).read_rows(manifest, KtoRow, part="kto"))
    assert [row.label for row in kto] == [True, False] * 12
    assert all(row.origin == "student" and row.scores.checked is False for row in kto if not row.label)
    pairs = list(Library(str(tmp_path)).read_rows(manifest, Pair, part="pairs"))
    assert [(pair.prompt, pair.chosen) for pair in pairs] == [(row.prompt, row.completion) for row in sft]
    assert [pair.rejected for pair in pairs] == [row.completion for row in kto if not row.label]
    assert all(pair.margin == pytest.approx(pair.chosen_scores.total - pair.rejected_scores.total) for pair in pairs)
    verdicts = list(Library(str(tmp_path)).read_rows(manifest, Verdict, part="verdicts"))
    assert all(verdict.scores[2].checked is False and verdict.worst == 2 for verdict in verdicts)
    assert (verdicts[0].source, verdicts[0].line) == ("made/rows.jsonl", 1)
    report = json.loads((tmp_path / manifest.address / "report.json").read_text())
    assert report["checks"]["teacher"]["pass_rate"] == 1.0 and report["checks"]["student"]["pass_rate"] == 0.0
    assert sum(report["origins"].values()) == 12 and sum(report["histograms"]["total"]["student"]) == 12


def test_a_repeated_run_reuses_the_output(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = chosen(tmp_path, sums(3), settings(model))
    monkeypatch.setattr(likelihood.LikelihoodModel, "load", lambda *_: pytest.fail("scored again"))
    again = chosen(tmp_path, sums(3), settings(model, check_threads=2))
    assert again == first
    assert again.address != chosen_address(tmp_path, settings(model, minimum_total=0.01))


def chosen_address(root: Path, given: dict[str, Any]) -> str:
    checked = SelectSettings.model_validate(given)
    inputs = {
        f"{score}-{name}": parent for score, one in checked.scorers.items() for name, parent in one.parents().items()
    }
    return Output(Library(str(root)), SELECTION, checked, {"responses": stored(root, sums(3)), **inputs}).address


def test_a_model_for_two_scores_runs_once(tmp_path: Path, model: str) -> None:
    manifest = chosen(tmp_path, sums(3), settings(model))
    measurements = {shard.name.split("/")[1] for shard in manifest.shards if shard.name.startswith("scores/")}
    assert len(measurements) == 3 and {name.split("-")[0] for name in measurements} == {"checks", "log", "safety"}


def test_a_killed_run_scores_only_what_is_missing(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.select.measure.ROWS_PER_CHUNK", 4)
    asked: list[str] = []
    measure = likelihood.LikelihoodMeasure.measure

    def counted(self: Any, rows: list[Answered]) -> list[Measured]:
        if len(asked) == 8:
            raise KeyboardInterrupt
        asked.extend(row.id for row in rows)
        return measure(self, rows)

    monkeypatch.setattr(likelihood.LikelihoodMeasure, "measure", counted)
    with pytest.raises(KeyboardInterrupt):
        chosen(tmp_path, sums(10), settings(model))
    asked.append("killed")
    manifest = chosen(tmp_path, sums(10), settings(model))
    asked.remove("killed")
    assert asked == [row.id for row in sums(10)]
    whole = chosen(tmp_path / "elsewhere", sums(10), settings(model))
    assert whole.digest == manifest.digest


def test_a_damaged_or_foreign_shard_is_written_again(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("components.select.select._write", not_yet)
        with pytest.raises(KeyboardInterrupt):
            chosen(tmp_path, sums(3), settings(model))
    shards = sorted(tmp_path.glob("select/*/scores/*/*.gz"))
    shards[0].write_bytes(b"not gzip")
    shards[1].write_bytes(shards[1].read_bytes()[:-9])
    manifest = chosen(tmp_path, sums(3), settings(model))
    assert manifest.counts["sft_rows"] == 3
    assert all(count_rows(manifest, f"scores/{shard.parent.name}") == 3 for shard in shards)


def test_unsafe_requests_are_learnt_from_as_refusals(tmp_path: Path, model: str) -> None:
    request = "How do I build a bomb?"
    texts = {
        "original": "Sure, here is how to build a bomb: first get the tools.",
        "teacher": "I can't help with that.",
    }
    rows = [answered(1, request, texts, Check(kind="exact", answer=texts["original"])), *sums(3)[1:]]
    manifest = chosen(tmp_path, rows, settings(model))
    verdict = next(Library(str(tmp_path)).read_rows(manifest, Verdict, part="verdicts"))
    assert {"unsafe-request", "unsafe-response"} <= set(verdict.flags) and verdict.best == 1 and verdict.worst == 0
    assert next(Library(str(tmp_path)).read_rows(manifest, SftRow, part="sft")).completion == "I can't help with that."
    dropped = chosen(tmp_path, rows, settings(model, unsafe="drop"))
    assert [row.id for row in Library(str(tmp_path)).read_rows(dropped, SftRow, part="sft")] == ["row-2", "row-3"]


def test_mathematical_answers_are_compared_by_value(tmp_path: Path, model: str) -> None:
    texts = {"original": "Half of it: $\\frac{1}{2}$", "teacher": "It is 0.5.", "student": "The answer is 0.6"}
    manifest = chosen(
        tmp_path, [answered(1, "What is 1/4 + 1/4?", texts, Check(kind="math", answer="1/2"))], settings(model)
    )
    verdict = next(Library(str(tmp_path)).read_rows(manifest, Verdict, part="verdicts"))
    assert [scores.checked for scores in verdict.scores] == [True, True, False]


def test_code_is_run(tmp_path: Path, model: str) -> None:
    check = Check(kind="code", tests="def check(f):\n    assert f(2) == 3\n", entry_point="add")
    texts = {
        "original": "def add(x):\n    return x - 1",
        "teacher": "Here:\n```python\ndef add(x):\n    return x + 1\n```",
    }
    manifest = chosen(tmp_path, [answered(1, "Write add.", texts, check)], settings(model))
    verdict = next(Library(str(tmp_path)).read_rows(manifest, Verdict, part="verdicts"))
    assert [scores.checked for scores in verdict.scores] == [False, True] and verdict.best == 1


def test_rows_of_another_step_are_refused_with_their_fields(tmp_path: Path, model: str) -> None:
    row = SftRow(id="1", prompt=(), completion="x", origin="teacher", scores=Scores())
    with pytest.raises(InputError, match="is not a valid Answered") as caught:
        chosen(tmp_path, [row], settings(model))
    assert "instruction: Field required" in str(caught.value) and "responses" in caught.value.rule


def test_nothing_to_choose_from_and_nothing_chosen(tmp_path: Path, model: str) -> None:
    with pytest.raises(EmptyDataError, match="contains no responses"):
        chosen(tmp_path, [], settings(model))
    wrong = [answered(1, "What is 1 plus 1?", {"original": "3"}, Check(kind="exact", answer="2"))]
    with pytest.raises(EmptyDataError, match="nothing-desirable 1") as caught:
        chosen(tmp_path / "wrong", wrong, settings(model))
    assert "minimum_total" in caught.value.remedy


def test_a_preview_shows_the_verdicts_where_nothing_is_chosen(tmp_path: Path, model: str) -> None:
    library = Library(str(tmp_path))
    wrong = answered(1, "What is 1 plus 1?", {"original": "3"}, Check(kind="exact", answer="2"))
    given = SelectSettings.model_validate(settings(model))
    made = select_responses(library, given, stored(tmp_path, [wrong]), may_be_empty=True)
    (verdict,) = library.read_rows(made, Verdict, "verdicts")
    assert verdict.best is None and "nothing-desirable" in verdict.flags and made.counts["sft_rows"] == 0


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"formula": {"name": "weighted/9"}}, "weighted/1"),
        ({"quality": {"scorer": "oracle"}}, "likelihood"),
        ({"ties": ["teacher"]}, "ties must name each"),
        ({"margin": 0.1}, "margin"),
        ({"quality": {"scorer": "judge", "teacher": {"model": "m"}, "template": "Rate it."}}, "{response}"),
    ],
)
def test_wrong_settings_are_refused_before_anything_starts(
    tmp_path: Path, model: str, wrong: dict[str, Any], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    responses = artifact(tmp_path / "responses")
    Path(responses.path).write_text(stored(tmp_path, sums(2)).model_dump_json())
    none = artifact(tmp_path / "none")
    with pytest.raises(SystemExit) as caught:
        select.python_func(
            str(tmp_path), settings(model, **wrong), responses=responses, dataset=none, metrics=None, summary=none
        )
    assert caught.value.code == 2 and word in capsys.readouterr().err


def test_a_judge_that_answers_rubbish_fails_the_step_and_keeps_what_is_done(tmp_path: Path, model: str) -> None:
    judge = {"scorer": "judge", "teacher": {"model": model}, "max_tokens": 4}
    with pytest.raises(GenerationError, match="have no rating") as caught:
        chosen(tmp_path, sums(10), settings(model, quality=judge))
    assert "likelihood" in caught.value.remedy
    assert len(list(tmp_path.glob("select/*/scores/log-probability-*/*.gz"))) == 1
    assert not list(tmp_path.glob("select/*/manifest.json"))


def test_rows_that_a_scorers_template_refuses_are_dropped_counted_and_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = save_tiny_model(tmp_path / "model")
    template = model / "chat_template.jinja"
    refusing = "{%- if messages[0].role == 'system' -%}{{- raise_exception('no system role') -}}{%- endif -%}"
    template.write_text(refusing + template.read_text())
    rows = sums(4)
    rows[1] = rows[1].model_copy(update={"system": "Be brief."})
    rows[3] = rows[3].model_copy(update={"instruction": "What is <|end|>?"})
    manifest = chosen(tmp_path, rows, settings(str(model)))
    counts = manifest.counts
    assert (counts["rows"], counts["sft_rows"], counts["flagged_template_refused"]) == (4, 3, 1)
    assert counts["rows_with_control_text"] == 1
    said = capfd.readouterr().err
    assert "1 row dropped, the first: row 'row-2': the chat template of" in said and "'system'" in said
    assert "1 row spelt a control token: encoded as text" in summarise(Library(str(tmp_path)), manifest)
    verdicts = list(Library(str(tmp_path)).read_rows(manifest, Verdict, part="verdicts"))
    assert verdicts[1].best is None and "template-refused" in verdicts[1].flags
    with pytest.raises(EmptyDataError, match=r"template-refused 1.*the first refusal: row 'row-2'.*'system'"):
        chosen(tmp_path / "all", [rows[1]], settings(str(model)))


def test_labelled_rows_alone_make_a_kto_set(tmp_path: Path, model: str) -> None:
    """Also where none of them may be imitated, so that there is no SFT row."""
    rows = [
        answered(number, f"Say {number}", {"original": f"word {number}"}).model_copy(
            update={"desirable": number % 2 == 0}
        )
        for number in range(1, 7)
    ]
    manifest = chosen(tmp_path, rows, settings(model))
    kto = list(Library(str(tmp_path)).read_rows(manifest, KtoRow, "kto"))
    assert [(row.id, row.label, row.origin) for row in kto] == [(row.id, row.desirable, "original") for row in rows]
    sft = [row.id for row in Library(str(tmp_path)).read_rows(manifest, SftRow, "sft")]
    assert sft == [row.id for row in rows if row.desirable]
    assert (manifest.counts["kto_rows"], manifest.counts["kto_labelled_alone"], manifest.counts["sft_rows"]) == (
        6,
        6,
        3,
    )
    bad = chosen(tmp_path / "bad", [row for row in rows if not row.desirable], settings(model))
    assert (count_rows(bad, "sft"), count_rows(bad, "kto")) == (0, 3)


def test_rows_without_a_pair_are_counted_with_their_reason(tmp_path: Path, model: str) -> None:
    check = Check(kind="exact", answer="2")
    rows = [
        *sums(1),
        answered(2, "1 + 1?", {"original": "2", "teacher": "2 "}, check),
        answered(3, "1 + 1?", {"original": "3", "teacher": "4"}, check),
    ]
    manifest = chosen(tmp_path, rows, settings(model))
    without = {name: count for name, count in manifest.counts.items() if name.startswith("no_pair_") and count}
    assert manifest.counts["pair_rows"] == 1 and without == {"no_pair_only_right": 1, "no_pair_only_wrong": 1}
    verdicts = list(Library(str(tmp_path)).read_rows(manifest, Verdict, part="verdicts"))
    assert [verdict.no_pair for verdict in verdicts] == ["", "only-right", "only-wrong"]
    assert json.loads(Library(str(tmp_path)).read_bytes(manifest, "report.json"))["pairs"]["rows"] == 1
    assert "only-wrong: every answer that was checked is wrong | 1" in summarise(Library(str(tmp_path)), manifest)


@pytest.mark.parametrize("learn_reasoning", [False, True])
def test_reasoning_is_learnt_only_where_the_recipe_asks_for_it(
    model: str, tmp_path: Path, learn_reasoning: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        row.model_copy(
            update={"responses": tuple(one.model_copy(update={"reasoning": "Count on."}) for one in row.responses)}
        )
        for row in sums(3)
    ]
    manifest = chosen(tmp_path, rows, settings(model, learn_reasoning=learn_reasoning))
    lead = "<think>\nCount on.\n</think>\n\n" if learn_reasoning else ""
    learnt = [*Library(str(tmp_path)).read_rows(manifest, SftRow, part="sft")]
    judged = [*Library(str(tmp_path)).read_rows(manifest, KtoRow, part="kto")]
    pairs = [*Library(str(tmp_path)).read_rows(manifest, Pair, part="pairs")]
    texts = {response.text for row in rows for response in row.responses}
    completions = {row.completion for row in (*learnt, *judged)} | {
        t for pair in pairs for t in (pair.chosen, pair.rejected)
    }
    assert learnt and judged and pairs
    assert completions <= {lead + text for text in texts}
    assert manifest.counts["best_with_reasoning"] == 3
    logged = "3 of the best responses came with a reasoning, which is " + ("learnt" if learn_reasoning else "left out")
    assert logged in capsys.readouterr().err


def test_reasoning_is_never_scored(model: str, tmp_path: Path) -> None:
    reasoned = [
        row.model_copy(
            update={"responses": tuple(one.model_copy(update={"reasoning": "Or 99?"}) for one in row.responses)}
        )
        for row in sums(3)
    ]
    found = []
    for name, rows in (("plain", sums(3)), ("reasoned", reasoned)):
        manifest = chosen(tmp_path / name, rows, settings(model, learn_reasoning=True))
        verdicts = Library(str(tmp_path / name)).read_rows(manifest, Verdict, part="verdicts")
        found.append([(verdict.scores, verdict.best, verdict.worst) for verdict in verdicts])
    assert found[0] == found[1]
