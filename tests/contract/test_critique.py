"""The contract of critique: its inputs and outputs, what is learnt of which rollouts, what is asked again, errors."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from components.critique.component import critique
from components.critique.critique import critique_rollouts
from components.critique.settings import CritiqueSettings
from components.critique.step import CRITIQUED
from components.critique.summarise import summarise
from components.critique.write_here import write_here
from components.models.generators.registry import BACKENDS
from components.rewards.checks import code_check
from components.shared.errors import GenerationError, InputError, SandboxError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rollout_rows import Critique, Probed, Rollout
from components.shared.rows import SELECTION, Check, Dropped, Message, Scores, SftRow
from components.shared.sandbox.run_python import run_python
from tests.book_teacher import ASKED, BookSettings
from tests.stand_in_outputs import stored_rows

FIVE = Check(kind="math", answer="5")
WRONG = "1. Begin with 2.\n2. Add 3 to 2, which is 6.\nThe answer is 6."
RIGHT = "1. Begin with 2.\n2. Add 3 to 2, which is 5.\nThe answer is 5."
WHY = "Add 3 to 2 is 5, not 6."
DIAGNOSES = {
    "step2": f"{WHY}\nFirst wrong step: 2",
    "none": "Each sum is right.\n\n**First wrong step:** none",
    "step9": "It is wrong.\nFirst wrong step: 9",
    "vague": "It looks wrong to me.",
    "leaks": "The reference solution has 5.\nFirst wrong step: 2",
    "refuses": "I cannot help with that.",
}
CONTINUATIONS = {
    "good": "2. Add 3 to 2, which is 5.\nThe answer is 5.",
    "whole": RIGHT,
    "wordy": "Here is the rest:\n\n2. Take the 2 and add 3 to it, which is 5.\nThe answer is 5.",
    "restarts": "1. Take 2.\n2. Add 3: 5.\nThe answer is 5.",
    "wrong": "2. Add 3 to 2, which is 7.\nThe answer is 7.",
    "refuses": "I cannot help with that.",
}


class CriticBookSettings(BookSettings):
    """A teacher that diagnoses solutions and continues them."""

    backend: Literal["critic-book"] = "critic-book"

    def page(self, prompt: str) -> tuple[str, Mapping[str, str]]:
        return ("repairs", CONTINUATIONS) if "Solution so far:" in prompt else ("diagnoses", DIAGNOSES)


@pytest.fixture(autouse=True)
def book(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(BACKENDS, "critic-book", CriticBookSettings)
    ASKED.clear()
    yield
    ASKED.clear()


def problem(name: str, said: str, texts: Iterable[str] = (WRONG,), **changed: Any) -> Probed:
    """A problem whose rollouts have these texts; those that end with 5 passed."""
    rollouts = tuple(Rollout(text=text, passed=text.endswith("5.")) for text in texts)
    solved = sum(bool(rollout.passed) for rollout in rollouts)
    facts = {"type": "t", "primary": "p", "secondary": "s", "tries": len(rollouts), "successes": solved}
    estimate = {"truncated": 0, "low": 0.0, "high": 1.0, "decided": True, "rollouts": rollouts, "lengths": ()}
    row = {"id": name, "source": "made", "line": 1, "instruction": f"Add 3 to 2. {name}: {said}", "check": FIVE}
    return Probed.model_validate({**row, **facts, **estimate, **changed})


def solved(name: str, said: str = "diagnoses=none") -> Probed:
    return problem(name, said, [RIGHT])


def trace(name: str) -> SftRow:
    prompt = (Message(role="user", content=f"Add 3 to 2. {name}"),)
    return SftRow(id=name, prompt=prompt, completion=f"{RIGHT} {name}", origin="teacher", scores=Scores(checked=True))


def inputs(root: Path, rows: list[Probed], traces: int) -> tuple[Manifest, Manifest]:
    bridged = stored_rows(root, "bridge", "sft", [trace(f"t{number}") for number in range(traces)])
    return stored_rows(root, "probe", "rows", rows), bridged


def parsed(**changed: Any) -> CritiqueSettings:
    return CritiqueSettings.model_validate({"teacher": {"backend": "critic-book", "model": "b"}, **changed})


def made(root: Path, rows: list[Probed], traces: int = 20, **changed: Any) -> Manifest:
    return critique_rollouts(Library(str(root)), parsed(**changed), *inputs(root, rows, traces), write=write_here)


def read(root: Path, manifest: Manifest, kind: Any, part: str) -> dict[str, Any]:
    return {row.id: row for row in Library(str(root)).read_rows(manifest, kind, part)}


def critiques(root: Path, manifest: Manifest) -> dict[str, Critique]:
    rows = Library(str(root)).read_rows(manifest, Critique, "critiques")
    return {f"{row.id}/{row.kind}": row for row in rows}


def report(root: Path, manifest: Manifest) -> dict[str, Any]:
    return dict(json.loads((root / manifest.address / "report.json").read_bytes()))


def artifact(path: Path) -> SimpleNamespace:
    return SimpleNamespace(path=str(path), uri=str(path), metadata={})


def test_a_failed_rollout_becomes_a_diagnosis_and_a_corrected_solution(tmp_path: Path) -> None:
    rows = [problem("a", "diagnoses=step2 repairs=wrong,wordy,good,restarts", system="Be brief."), solved("b")]
    manifest = made(tmp_path, rows)
    assert manifest.content == SELECTION and manifest.step_version == CRITIQUED.version
    learnt = read(tmp_path, manifest, SftRow, "sft")
    assert learnt.keys() == {"a/diagnosis-0", "a/repair-0", "b/diagnosis-0", *(f"t{number}" for number in range(20))}
    assert {name: row.kind for name, row in learnt.items() if row.kind != "trace"} == {
        "a/diagnosis-0": "diagnosis",
        "a/repair-0": "repair",
        "b/diagnosis-0": "diagnosis",
    }
    assert learnt["a/diagnosis-0"].completion == f"{WHY}\n\nFirst wrong step: 2"
    assert learnt["b/diagnosis-0"].completion == "Each sum is right.\n\nFirst wrong step: none"
    assert learnt["a/repair-0"].completion == RIGHT, "the steps before the wrong one, and the shortest right rest"
    for name in ("a/diagnosis-0", "a/repair-0"):
        system, asked = learnt[name].prompt
        assert system == Message(role="system", content="Be brief.")
        assert rows[0].instruction in asked.content and WRONG in asked.content
    assert WHY in learnt["a/repair-0"].prompt[-1].content
    row = critiques(tmp_path, manifest)["a/repair"]
    assert (row.rollout, row.attempt, row.step, row.why, row.passed) == (0, WRONG, 2, WHY, False)
    assert [repair.fate for repair in row.repairs] == ["wrong", "spare", "chosen", "not_continued"]
    assert row.chosen == 2 and row.fate == "learnt"
    assert not read(tmp_path, manifest, Dropped, "dropped")


def test_each_kind_is_in_a_part_of_its_own(tmp_path: Path) -> None:
    manifest = made(tmp_path, [problem("a", "diagnoses=step2 repairs=good"), solved("b")])
    for kind, rows in (("diagnosis", 2), ("repair", 1), ("trace", 20)):
        some = read(tmp_path, manifest, SftRow, f"sft/{kind}")
        assert len(some) == rows and {row.kind for row in some.values()} == {kind}
    assert read(tmp_path, manifest, SftRow, "sft/trace")["t7"] == trace("t7").model_copy(update={"kind": "trace"})


def test_replayed_answers_keep_their_kind_and_count_for_the_shares(tmp_path: Path) -> None:
    own = [trace(f"o{number}").model_copy(update={"kind": "replay", "origin": "student"}) for number in range(5)]
    probed, _ = inputs(tmp_path, [problem("a", "diagnoses=step2 repairs=good"), solved("b")], traces=0)
    bridged = stored_rows(tmp_path, "bridge", "sft", [*(trace(f"t{number}") for number in range(5)), *own])
    manifest = critique_rollouts(Library(str(tmp_path)), parsed(), probed, bridged, write=write_here)
    assert list(read(tmp_path, manifest, SftRow, "sft/replay").values()) == own
    assert read(tmp_path, manifest, SftRow, "sft/trace").keys() == {f"t{number}" for number in range(5)}
    counts = manifest.counts
    assert (counts["trace_rows"], counts["replay_rows"], counts["diagnosis_rows"], counts["sft_rows"]) == (5, 5, 2, 13)
    assert report(tmp_path, manifest)["shares"]["replay"] == round(5 / 13, 4)
    assert "| the student's own answers | 5 | 38.5% |" in summarise(Library(str(tmp_path)), manifest)


def test_a_diagnosis_that_disagrees_with_the_check_is_dropped_and_counted(tmp_path: Path) -> None:
    rows = [problem("says-right", "diagnoses=none"), problem("a", "diagnoses=step2 repairs=good")]
    rows += [solved("says-wrong", "diagnoses=step2 repairs=good"), solved("b")]
    manifest = made(tmp_path, rows)
    shown = critiques(tmp_path, manifest)
    assert {name: row.fate for name, row in shown.items()} == {
        "says-right/diagnosis": "disagrees",
        "says-wrong/diagnosis": "disagrees",
        "a/diagnosis": "learnt",
        "a/repair": "learnt",
        "b/diagnosis": "learnt",
    }
    counts = manifest.counts
    assert (counts["wrong_called_right"], counts["right_called_wrong"], counts["diagnoses_disagrees"]) == (1, 1, 2)
    lost = read(tmp_path, manifest, Dropped, "dropped")
    assert {name: (row.reason, row.evidence) for name, row in lost.items()} == {
        "says-right": ("disagrees", "1 diagnosis disagrees")
    }


def test_what_the_teacher_does_not_write_costs_its_own_rows_by_reason(tmp_path: Path) -> None:
    said = {
        "unreadable": "diagnoses=vague",
        "no-such-step": "diagnoses=step9",
        "refuses": "diagnoses=refuses",
        "filtered": "diagnoses=fails",
        "template": "diagnoses=template",
        "unrepaired": "diagnoses=step2 repairs=wrong,refuses,restarts,fails",
        "leaks": "diagnoses=leaks repairs=good",
    }
    rows = [problem(name, words, response=RIGHT) for name, words in said.items()]
    manifest = made(tmp_path, [*rows, solved("s")])
    lost = read(tmp_path, manifest, Dropped, "dropped")
    assert {name: row.reason for name, row in lost.items()} == {
        "unreadable": "unreadable",
        "no-such-step": "unreadable",
        "refuses": "unreadable",
        "filtered": "failed",
        "template": "template_refused",
        "leaks": "mentions_reference",
    }
    shown = critiques(tmp_path, manifest)["unrepaired/repair"]
    assert shown.fate == "unrepaired" and shown.chosen is None
    assert [repair.fate for repair in shown.repairs] == ["wrong", "not_continued", "not_continued", "failed"]
    counts = manifest.counts
    assert (counts["diagnoses_unreadable"], counts["diagnoses_failed"], counts["repairs_unrepaired"]) == (3, 1, 1)
    assert counts["dropped_rows"] == 6 and counts["repair_rows"] == 0


def test_right_and_wrong_are_balanced_by_a_seeded_choice(tmp_path: Path) -> None:
    rows = [problem(f"w{number}", "diagnoses=step2 repairs=good") for number in range(6)]
    rows += [solved("r0"), problem("r1", "diagnoses=none", [RIGHT, WRONG, f"1. It is 5.\n{RIGHT}"])]
    manifest = made(tmp_path, rows, traces=100)
    counts = manifest.counts
    assert (counts["wrong_attempts"], counts["right_attempts"]) == (6, 3)
    assert (counts["right_diagnosis_rows"], counts["wrong_diagnosis_rows"], counts["diagnoses_unbalanced"]) == (3, 3, 3)
    assert counts["repair_rows"] == 6, "balance is for diagnoses alone"
    one_third = made(tmp_path, rows, traces=100, right_share=0.34).counts
    assert (one_third["right_diagnosis_rows"], one_third["wrong_diagnosis_rows"]) == (3, 5)
    learnt = {
        seed: read(tmp_path, made(tmp_path, rows, 100, seed=seed), SftRow, "sft/diagnosis").keys() for seed in (0, 1)
    }
    assert learnt[0] != learnt[1] and len(learnt[1]) == 6


def test_no_kind_exceeds_its_share_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = [problem(f"w{number}", "diagnoses=step2 repairs=good") for number in range(12)]
    rows += [solved(f"r{number}") for number in range(12)]
    manifest = made(tmp_path, rows, traces=10)
    counts = manifest.counts
    assert (counts["trace_rows"], counts["diagnosis_rows"], counts["repair_rows"]) == (10, 4, 6)
    assert (counts["diagnoses_capped"], counts["repairs_capped"], counts["sft_rows"]) == (20, 6, 20)
    assert (counts["right_diagnosis_rows"], counts["wrong_diagnosis_rows"]) == (2, 2)
    assert report(tmp_path, manifest)["shares"] == {"trace": 0.5, "replay": 0.0, "diagnosis": 0.2, "repair": 0.3}
    assert {row.reason for row in read(tmp_path, manifest, Dropped, "dropped").values()} == {"capped"}
    none = made(tmp_path, rows, traces=10, diagnosis_share=0.0, repair_share=0.5).counts
    assert (none["diagnosis_rows"], none["repair_rows"]) == (0, 10)


def test_only_an_answered_rollout_of_an_unsolved_problem_is_called_wrong(tmp_path: Path) -> None:
    truncated = Rollout(text=WRONG, finish="length", passed=False)
    thought = Rollout(text="<think>\nhm", passed=False)
    unchecked, wrong = Rollout(text=WRONG, passed=None), Rollout(text=WRONG, passed=False)
    rows = [
        problem("cut", "diagnoses=step2", rollouts=(truncated, thought)),
        problem("unknown", "diagnoses=step2", rollouts=(unchecked,), tries=0, no_verdict=1),
        problem("mixed", "diagnoses=step2 repairs=good", [WRONG, RIGHT]),
        problem("a", "diagnoses=step2 repairs=good", rollouts=(truncated, unchecked, wrong)),
    ]
    manifest = made(tmp_path, rows, right_share=0.0)
    assert {row.rollout for row in critiques(tmp_path, manifest).values()} == {2}
    assert {row.id for row in critiques(tmp_path, manifest).values()} == {"a"}
    assert {name: row.reason for name, row in read(tmp_path, manifest, Dropped, "dropped").items()} == {
        "cut": "no_attempt"
    }
    counts = manifest.counts
    assert (counts["problems"], counts["unsolved_problems"], counts["undecided_problems"]) == (4, 2, 1)


def test_the_teacher_sees_a_right_solution_where_there_is_one(tmp_path: Path) -> None:
    own, bad = "Two and three is 5.", "Two and three is 9."
    rows = [problem(name, "diagnoses=step2 repairs=good") for name in ("t1", "nothing")]
    rows += [problem("own", "diagnoses=step2 repairs=good", response=own)]
    rows += [problem("bad", "diagnoses=step2 repairs=good", response=bad)]
    made(tmp_path, rows, right_share=0.0)
    asked = {
        name: text
        for request in ASKED
        if "Solution to check:" in (text := request.messages[-1].content)
        for name in ("t1", "nothing", "own", "bad")
        if f" {name}: " in text
    }
    assert own in asked["own"] and trace("t1").completion in asked["t1"]
    assert bad not in asked["bad"] and "(There is none.)" in asked["bad"] and "(There is none.)" in asked["nothing"]


def test_the_component_hands_over_the_address_and_a_summary(tmp_path: Path) -> None:
    root = tmp_path / "store"
    rows = [problem("a", "diagnoses=step2 repairs=good"), problem("b", "diagnoses=vague"), solved("c")]
    probed, bridged = inputs(root, rows, 8)
    for name, manifest in (("probed", probed), ("bridged", bridged)):
        (tmp_path / name).write_text(manifest.model_dump_json())
    # KFP passes integers as doubles.
    settings = {"teacher": {"backend": "critic-book", "model": "b"}, "repairs": 2.0}
    out, summary = artifact(tmp_path / "out" / "made"), artifact(tmp_path / "out" / "summary")
    logged: dict[str, float] = {}
    library = Library(str(root))
    # The component finds the output that was made without Ray.
    first = critique_rollouts(library, parsed(repairs=2), probed, bridged, write=write_here)
    uri = critique.python_func(
        root=library.root,
        task="critique-round-1",
        settings=settings,
        probed=artifact(tmp_path / "probed"),
        bridged=artifact(tmp_path / "bridged"),
        critiqued=out,
        metrics=SimpleNamespace(path=str(tmp_path / "metrics"), log_metric=logged.__setitem__),
        summary=summary,
    )
    assert uri == f"{library.root}/{first.address}" and out.metadata["address"] == first.address
    assert (logged["sft_rows"], logged["trace_rows"], logged["repair_rows"]) == (11, 8, 1)
    text = Path(summary.path).read_text()
    assert "**11 rows** to learn, for 2 unsolved problems of 3" in text
    assert "- 1 unsolved problem without a critique to learn (unreadable)" in text
    assert "| diagnoses | 2 | 18.2% | 20% |" in text and "| without a readable verdict or a reason | 1 |" in text
    assert set(first.parents) == {"probed", "bridged"}


def test_a_killed_critique_asks_nothing_again_that_was_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.models.rollouts.draw_rollouts.PART_ROLLOUTS", 1)
    rows = [problem(f"w{number}", "diagnoses=step2 repairs=good,wordy") for number in range(6)]
    facts: dict[str, Any] = {"rows_per_shard": 4, "right_share": 0.0}
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, rows, teacher={"backend": "critic-book", "model": "b", "dies_after": 11}, **facts)
    manifest = made(tmp_path, rows, **facts)
    # A diagnosis and 4 continuations of each.
    assert len(ASKED) == len({request.key for request in ASKED}) == 30
    kept = {path.parts[-3]: json.loads(path.read_bytes()) for path in tmp_path.glob("teacher-*/*/manifest.json")}
    listed = {name: one["counts"]["rollouts"] for name, one in kept.items()}
    assert listed == {"teacher-diagnoses": 6, "teacher-repairs": 24}
    whole = made(tmp_path / "elsewhere", rows, **facts)
    assert (whole.address, whole.digest) == (manifest.address, manifest.digest)
    assert not list(tmp_path.glob("critique/*/written/*")), "what only the job needs is deleted"


def test_the_cost_is_that_of_all_replies_by_the_price_list(tmp_path: Path) -> None:
    price = {"per_million_in": 100.0, "per_million_out": 1000.0, "currency": "EUR"}
    teacher = {"backend": "critic-book", "model": "b", "price": price}
    cost = made(tmp_path, [problem("a", "diagnoses=step2 repairs=good,fails")], teacher=teacher).cost
    # A diagnosis and 2 of 4 continuations, each of 9 tokens in and 4 out.
    assert (cost.tokens_in, cost.tokens_out) == (27, 12)
    assert (cost.price, cost.currency) == (0.0147, "EUR")


def test_a_later_round_asks_for_new_rollouts_alone(tmp_path: Path) -> None:
    rows = [problem(f"w{number}", "diagnoses=step2 repairs=good") for number in range(3)]
    made(tmp_path, rows, right_share=0.0)
    ASKED.clear()
    made(tmp_path, [*rows, problem("new", "diagnoses=step2 repairs=good")], right_share=0.0)
    assert len(ASKED) == 5


def test_a_check_that_fails_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(source: str, **options: Any) -> Any:
        if source:
            raise SandboxError("no more processes")
        return run_python("", **options)

    monkeypatch.setattr(code_check, "run_python", failing)
    code = Check(kind="code", tests="def check(f):\n    pass\n", entry_point="f")
    rows = [problem("code", "diagnoses=step2 repairs=good", check=code), solved("s")]
    manifest = made(tmp_path, rows)
    row = critiques(tmp_path, manifest)["code/repair"]
    assert row.fate == "no_verdict" and {repair.fate for repair in row.repairs} == {"no_verdict"}
    assert manifest.counts["continuations_no_verdict"] == 4 and "continuations_wrong" not in manifest.counts


def test_without_an_unsolved_problem_the_traces_are_the_output_and_nobody_is_asked(tmp_path: Path) -> None:
    def never(assignment: Any) -> Any:
        raise AssertionError("no job is needed")

    settings = parsed()
    manifest = critique_rollouts(Library(str(tmp_path)), settings, *inputs(tmp_path, [solved("a")], 3), write=never)
    assert read(tmp_path, manifest, SftRow, "sft").keys() == {"t0", "t1", "t2"}
    assert (manifest.counts["diagnosis_rows"], manifest.counts["repair_rows"]) == (0, 0)
    assert report(tmp_path, manifest)["remarks"] == ["no problem is unsolved: there is nothing to critique"]
    assert not ASKED


def test_a_mix_without_diagnoses_or_traces_says_why(tmp_path: Path) -> None:
    rows = [problem("a", "diagnoses=step2 repairs=good")]
    unbalanced = made(tmp_path, rows)
    assert unbalanced.counts["diagnoses_unbalanced"] == 1 and unbalanced.counts["repair_rows"] == 1
    assert "no right solution to balance" in report(tmp_path, unbalanced)["remarks"][0]
    alone = made(tmp_path, rows, traces=0)
    assert alone.counts["sft_rows"] == 0 and "there are no traces" in report(tmp_path, alone)["remarks"][0]


def test_a_problem_without_a_check_is_refused_before_the_teacher_is_asked(tmp_path: Path) -> None:
    rows = [problem("a", "diagnoses=step2 repairs=good"), problem("b", "diagnoses=step2", check=None)]
    with pytest.raises(InputError, match="1 problem of 2 came without a check, the first: 'b'") as caught:
        made(tmp_path, rows)
    assert "collect these rows with a check" in caught.value.remedy and not ASKED


def test_a_teacher_that_does_not_answer_at_all_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"1 of 1 rollouts failed; the first: HTTP 400"):
        made(tmp_path, [problem("a", "diagnoses=fails")])


def test_equal_inputs_give_equal_outputs(tmp_path: Path) -> None:
    rows = [problem(f"w{number}", "diagnoses=step2 repairs=good") for number in range(5)] + [solved("r")]
    digests = {made(tmp_path / name, rows, rows_per_shard=2).digest for name in ("one", "two")}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"diagnosis_prompt": "Check {problem} {attempt}"}, "diagnosis_prompt must contain First wrong step:"),
        ({"repair_prompt": "{problem}"}, "repair_prompt must contain {beginning} and {step}"),
        ({"repair_task": "{attempt}"}, "repair_task must contain {problem}"),
        ({"diagnosis_share": 0.6, "repair_share": 0.4}, "must add up to less than 1"),
        ({"repairs": 2, "repair_sampling": {"temperature": 0}}, "2 greedy answers would be equal"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=re.escape(word)):
        parsed(**wrong)
