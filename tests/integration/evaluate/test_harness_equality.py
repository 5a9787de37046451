"""What a model answers in an evaluation is what lm-evaluation-harness would get from it, question by question.

The oracle is the harness's own transformers model (HFLM) with the same conversations: greedy, in fp32, another batch.
An endpoint with the same model gives the same answers.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.evaluate.benchmarks.benchmark import Benchmark
from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.evaluation import Evaluation
from components.evaluate.questions import QuestionSet
from components.evaluate.settings import EvaluationSettings
from components.evaluate.step import EVALUATION
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Check, Question, Sample
from tests.transformers_server import transformers_server

HELDOUT = [json.loads(line) for line in Path("demo/heldout.jsonl").read_text().splitlines()]
SUBJECTS = ("law", "art")
PROBLEM = "A farmer has {} sheep and buys {} more. How many sheep does the farmer have now?"

STOPPED = Benchmark(
    name="stopped",
    metric="length",
    protocol="texts that end a reply",
    few_shot=0,
    max_tokens=40,
    prompt=lambda question: question.question,
    score=lambda _, reply: float(not reply),
    stop=("1", "ee", "\n\nQuestion:"),
    files="none",
)


def question(benchmark: str, number: int, text: str, **more: Any) -> Question:
    return Question(benchmark=benchmark, id=str(number), question=text, answer="A", **more)


def question_sets() -> dict[str, QuestionSet]:
    """Plain questions, five worked examples a subject, prompts beyond the context, and texts that end a reply."""
    check = Check(kind="exact", answer="A")
    plain = [question("checked", number, row["question"], check=check) for number, row in enumerate(HELDOUT[:24])]
    letters = {"choices": ("3", "4", "5", "6")}
    worked = {
        subject: tuple(question("mmlu", n, f"{subject} {n}?", subject=subject, **letters) for n in range(5))
        for subject in SUBJECTS
    }
    choices = [
        question("mmlu", number, f"What is {number} less than 9?", subject=SUBJECTS[number % 2], **letters)
        for number in range(8)
    ]
    # Eight worked examples are more bytes than the demo's models have positions.
    problems = [question("gsm8k", number, PROBLEM.format(number, number + 3)) for number in range(3)]
    stopped = [question("stopped", number, row["question"]) for number, row in enumerate(HELDOUT[24:40])]
    return {
        "checked": QuestionSet(tuple(plain), {}),
        "mmlu": QuestionSet(tuple(choices), worked),
        "gsm8k": QuestionSet(tuple(problems), {}),
        "stopped": QuestionSet(tuple(stopped), {}),
    }


WANTED: list[dict[str, Any]] = [
    {"name": "checked", "max_tokens": 40},
    {"name": "mmlu", "max_tokens": 8, "few_shot": 5},
    {"name": "gsm8k", "max_tokens": 24, "few_shot": 8},
    {"name": "stopped"},
]


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch) -> dict[str, QuestionSet]:
    monkeypatch.setitem(BENCHMARKS, "stopped", STOPPED)
    return question_sets()


def harness_answers(model: str, sets: dict[str, QuestionSet]) -> dict[str, list[str]]:
    """The replies of the harness, by benchmark, in the order of the questions."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    lm = HFLM(pretrained=AutoModelForCausalLM.from_pretrained(model), tokenizer=tokenizer, batch_size=3)
    return {name: _replies(lm, BENCHMARKS[name], questions) for name, questions in sets.items()}


def _replies(lm: HFLM, kind: Benchmark, questions: QuestionSet) -> list[str]:
    wanted = next(row for row in WANTED if row["name"] == kind.name)
    length = wanted.get("max_tokens", kind.max_tokens)
    options = {"until": list(kind.stop), "do_sample": False, "max_gen_toks": length}
    requests = []
    for asked in questions.asked:
        shots = kind.shots(asked.subject, questions.dev.get(asked.subject, ()))[: wanted.get("few_shot", kind.few_shot)]
        history = [
            turn
            for user, assistant in shots
            for turn in ({"role": "user", "content": user}, {"role": "assistant", "content": assistant})
        ]
        context = lm.apply_chat_template([*history, {"role": "user", "content": kind.prompt(asked)}])
        requests.append(Instance("generate_until", {}, (context, options), 0))
    return lm.generate_until(requests, disable_tqdm=True)


def evaluate(root: Path, folder: Path | None, sets: dict[str, QuestionSet], **generator: Any) -> Manifest:
    wanted = [row for row in WANTED if row["name"] in sets]
    settings = EvaluationSettings.model_validate({"benchmarks": wanted, "generator": generator})
    output = Output(Library(str(root)), EVALUATION, settings, {})
    return Evaluation(output, settings, "student", folder, sets).run()


def answers(root: Path, manifest: Manifest, benchmark: str) -> list[tuple[str, ...]]:
    return [row.outputs for row in Library(str(root)).read_rows(manifest, Sample, f"samples/{benchmark}")]


def test_answers_are_those_of_the_harness(tmp_path: Path, sets: dict[str, QuestionSet]) -> None:
    torch.set_num_threads(1)
    manifest = evaluate(tmp_path, Path("demo/student"), sets)
    wanted = harness_answers("demo/student", sets)
    for name in sets:
        assert answers(tmp_path, manifest, name) == [(text,) for text in wanted[name]], name
    assert manifest.counts["truncated_prompts"] == len(sets["gsm8k"].asked)
    assert len(set(wanted["stopped"])) > 1


def test_a_model_behind_an_endpoint_answers_like_its_files(tmp_path: Path, sets: dict[str, QuestionSet]) -> None:
    # A server does not truncate prompts, and this one is slow.
    few = {"checked": slice(0, 4), "mmlu": slice(0, 2), "stopped": slice(8, 12)}
    sets = {name: replace(sets[name], asked=sets[name].asked[part]) for name, part in few.items()}
    here = evaluate(tmp_path, Path("demo/student"), sets)
    with transformers_server(Path("demo/student").resolve(), tmp_path / "server") as url:
        served = {"model": str(Path("demo/student").resolve()), "endpoints": [url], "window": 2, "attempts": 12}
        there = evaluate(tmp_path, None, sets, backend="openai", **served)
    for name in sets:
        assert answers(tmp_path, there, name) == answers(tmp_path, here, name), name
    assert there.cost.tokens_in == here.cost.tokens_in
