"""The contract of curate: inputs, outputs, and messages for wrong input."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.curate import curate as work
from components.curate.component import curate
from components.curate.curate import curate_instructions
from components.curate.settings import CurateSettings
from components.curate.summarise import summarise
from components.models.generators.generator import ChatRequest, Reply, Sampling, Usage
from components.models.generators.openai.settings import OpenAISettings
from components.shared.errors import EmptyDataError, GenerationError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import Dropped, Instruction, Labelled, Message, Question, Row
from components.shared.settings import Settings
from components.shared.step import Product

TEACHER = OpenAISettings(model="tiny")
SETTINGS = CurateSettings(teacher=TEACHER, label_template="Label: {instruction}", rare_below=2, cap_of_median=None)


LABELLED = (("red", True), ("blue", False), ("orange", True), ("green", False))
"""Responses to one question, good and bad."""


class Teacher:
    """Labels by the first words, except for the instructions that a test chooses."""

    def __init__(self, rubbish: Callable[[str], bool] = lambda text: False) -> None:
        self.rubbish = rubbish
        self.asked: list[str] = []
        self.control_text = 0

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        for request in requests:
            text = request.messages[0].content.removeprefix("Label: ")
            self.asked.append(text)
            label = "I like trains!" if self.rubbish(text) else f"{text.split()[0]} / {text.split()[1]}"
            yield Reply(key=request.key, text=label, tokens_in=5, tokens_out=3)

    def usage(self) -> Usage:
        return Usage(control_text=self.control_text)

    def close(self) -> None: ...


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Teacher:
    made = Teacher()
    monkeypatch.setattr(work, "open_generator", lambda settings: made)
    return made


def instruction(text: str, **fields: Any) -> Instruction:
    values = {"id": "", "source": "test/a.jsonl", "line": 1, "response": "fine", **fields}
    return Instruction(**{**values, "instruction": text})


def stored(root: str, step: str, rows: list[Any], row_type: type[Row]) -> Manifest:
    """Rows as another step's output."""
    numbered = [
        row.model_copy(update={"id": row.id or f"row{number}", "line": number}) if isinstance(row, Instruction) else row
        for number, row in enumerate(rows, start=1)
    ]

    class Nothing(Settings):
        content: str = json.dumps([row.model_dump() for row in numbered])

    output = Output(Library(root), Product(step, 1, row_type.content), Nothing(), {})
    writer = RowWriter(output, rows_per_shard=7)
    for row in numbered:
        writer.add(row)
    writer.close()
    return output.finish()


ROWS = [
    *(instruction(f"sum of {number} and {number * 7}") for number in range(10, 16)),
    *(instruction(f"spell backwards word{number} now") for number in range(5)),
    instruction("SUM  of 10, and 70!!"),
    instruction("Please sum of 11 and 77"),
    instruction("Here you are: what is the capital of France? Thanks."),
    instruction("translate me into French today"),
    instruction("hi"),
    instruction("word " * 5000),
]
QUESTIONS = [Question(benchmark="geo", id="7", question="What is the capital of France?", answer="Paris")]


def inputs(root: str, rows: list[Any] | None = None) -> tuple[Manifest, Manifest]:
    return (
        stored(root, "collect", ROWS if rows is None else rows, Instruction),
        stored(root, "benchmarks", QUESTIONS, Question),
    )


def dropped(root: str, manifest: Manifest) -> dict[str, tuple[str, str]]:
    return {row.id: (row.reason, row.evidence) for row in Library(root).read_rows(manifest, Dropped, part="dropped")}


def test_every_row_is_kept_with_its_labels_or_dropped_with_its_evidence(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    manifest = curate_instructions(Library(root), SETTINGS, *inputs(root))
    kept = list(Library(root).read_rows(manifest, Labelled))
    assert manifest.content == "labelled/1"
    assert [row.id for row in kept] == [f"row{number}" for number in range(1, 12)]
    assert {(row.primary, row.secondary, row.type) for row in kept} == {
        ("sum", "of", "arithmetic and units"),
        ("spell", "backwards", "letters and spelling"),
    }
    assert dropped(root, manifest) == {
        "row12": ("near-duplicate", "row1 at distance 0"),
        "row13": ("near-duplicate", "row2 at distance 0"),
        "row14": ("evaluation-overlap", "geo/7: what is the capital of france"),
        "row15": ("rare-label", "translate / me"),
        "row16": ("too-short", "1 tokens, at least 2"),
        "row17": ("too-long", "25000 characters, at most 20000"),
    }


def test_rows_near_an_evaluation_question_are_dropped_for_a_reason_of_their_own(
    tmp_path: Path, teacher: Teacher
) -> None:
    """Questions from one template, as held out: their words are in many questions, so that overlap weighs them 0."""
    root, library = str(tmp_path), Library(str(tmp_path))
    passage = " ".join(f"the {number}th stone of the river that winds below the hill" for number in range(30))
    texts = [
        f"Read this. {passage} Is it about {word}? Reply yes or no." for word in ("hills", "stones", *"abcdefghijkl")
    ]
    questions = [Question(benchmark="unseen", id=f"q{n}", question=text, answer="yes") for n, text in enumerate(texts)]
    edited = texts[1].replace("about", "on")
    rows = [instruction(edited.upper()), instruction(edited, desirable=True), instruction("sum of 1 and 2")]
    stored_rows = stored(root, "collect", rows, Instruction), stored(root, "benchmarks", questions, Question)
    manifest = curate_instructions(library, SETTINGS.model_copy(update={"rare_below": 1}), *stored_rows)
    found = list(dropped(root, manifest).values())
    assert [reason for reason, _ in found] == ["evaluation-duplicate"] * 2
    assert all(evidence.startswith("unseen/q") and " at distance " in evidence for _, evidence in found)
    assert json.loads(library.read_bytes(manifest, "report.json"))["drops"]["evaluation-duplicate"] == 2


def test_labels_are_kept_with_their_rows(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    labels = [True, False, None]
    rows = [instruction(f"sum of {n} and {n * 7}", desirable=label) for n, label in enumerate(labels, start=10)]
    manifest = curate_instructions(Library(root), SETTINGS, *inputs(root, rows))
    assert [row.desirable for row in Library(root).read_rows(manifest, Labelled)] == labels


def test_duplicates_and_overlap_never_reach_the_teacher(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    curate_instructions(Library(root), SETTINGS, *inputs(root))
    assert len(teacher.asked) == 12
    assert not any("France?" in text or "Please" in text for text in teacher.asked)


def test_the_good_and_the_bad_response_to_one_question_are_both_kept(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    rows = [instruction("sum of every warm colour", response=said, desirable=label) for said, label in LABELLED]
    manifest = curate_instructions(Library(root), SETTINGS, *inputs(root, rows))
    kept = [(row.response, row.desirable) for row in Library(root).read_rows(manifest, Labelled)]
    assert kept == [("red", True), ("blue", False)]
    assert {reason for reason, _ in dropped(root, manifest).values()} == {"near-duplicate"}


def test_a_second_call_returns_the_same_address_without_requests(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    first = curate_instructions(Library(root), SETTINGS, *inputs(root))
    asked = len(teacher.asked)
    assert curate_instructions(Library(root), SETTINGS, *inputs(root)) == first
    other = curate_instructions(Library(root), SETTINGS.model_copy(update={"cap": 3}), *inputs(root))
    assert other.address != first.address
    assert other.counts["dropped_over_cap"] == 5
    assert len(teacher.asked) == asked


def test_equal_inputs_give_equal_bytes(tmp_path: Path, teacher: Teacher) -> None:
    digests = set()
    for name in ("one", "two"):
        root = str(tmp_path / name)
        digests.add(curate_instructions(Library(root), SETTINGS, *inputs(root)).digest)
    assert len(digests) == 1


def test_the_report_compares_before_and_after(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    manifest = curate_instructions(Library(root), SETTINGS, *inputs(root))
    report = json.loads((tmp_path / manifest.address / "report.json").read_text())
    assert (report["rows_in"], report["rows_out"]) == (17, 11)
    assert report["drops"]["near-duplicate"] == 2
    assert sum(report["drops"].values()) == 6
    assert report["labels"] == {"before": {"sum": 6, "spell": 5, "translate": 1}, "after": {"sum": 6, "spell": 5}}
    assert report["pairs"]["before"]["translate / me"] == 1
    assert sum(report["types"]["before"].values()) == 17
    assert report["diversity"]["before"]["sampled_rows"] == report["diversity"]["after"]["sampled_rows"] == 11
    assert report["diversity"]["before"]["label_entropy_bits"] > report["diversity"]["after"]["label_entropy_bits"] > 0
    assert manifest.counts["rows_out"] == 11
    assert (manifest.cost.tokens_in, manifest.cost.tokens_out) == (60, 36)


def test_prompts_that_spell_a_control_token_are_in_counts_report_and_summary(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    teacher.control_text = 3
    manifest = curate_instructions(Library(root), SETTINGS, *inputs(root))
    assert manifest.counts["prompts_with_control_text"] == 3
    assert json.loads((tmp_path / manifest.address / "report.json").read_text())["control_text"] == 3
    assert "3 label prompts spelt a control token" in summarise(Library(root), manifest)


def test_a_reply_without_a_label_drops_its_row(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    teacher.rubbish = lambda text: "word3" in text
    manifest = curate_instructions(Library(root), SETTINGS, *inputs(root))
    assert dropped(root, manifest)["row10"] == ("unlabelled", "I like trains!")


def test_too_many_replies_without_labels_fail_the_step_and_labels_are_kept(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    teacher.rubbish = lambda text: "spell" in text
    with pytest.raises(GenerationError, match="I like trains!"):
        curate_instructions(Library(root), SETTINGS, *inputs(root))
    teacher.rubbish = lambda text: False
    teacher.asked.clear()
    curate_instructions(Library(root), SETTINGS, *inputs(root))
    assert teacher.asked
    assert not any(text.startswith("sum") for text in teacher.asked)


def test_rules_label_without_a_teacher(tmp_path: Path) -> None:
    root = str(tmp_path)
    manifest = curate_instructions(Library(root), CurateSettings(labeller="rules", rare_below=2), *inputs(root))
    labels = {(row.primary, row.secondary) for row in Library(root).read_rows(manifest, Labelled)}
    assert labels == {("mathematics", "arithmetic and units"), ("language", "letters and spelling")}
    assert "teacher" not in manifest.parents


def test_the_complete_conversation_is_compared(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    talk = [Message(role="user", content="Name a colour."), Message(role="assistant", content="Red.")]
    other = [Message(role="user", content="Name an animal."), Message(role="assistant", content="A cow.")]
    rows = [
        instruction("name another one", history=tuple(talk)),
        instruction("name another one", history=tuple(other)),
        instruction("Name another one!", history=tuple(talk), system="You are kind."),
    ]
    manifest = curate_instructions(Library(root), SETTINGS, *inputs(root, rows))
    assert dropped(root, manifest) == {"row3": ("near-duplicate", "row1 at distance 0")}
    assert [row.history for row in Library(root).read_rows(manifest, Labelled)] == [tuple(talk), tuple(other)]


def test_the_error_for_no_remaining_row_names_reasons_and_remedy(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    with pytest.raises(EmptyDataError) as caught:
        curate_instructions(Library(root), SETTINGS.model_copy(update={"rare_below": 50}), *inputs(root))
    assert "all 17 instructions were dropped" in caught.value.problem
    assert "rare-label 12" in caught.value.problem
    assert "rare_below" in caught.value.remedy


def test_no_instructions_at_all(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    with pytest.raises(EmptyDataError, match="no instructions"):
        curate_instructions(Library(root), SETTINGS, *inputs(root, []))


def test_rows_of_another_kind_are_refused_by_name(tmp_path: Path, teacher: Teacher) -> None:
    root = str(tmp_path)
    questions = stored(root, "benchmarks", QUESTIONS, Question)
    with pytest.raises(InputError) as caught:
        curate_instructions(Library(root), SETTINGS, questions, questions)
    assert "instruction" in str(caught.value)


def artifact(path: Path, manifest: Manifest | None = None) -> Any:
    if manifest is not None:
        path.write_text(manifest.model_dump_json())
    logged: dict[str, float] = {}
    return SimpleNamespace(path=str(path), uri=str(path), metadata={}, logged=logged, log_metric=logged.__setitem__)


def run_component(tmp_path: Path, settings: dict[str, Any], rows: list[Any] | None = None) -> tuple[str, Any, Any, Any]:
    root = str(tmp_path / "root")
    instructions, benchmarks = inputs(root, rows)
    dataset, metrics, summary = (artifact(tmp_path / name) for name in ("dataset", "metrics", "summary"))
    uri = curate.python_func(
        root=root,
        settings=settings,
        instructions=artifact(tmp_path / "instructions", instructions),
        benchmarks=artifact(tmp_path / "benchmarks", benchmarks),
        dataset=dataset,
        metrics=metrics,
        summary=summary,
    )
    return uri, dataset, metrics, summary


def test_the_component_hands_over_manifest_metrics_and_summary(tmp_path: Path, teacher: Teacher) -> None:
    # KFP turns integers into doubles.
    settings = {**SETTINGS.model_dump(mode="json"), "rare_below": 2.0, "distance": 3.0}
    uri, dataset, metrics, summary = run_component(tmp_path, settings)
    manifest = Manifest.model_validate_json(Path(dataset.path).read_text())
    assert uri.endswith(manifest.address)
    assert metrics.logged["rows_out"] == 11.0
    assert metrics.logged["dropped_near_duplicate"] == 2.0
    text = Path(summary.path).read_text()
    assert "17 in, 11 out" in text
    assert "| near-duplicate | 2 |" in text
    assert "| sum / of | 6 | 6 |" in text


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"labeller": "rules", "distance": 99}, 2, "distance"),
        ({"labeller": "rules", "nonsense": 1}, 2, "nonsense"),
        ({"labeller": "rules", "types_file": "/nowhere.yaml"}, 2, "/nowhere.yaml"),
        ({}, 2, "teacher"),
        ({"labeller": "rules", "rare_below": 99}, 1, "rare-label"),
    ],
)
def test_the_component_fails_with_a_message_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], code: int, said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_component(tmp_path, settings)
    log = capsys.readouterr().err
    assert caught.value.code == code
    assert "[curate] FAILED" in log
    assert said in log
    assert "Traceback" not in log
