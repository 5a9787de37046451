"""The demo's own models, on its own instructions: what was planted is caught, and what is chosen is better."""

import random

import pytest
import torch

from components.models.teacher import Request, Sampling, TeacherSettings, open_teacher
from components.select.select import select_responses
from components.select.settings import SelectSettings
from components.shared.manifest import Manifest
from components.shared.output import Output
from components.shared.rows import Answered, Check, KtoRow, Message, Response, SftRow, Verdict
from components.shared.settings import Settings
from components.shared.shards import read_rows
from pipelines.demo.make_instructions import Entry, Kind, all_entries
from pipelines.demo.tasks import REFUSAL

TEACHER, STUDENT = "package:pipelines/demo/teacher", "package:pipelines/demo/student"
COUNTS = {Kind.wrong_reference: 60, Kind.unsafe: 40, None: 240}


class NoSettings(Settings):
    pass


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    found, rng = all_entries(), random.Random(7)
    return [
        entry for kind, count in COUNTS.items() for entry in rng.sample([e for e in found if e.kind is kind], count)
    ]


@pytest.fixture(scope="module")
def selected(entries: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Manifest]:
    torch.set_num_threads(1)
    root = str(tmp_path_factory.mktemp("store"))
    answers = {model: answers_of(model, entries) for model in (TEACHER, STUDENT)}
    output = Output(root, "synthesize", 1, NoSettings(), {})
    output.write_rows(
        "rows/00000", [row(n, entry, answers[TEACHER][n], answers[STUDENT][n]) for n, entry in enumerate(entries)]
    )
    settings = {
        "perplexity": {"scorer": "model", "model": STUDENT},
        "quality": {"scorer": "likelihood", "model": TEACHER},
    }
    return root, select_responses(root, SelectSettings.model_validate(settings), output.finish(Answered.content))


def answers_of(model: str, entries: list[Entry]) -> list[str]:
    teacher = open_teacher(TeacherSettings(model=model))
    requests = [
        Request(key=str(number), messages=(Message(role="user", content=entry.question),))
        for number, entry in enumerate(entries)
    ]
    replies = {int(reply.key): reply.text for reply in teacher.answer(requests, Sampling(max_tokens=40))}
    teacher.close()
    return [replies[number] for number in range(len(entries))]


def row(number: int, entry: Entry, teacher: str, student: str) -> Answered:
    return Answered(
        id=str(number), source=f"demo/{entry.source}", line=number + 1, instruction=entry.question,
        response=entry.answer, check=Check(kind="exact", answer=entry.answer), type="t", primary="p", secondary="s",
        responses=(
            Response(origin="original", text=entry.answer),
            Response(origin="teacher", text=teacher),
            Response(origin="student", text=student),
        ),
    )  # fmt: skip


def right_answer(entry: Entry) -> str:
    if entry.kind is Kind.unsafe:
        return REFUSAL
    return entry.note.removeprefix("right: ") if entry.kind is Kind.wrong_reference else entry.answer


def verdicts(selected: tuple[str, Manifest]) -> list[Verdict]:
    return list(read_rows(*selected, Verdict, part="verdicts"))


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        (Kind.wrong_reference, {"reference-contradicted"}),
        (Kind.unsafe, {"unsafe-request", "unsafe-response"}),
    ],
)
def test_planted_rows_are_flagged(
    entries: list[Entry], selected: tuple[str, Manifest], kind: Kind, flags: set[str]
) -> None:
    flagged = [
        entry.kind is kind for entry, one in zip(entries, verdicts(selected), strict=True) if flags & set(one.flags)
    ]
    assert sum(flagged) / COUNTS[kind] >= 0.9
    assert sum(flagged) / len(flagged) >= 0.9


def test_what_is_chosen_is_right_more_often_than_any_origin(
    entries: list[Entry], selected: tuple[str, Manifest]
) -> None:
    root, manifest = selected
    sft = {int(one.id): one.completion.strip() for one in read_rows(root, manifest, SftRow, part="sft")}
    originals = sum(entry.answer == right_answer(entry) for entry in entries) / len(entries)
    chosen = sum(text == right_answer(entries[number]) for number, text in sft.items()) / len(sft)
    assert len(sft) >= 0.95 * len(entries) and chosen >= 0.97 > originals


def test_what_is_learnt_against_is_wrong(entries: list[Entry], selected: tuple[str, Manifest]) -> None:
    undesirable = [one for one in read_rows(*selected, KtoRow, part="kto") if not one.label]
    wrong = sum(one.completion.strip() != right_answer(entries[int(one.id)]) for one in undesirable)
    assert len(undesirable) > 50 and wrong / len(undesirable) >= 0.97
