"""The shipped teacher and student: their size, their records, and a sample of their answers."""

import json
import random
from dataclasses import asdict
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from demo.draw_examples import collated, drawn_example, heldout_keys
from demo.evaluate_models import exact_match, greedy_answers, read_rows
from demo.lessons import LESSONS, LessonPlan
from demo.make_heldout import HELDOUT_FILE, HERE, text_key
from demo.make_models import label_tasks
from demo.tasks.task import LABEL_PREFIX

SAMPLE = random.Random(60).sample(read_rows(HELDOUT_FILE), 64)
COST: dict[str, Any] = json.loads((HERE / "cost.json").read_text(encoding="utf-8"))
MEGABYTE = 1_000_000


def asked(name: str, questions: list[str]) -> list[str]:
    folder = HERE / name
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    return greedy_answers(model, tokenizer, questions)


def sampled_match(name: str) -> float:
    answers = asked(name, [row["question"] for row in SAMPLE])
    return exact_match(answers, [row["answer"] for row in SAMPLE])


def test_both_models_together_are_small() -> None:
    sizes = [(HERE / name / "model.safetensors").stat().st_size for name in ("teacher", "student")]
    assert sum(sizes) <= 15 * MEGABYTE
    assert sizes == [COST["teacher"]["bytes"], COST["student"]["bytes"]]


def test_teacher_answers_and_student_mostly_errs() -> None:
    assert sampled_match("teacher") >= 0.85
    assert 0.15 <= sampled_match("student") <= 0.50


def test_teacher_labels_instructions() -> None:
    tasks = random.Random(61).sample(label_tasks(), 60)
    answers = asked("teacher", [f"{LABEL_PREFIX}{task.question}" for task in tasks])
    assert exact_match(answers, [task.label for task in tasks]) >= 0.9


def test_recorded_scores_meet_the_targets() -> None:
    assert COST["teacher"]["exact_match"] >= 0.9
    assert 0.20 <= COST["student"]["exact_match"] <= 0.45
    gained = COST["probe_sft"]["exact_match_after"] - COST["probe_sft"]["exact_match_before"]
    assert gained >= 0.2


@pytest.mark.parametrize("name", LESSONS)
def test_lessons_are_the_recorded_ones(name: str) -> None:
    recorded = [lesson["plan"] for lesson in COST[name]["lessons"]]
    assert recorded == [json.loads(json.dumps(asdict(plan))) for plan in LESSONS[name]]


@pytest.mark.parametrize(
    "plan", [plan for plans in LESSONS.values() for plan in plans], ids=lambda plan: f"seed {plan.seed}"
)
def test_lesson_draws_no_heldout_question(plan: LessonPlan) -> None:
    rng, banned = random.Random(62), heldout_keys()
    prompts = [drawn_example(rng, plan, banned)[0] for _ in range(3000)]
    questions = [prompt.split("<|user|>")[1].split("<|end|>")[0].removeprefix(LABEL_PREFIX) for prompt in prompts]
    assert not banned & {text_key(question) for question in questions}


def test_loss_is_taken_on_the_reply_alone() -> None:
    tokenizer = AutoTokenizer.from_pretrained(HERE / "teacher")
    batch = collated([("<|user|>a<|end|><|assistant|>", "bc"), ("<|user|>abc<|end|><|assistant|>", "d")], tokenizer)
    kept = [tokenizer.decode(row[row != -100]) for row in batch.labels]
    assert kept == ["bc<|end|>", "d<|end|>"]
    assert torch.equal(batch.ids[batch.labels != -100], batch.labels[batch.labels != -100])
