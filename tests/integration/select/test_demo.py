"""The demo's models on its instructions: planted defects are detected, and the chosen responses are better."""

import random

import pytest
import torch

from components.models.generators.generator import ChatRequest, Sampling, open_generator
from components.models.generators.transformers import TransformersSettings
from components.select.select import select_responses
from components.select.settings import SelectSettings
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Answered, Check, KtoRow, Message, Response, SftRow, Verdict
from components.shared.settings import Settings
from components.shared.step import Product
from demo.plant_defects import Defect, DemoRow, all_rows
from demo.tasks.unsafe import REFUSAL

TEACHER, STUDENT = "package:demo/teacher", "package:demo/student"
COUNTS = {Defect.wrong_reference: 60, Defect.unsafe: 40, None: 240}


class NoSettings(Settings):
    pass


@pytest.fixture(scope="module")
def entries() -> list[DemoRow]:
    found, rng = all_rows(), random.Random(7)
    return [
        entry for kind, count in COUNTS.items() for entry in rng.sample([e for e in found if e.kind is kind], count)
    ]


@pytest.fixture(scope="module")
def selected(entries: list[DemoRow], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Manifest]:
    torch.set_num_threads(1)
    root = str(tmp_path_factory.mktemp("store"))
    answers = {model: answers_of(model, entries) for model in (TEACHER, STUDENT)}
    output = Output(Library(root), Product("synthesize", 1, Answered.content), NoSettings(), {})
    output.write_rows(
        "rows/00000", [row(n, entry, answers[TEACHER][n], answers[STUDENT][n]) for n, entry in enumerate(entries)]
    )
    settings = {
        "perplexity": {"scorer": "model", "model": STUDENT},
        "quality": {"scorer": "likelihood", "model": TEACHER},
    }
    return root, select_responses(Library(root), SelectSettings.model_validate(settings), output.finish())


def answers_of(model: str, entries: list[DemoRow]) -> list[str]:
    teacher = open_generator(TransformersSettings(model=model))
    requests = [
        ChatRequest(key=str(number), messages=(Message(role="user", content=entry.question),))
        for number, entry in enumerate(entries)
    ]
    replies = {int(reply.key): reply.text for reply in teacher.answer(requests, Sampling(max_tokens=40))}
    teacher.close()
    return [replies[number] for number in range(len(entries))]


def row(number: int, entry: DemoRow, teacher: str, student: str) -> Answered:
    return Answered(
        id=str(number), source=f"demo/{entry.source}", line=number + 1, instruction=entry.question,
        response=entry.answer, check=Check(kind="exact", answer=entry.answer), type="t", primary="p", secondary="s",
        responses=(
            Response(origin="original", text=entry.answer),
            Response(origin="teacher", text=teacher),
            Response(origin="student", text=student),
        ),
    )  # fmt: skip


def right_answer(entry: DemoRow) -> str:
    if entry.kind is Defect.unsafe:
        return REFUSAL
    return entry.note.removeprefix("right: ") if entry.kind is Defect.wrong_reference else entry.answer


def verdicts(selected: tuple[str, Manifest]) -> list[Verdict]:
    return list(Library(selected[0]).read_rows(selected[1], Verdict, part="verdicts"))


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        (Defect.wrong_reference, {"reference-contradicted"}),
        (Defect.unsafe, {"unsafe-request", "unsafe-response"}),
    ],
)
def test_planted_rows_are_flagged(
    entries: list[DemoRow], selected: tuple[str, Manifest], kind: Defect, flags: set[str]
) -> None:
    flagged = [
        entry.kind is kind for entry, one in zip(entries, verdicts(selected), strict=True) if flags & set(one.flags)
    ]
    assert sum(flagged) / COUNTS[kind] >= 0.9
    assert sum(flagged) / len(flagged) >= 0.9


def test_what_is_chosen_is_right_more_often_than_any_origin(
    entries: list[DemoRow], selected: tuple[str, Manifest]
) -> None:
    root, manifest = selected
    sft = {int(one.id): one.completion.strip() for one in Library(root).read_rows(manifest, SftRow, part="sft")}
    originals = sum(entry.answer == right_answer(entry) for entry in entries) / len(entries)
    chosen = sum(text == right_answer(entries[number]) for number, text in sft.items()) / len(sft)
    assert len(sft) >= 0.95 * len(entries) and chosen >= 0.97 > originals


def test_undesirable_responses_are_wrong(entries: list[DemoRow], selected: tuple[str, Manifest]) -> None:
    undesirable = [one for one in Library(selected[0]).read_rows(selected[1], KtoRow, part="kto") if not one.label]
    wrong = sum(one.completion.strip() != right_answer(entries[int(one.id)]) for one in undesirable)
    assert len(undesirable) > 50 and wrong / len(undesirable) >= 0.97
