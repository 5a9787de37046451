"""Real instructions and benchmarks: coverage of the types, and no overlap of texts that are only similar."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.curate.overlap.overlap_index import OverlapIndex
from components.curate.overlap.settings import OverlapSettings
from components.curate.settings import CurateSettings
from components.curate.types.instruction_types import load_types
from components.shared.rows import Question
from components.shared.text.words import tokenise

VARIABLE = "TUTELAGE_TEST_DATA"
EVERY = 5  # every fifth row keeps the test short


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"needs {VARIABLE}, a folder with instructions/ and eval/")
    return Path(folder)


def instructions(data: Path) -> Iterator[tuple[str, str]]:
    folder = data / "instructions"
    for line in (folder / "gsm8k_train.jsonl").read_text().split("\n")[:-1][::EVERY]:
        yield "gsm8k", json.loads(line)["question"]
    for line in (folder / "t0_tasks.jsonl").read_text().split("\n")[:-1][::EVERY]:
        yield "t0", json.loads(line)["prompt"]
    for row in json.loads((folder / "gpteacher_roleplay.json").read_text())[::EVERY]:
        yield "roleplay", f"{row['instruction']}\n{row['input']}"
    for line in (folder / "self_instruct_seed_tasks.jsonl").read_text().split("\n")[:-1]:
        row = json.loads(line)
        yield "seed", f"{row['instruction']}\n{row['instances'][0]['input']}"


def test_few_real_instructions_have_no_type(data: Path) -> None:
    rules = load_types("", CurateSettings(labeller="rules").type_characters)
    types: dict[str, list[str]] = {}
    for source, text in instructions(data):
        types.setdefault(source, []).append(rules.rules[rules.classify(text)].name)
    other = {source: found.count("other") / len(found) for source, found in types.items()}
    print(f"share of type other: {other}")
    assert max(other.values()) <= 0.05
    assert types["gsm8k"].count("maths word problem") / len(types["gsm8k"]) >= 0.85
    assert types["roleplay"].count("role play") / len(types["roleplay"]) >= 0.9
    assert len(set(types["t0"])) >= 20


def test_training_questions_of_gsm8k_do_not_overlap_its_test_questions(data: Path) -> None:
    lines = (data / "eval" / "gsm8k_test.jsonl").read_text().split("\n")[:-1]
    questions = [
        Question(benchmark="gsm8k", id=str(number), question=json.loads(line)["question"], answer="")
        for number, line in enumerate(lines)
    ]
    index = OverlapIndex(questions, OverlapSettings(overlap_minimum_tokens=4))
    training = [text for source, text in instructions(data) if source == "gsm8k"]
    copies = [f"Solve this, please: {question.question.upper()}" for question in questions]
    found = index.search([(tokenise(text), []) for text in [*training, *copies]])
    wrong = sum(row < len(training) for row in found)
    assert wrong / len(training) <= 0.005
    assert len(found) - wrong == len(copies)


STEMS = (
    "i want to test the ability of students to read a passage",
    "determine if the following two sentences paraphrase each other",
    "read the passage below and choose the right answer",
    "extract the answer to the following question from the movie plot if",
    "would you recommend the following article to a politician",
    "condense the article down to the essentials",
    "given the options below select the most suitable answer",
)


def test_shared_templates_do_not_overlap(data: Path) -> None:
    lines = (data / "instructions" / "t0_tasks.jsonl").read_text().split("\n")[:800]
    rows = [json.loads(line) for line in lines]
    training, heldout = rows[:600], [row["prompt"] for row in rows[600:]]
    questions = [
        Question(benchmark="t0", id=str(number), question=text, answer="") for number, text in enumerate(heldout)
    ]
    index = OverlapIndex(questions, OverlapSettings())
    found = index.search([(tokenise(row["prompt"]), tokenise(row["response"])) for row in training])
    print(f"{len(found)} of {len(training)} rows of the same templates overlap")
    # What is left shares a passage of its own with a held-out row: templates are filled from the same articles.
    assert len(found) / len(training) <= 0.12
    stems = [overlap.passage for overlap in found.values() if overlap.passage.startswith(STEMS)]
    assert all(len(passage.split()) > 40 for passage in stems)
    edited = [" ".join(word for place, word in enumerate(text.split()) if place % 20 != 19) for text in heldout]
    leaks = index.search([(tokenise(f"Please: {text.upper()}"), []) for text in [*heldout, *edited]])
    assert len(leaks) >= 0.99 * 2 * len(heldout)
