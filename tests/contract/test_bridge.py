"""The contract of bridge: its inputs and outputs, what is learnt of each problem, what is asked again, errors."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from transformers import AutoModelForCausalLM

from components.bridge.bridge import bridge_traces
from components.bridge.component import bridge
from components.bridge.settings import BridgeSettings
from components.bridge.step import BRIDGED
from components.bridge.summarise import summarise
from components.bridge.write_here import write_here
from components.models.generators.registry import BACKENDS
from components.rewards.checks import code_check
from components.shared.errors import EmptyDataError, GenerationError, InputError, SandboxError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rollout_rows import Bridged, Probed, Rollout, Routed
from components.shared.rows import SELECTION, Check, Dropped, SftRow
from components.shared.sandbox.run_python import run_python
from tests.book_teacher import ASKED, BookSettings
from tests.stand_in_outputs import stored_rows
from tests.tiny_model import save_tiny_model

FIVE = Check(kind="math", answer="5")
TEXTS = {
    "good": "1. Begin with 2.\n2. Add 3 to 2, which is 5.\nThe answer is 5.",
    "other": "1. 2 + 3 = 5.\n2. So it is 5.\nThe answer is 5.",
    "plain": "It is 5.",
    "long": "1. Begin with 2.\n2. Add 3 to 2." + " Think." * 40 + "\nThe answer is 5.",
    "wrong": "1. Begin with 2.\nThe answer is 6.",
    "refuses": "I cannot help with that.",
}


class TraceBookSettings(BookSettings):
    """A teacher that finds traces and rewrites them."""

    backend: Literal["book"] = "book"

    def page(self, prompt: str) -> tuple[str, Mapping[str, str]]:
        return "rewritings" if "Solution:" in prompt else "traces", TEXTS


@pytest.fixture(autouse=True)
def book(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(BACKENDS, "book", TraceBookSettings)
    ASKED.clear()
    yield
    ASKED.clear()


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("student"), max_position_embeddings=1024))


def problem(name: str, traces: str, rewritings: str = "good", **changed: Any) -> Routed:
    facts = {"type": "t", "primary": "p", "secondary": "s", "tries": 8, "successes": 0, "pool": "hard", "check": FIVE}
    text = f"Add 3 to 2. {name}: traces={traces} rewritings={rewritings}"
    return Routed.model_validate({"id": name, "source": "made", "line": 1, "instruction": text, **facts, **changed})


def probed_row(number: int, tokens: int) -> Probed:
    rollouts = (Rollout(text="5", tokens_out=tokens, passed=True), Rollout(text="6", tokens_out=999, passed=False))
    facts = {"type": "t", "primary": "p", "secondary": "s", "tries": 2, "successes": 1, "lengths": (tokens, 999)}
    estimate = {"truncated": 0, "low": 0.0, "high": 1.0, "decided": True, "rollouts": rollouts}
    row = {"id": f"p{number}", "source": "made", "line": number, "instruction": "?", "check": FIVE}
    return Probed.model_validate({**row, **facts, **estimate})


def inputs(root: Path, rows: list[Any], lengths: Iterable[int] = range(51, 151)) -> tuple[Manifest, Manifest]:
    """The problems, and rollouts of which the 90th percentile has 140 tokens."""
    probed = [probed_row(number, length) for number, length in enumerate(lengths)]
    return stored_rows(root, "route", "sft", rows), stored_rows(root, "probe", "rows", probed)


def made(root: Path, student: str, rows: list[Any], **changed: Any) -> Manifest:
    settings = BridgeSettings.model_validate({"teacher": {"backend": "book", "model": "b"}, **changed})
    routed, probed = inputs(root, rows)
    return bridge_traces(Library(str(root)), settings, routed, probed, student, write=write_here)


def read(root: Path, manifest: Manifest, kind: Any, part: str) -> dict[str, Any]:
    return {row.id: row for row in Library(str(root)).read_rows(manifest, kind, part)}


def artifact(path: Path) -> SimpleNamespace:
    return SimpleNamespace(path=str(path), uri=str(path), metadata={})


def test_each_problem_gets_the_first_text_that_is_good_enough(tmp_path: Path, student: str) -> None:
    reference = {"response": "Two and three is 5. The answer is 5."}
    rows = [
        problem("rewritten", "wrong,good", "wrong,good,long,plain", **reference),
        problem("raw", "plain", "wrong,refuses,fails,long", **reference),
        problem("reference", "long", "wrong,fails", **reference),
        problem("unsolved", "wrong", **reference),
        problem("lost", "wrong", response="The answer is 7."),
        problem("all-long", "long", "long"),
        problem("template", "template"),
    ]
    manifest = made(tmp_path, student, rows)
    assert manifest.content == SELECTION and manifest.step_version == BRIDGED.version
    learnt = read(tmp_path, manifest, SftRow, "sft")
    assert {name: row.completion for name, row in learnt.items()} == {
        "rewritten": TEXTS["good"],
        "raw": TEXTS["plain"],
        "reference": reference["response"],
        "unsolved": reference["response"],
    }
    assert {name: row.origin for name, row in learnt.items()} == {
        "rewritten": "teacher",
        "raw": "teacher",
        "reference": "original",
        "unsolved": "original",
    }
    assert learnt["raw"].prompt[-1].content == rows[1].instruction and learnt["raw"].scores.checked
    lost = read(tmp_path, manifest, Dropped, "dropped")
    assert {name: row.reason for name, row in lost.items()} == {
        "lost": "no_trace",
        "all-long": "no_text",
        "template": "template_refused",
    }
    assert lost["all-long"].evidence == "1 raw too_long, 3 rewritten repeated, 1 rewritten too_long"
    shown = read(tmp_path, manifest, Bridged, "bridged")
    assert [text.fate for text in shown["rewritten"].texts] == [
        "wrong",
        "chosen",
        "too_long",
        "unnumbered",
        "spare",
        "spare",
    ]
    assert [text.fate for text in shown["raw"].texts] == ["wrong", "wrong", "failed", "too_long", "chosen", "spare"]
    counts = manifest.counts
    assert (counts["problems"], counts["sft_rows"], counts["dropped_rows"], counts["token_cap"]) == (7, 4, 3, 140)
    assert (counts["rewritten_rows"], counts["raw_rows"], counts["reference_rows"]) == (1, 1, 2)
    assert (counts["dropped_no_trace"], counts["dropped_no_text"], counts["dropped_template_refused"]) == (1, 1, 1)
    assert (counts["candidates"], counts["candidates_failed"], counts["candidates_wrong"]) == (16, 3, 5)


def test_the_best_is_the_one_with_the_lowest_ratio_of_rank_and_surprisal(tmp_path: Path, student: str) -> None:
    manifest = made(tmp_path, student, [problem("a", "long", "good,other,good,wrong")])
    row = read(tmp_path, manifest, Bridged, "bridged")["a"]
    good, other, repeated = row.texts[:3]
    assert repeated.fate == "repeated" and {good.fate, other.fate} == {"chosen", "spare"}
    assert row.texts[row.chosen].rsr == min(good.rsr, other.rsr)
    for text in (good, other, row.texts[4]):
        assert text.tokens == sum(step.tokens for step in text.steps) == len(text.text) + 1
        assert sum(step.tokens * step.rank for step in text.steps) / text.tokens == pytest.approx(text.rank, abs=1e-5)
        assert text.rsr == pytest.approx(text.rank / text.nll, rel=1e-4)
    assert len(good.steps) == 2, "the answer belongs to the last step"
    report = json.loads((tmp_path / manifest.address / "report.json").read_bytes())
    assert report["texts"]["raw"]["tokens"] == row.texts[4].tokens
    assert report["moved_tokens"] == row.texts[row.chosen].tokens - row.texts[4].tokens < 0
    assert report["moved_nll"] == pytest.approx(row.texts[row.chosen].nll - row.texts[4].nll, abs=1e-5)
    moved = f"has {report['moved_tokens']:+.1f} tokens and {report['moved_nll']:+.3f} nats a token beside its trace"
    summary = summarise(Library(str(tmp_path)), manifest)
    assert moved in summary and "75% of the rewritings verified" in summary
    assert report["verified_share"] == 0.75


def test_right_answers_of_the_students_own_are_learnt_beside_the_texts(tmp_path: Path, student: str) -> None:
    rows = [problem("a", "good", "other"), problem("b", "good", "other"), problem("unsolved", "wrong")]
    manifest = made(tmp_path, student, rows, replay={"share": 0.6})
    own = read(tmp_path, manifest, SftRow, "sft/replay")
    assert {row.completion for row in own.values()} == {"5"}, "the probe's right rollouts, not its wrong ones"
    assert {row.kind for row in own.values()} == {"replay"} and {row.origin for row in own.values()} == {"student"}
    learnt = read(tmp_path, manifest, SftRow, "sft")
    assert len(own) == 3 and learnt.keys() == {"a", "b", *own}, "0.6 of five rows"
    assert (manifest.counts["sft_rows"], manifest.counts["replay_rows"], manifest.counts["replay_lacking"]) == (5, 3, 0)
    text = summarise(Library(str(tmp_path)), manifest)
    assert "**2 texts** to learn for 3 problems" in text and "3 right answers of the student's own" in text
    asked = len(ASKED)
    without = made(tmp_path, student, rows)
    assert without.address != manifest.address and len(ASKED) == asked, "the teacher is not asked again"
    assert read(tmp_path, without, SftRow, "sft").keys() == {"a", "b"} and without.counts["replay_rows"] == 0


def test_a_student_that_solves_too_little_gives_a_smaller_replay(tmp_path: Path, student: str) -> None:
    manifest = made(tmp_path, student, [problem(f"r{n}", "good", "other") for n in range(2)], replay={"share": 0.99})
    assert (manifest.counts["replay_rows"], manifest.counts["replay_lacking"]) == (100, 98)
    assert "100 right answers of the student's own; 98 fewer than asked for: the student solves too few" in summarise(
        Library(str(tmp_path)), manifest
    )
    nothing = made(tmp_path / "none", student, [], replay={"share": 0.5}, when_empty="finish")
    assert (nothing.counts["sft_rows"], nothing.counts["replay_rows"]) == (0, 0), "replay alone teaches nothing"


def test_the_component_hands_over_the_address_and_a_summary(tmp_path: Path, student: str) -> None:
    routed, probed = inputs(tmp_path / "store", [problem("a", "good", "other"), problem("b", "wrong")], range(10))
    for name, manifest in (("routed", routed), ("probed", probed)):
        (tmp_path / name).write_text(manifest.model_dump_json())
    # KFP passes integers as doubles.
    settings = {"teacher": {"backend": "book", "model": "b"}, "candidates": 2.0, "cap": {"fallback_tokens": 200.0}}
    out, summary = artifact(tmp_path / "out" / "made"), artifact(tmp_path / "out" / "summary")
    logged: dict[str, float] = {}
    library = Library(str(tmp_path / "store"))
    # The component finds the output that was made without Ray.
    first = bridge_traces(library, BridgeSettings.model_validate(settings), routed, probed, student, write=write_here)
    uri = bridge.python_func(
        root=library.root,
        task="bridge-round-1",
        settings=settings,
        routed=artifact(tmp_path / "routed"),
        probed=artifact(tmp_path / "probed"),
        student=student,
        bridged=out,
        metrics=SimpleNamespace(path=str(tmp_path / "metrics"), log_metric=logged.__setitem__),
        summary=summary,
    )
    assert uri == f"{library.root}/{first.address}" and out.metadata["address"] == first.address
    assert (logged["sft_rows"], logged["rewritten_rows"], logged["token_cap"]) == (1, 1, 200)
    text = Path(summary.path).read_text()
    assert "**1 text** to learn for 2 problems: 1 rewritten, 0 raw, 0 reference; 1 dropped" in text
    assert "at most 200 tokens (the fallback)" in text and "1 problem dropped (no_trace)" in text
    assert set(first.parents) == {"routed", "probed", "student"}


def test_a_killed_bridge_asks_nothing_again_that_was_stored(
    tmp_path: Path, student: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.models.rollouts.draw_rollouts.PART_ROLLOUTS", 1)
    rows = [problem(f"r{number}", "wrong,good", "good,other") for number in range(6)]
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, student, rows, rows_per_shard=4, teacher={"backend": "book", "model": "b", "dies_after": 19})
    manifest = made(tmp_path, student, rows, rows_per_shard=4)
    # 2 traces and 4 rewritings of each.
    assert len(ASKED) == len({request.key for request in ASKED}) == 36
    whole = made(tmp_path / "elsewhere", student, rows, rows_per_shard=4)
    assert (whole.address, whole.digest) == (manifest.address, manifest.digest)


def test_another_student_asks_for_no_trace_again(tmp_path: Path, student: str) -> None:
    rows = [problem("a", "good", "other")]
    made(tmp_path, student, rows)
    other = str(save_tiny_model(tmp_path / "other", seed=1, max_position_embeddings=1024))
    ASKED.clear()
    made(tmp_path, other, rows)
    assert not ASKED, "neither the trace nor the prompt of the rewritings changed"
    kept = {path.parts[-3]: json.loads(path.read_bytes()) for path in tmp_path.glob("teacher-*/*/manifest.json")}
    assert {name: one["counts"]["rollouts"] for name, one in kept.items()} == {
        "teacher-traces": 1,
        "teacher-rewritings": 4,
    }
    made(tmp_path, student, rows, prompt="Shorter: {problem} Solution: {trace}")
    assert len(ASKED) == 4, "another prompt asks for rewritings alone"


def test_a_check_that_fails_is_no_verdict(tmp_path: Path, student: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(source: str, **options: Any) -> Any:
        if source:
            raise SandboxError("no more processes")
        return run_python("", **options)

    monkeypatch.setattr(code_check, "run_python", failing)
    code = Check(kind="code", tests="def check(f):\n    pass\n", entry_point="f")
    manifest = made(tmp_path, student, [problem("code", "good", check=code), problem("a", "good", "other")])
    assert read(tmp_path, manifest, Dropped, "dropped")["code"].reason == "no_verdict"
    assert manifest.counts["traces_no_verdict"] == 4 and manifest.counts["traces_wrong"] == 0


def test_the_prefix_test_takes_the_text_whose_beginning_leads_to_the_answer(tmp_path: Path) -> None:
    # A student that says nothing: an answer that is begun is its beginning alone, and all texts are alike to it.
    mute = save_tiny_model(tmp_path / "mute", max_position_embeddings=1024)
    model = AutoModelForCausalLM.from_pretrained(mute)
    with torch.no_grad():
        model.model.norm.weight.zero_()
    model.save_pretrained(mute)
    rows = [problem("a", "long", "good,other"), problem("b", "plain", "good,wrong")]
    greedy = {"tries": 1, "sampling": {"temperature": 0.0, "max_tokens": 8}}
    for prefix, fates in ((None, ["chosen", "spare"]), (greedy, ["unfinished", "chosen"])):
        manifest = made(tmp_path / "store", str(mute), rows, prefix=prefix)
        shown = read(tmp_path / "store", manifest, Bridged, "bridged")
        assert [text.fate for text in shown["a"].texts[:2]] == fates
    assert [(text.finishes, text.finished) for text in shown["a"].texts[:2]] == [(1, 0), (1, 1)]
    assert [text.fate for text in shown["b"].texts if text.origin == "raw"] == ["chosen"], "no rewriting is left"
    assert (manifest.counts["beginnings"], manifest.counts["beginnings_finished"]) == (3, 1)


def test_what_cannot_work_is_refused_before_the_teacher_is_asked(tmp_path: Path, student: str) -> None:
    with pytest.raises(EmptyDataError, match="has no problems for SFT"):
        made(tmp_path / "none", student, [])
    with pytest.raises(InputError, match="1 problem of 2 came without a check, the first: 'b'"):
        made(tmp_path / "unchecked", student, [problem("a", "good"), problem("b", "good", check=None)])
    with pytest.raises(InputError, match="no student to rewrite for"):
        made(tmp_path / "nobody", "", [problem("a", "good")])
    assert not ASKED


def test_nothing_to_learn_names_the_reason_and_keeps_the_replies(tmp_path: Path, student: str) -> None:
    rows = [problem("a", "wrong"), problem("b", "wrong")]
    with pytest.raises(EmptyDataError, match="none of 2 problems has a text to learn: no_trace 2"):
        made(tmp_path, student, rows)
    asked = len(ASKED)
    with pytest.raises(EmptyDataError):
        made(tmp_path, student, rows)
    assert len(ASKED) == asked == 8


def test_nothing_to_teach_and_nothing_to_learn_complete_where_that_is_asked_for(tmp_path: Path, student: str) -> None:
    nothing = made(tmp_path / "none", student, [], when_empty="finish")
    assert not ASKED and (nothing.counts["problems"], nothing.counts["sft_rows"]) == (0, 0)
    assert "**0 texts** to learn for 0 problems" in summarise(Library(str(tmp_path / "none")), nothing)
    rows = [problem("a", "wrong"), problem("b", "wrong")]
    lost = made(tmp_path, student, rows, when_empty="finish")
    assert (lost.counts["sft_rows"], lost.counts["dropped_no_trace"]) == (0, 2)
    assert [row.reason for row in read(tmp_path, lost, Dropped, "dropped").values()] == ["no_trace"] * 2
    with pytest.raises(EmptyDataError, match="has no texts to learn"):
        made(tmp_path, student, rows)


def test_a_teacher_that_does_not_answer_at_all_ends_the_run(tmp_path: Path, student: str) -> None:
    with pytest.raises(GenerationError, match=r"4 of 4 rollouts failed; the first: HTTP 400"):
        made(tmp_path, student, [problem("a", "fails")])


def test_a_teacher_that_never_rewrites_ends_no_run(tmp_path: Path, student: str) -> None:
    manifest = made(tmp_path, student, [problem("a", "plain", "fails"), problem("b", "plain", "refuses")])
    assert (manifest.counts["raw_rows"], manifest.counts["candidates_failed"]) == (2, 4)
    assert manifest.counts["verified_share"] == 0.0


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"prompt": "Rewrite {trace}"}, "prompt must contain {problem}"),
        ({"candidates": 2, "rewrite_sampling": {"temperature": 0}}, "2 greedy answers would be equal"),
        ({"prefix": {"tries": 2, "successes": 3}}, "at most tries 2"),
        ({"prefix": {"generator": {"backend": "book", "model": "b"}}}, "cannot go on with an answer"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=re.escape(word)):
        BridgeSettings.model_validate({"teacher": {"backend": "book", "model": "b"}, **wrong})
