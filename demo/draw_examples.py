"""Draw training examples with a seeded generator that skips the held-out questions, and batch them."""

# ruff: noqa: TID253  # a program of its own: nothing imports it to compile a pipeline
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch

from demo.evaluate_models import prompt_of
from demo.lessons import LessonPlan
from demo.make_heldout import heldout_tasks, text_key
from demo.make_tokenizer import END
from demo.plant_defects import all_rows
from demo.tasks.calendar import calendar_drill
from demo.tasks.families import FAMILIES
from demo.tasks.rare import rare
from demo.tasks.reword import reworded
from demo.tasks.task import LABEL_PREFIX, DemoTask, corrupted
from demo.tasks.unsafe import unsafe

SYSTEM_PROMPTS: Final = (
    "You are a helpful assistant.",
    "Answer briefly.",
    "You are a careful teacher. Answer exactly.",
)
TokenExample = tuple[str, str]
"""The prompt's text, up to where the reply begins, and the reply."""


def heldout_keys() -> frozenset[str]:
    """The text keys of the held-out questions, which are excluded from training."""
    return frozenset(text_key(task.question) for task in heldout_tasks())


def drawn_task(rng: random.Random, plan: LessonPlan, banned: frozenset[str]) -> DemoTask:
    """A task that is not banned: 4 % unsafe, 5 % rare, the plan's share of drills, else a family by its weight."""
    names = list(FAMILIES)
    weights = [plan.weights.get(name, 1.0) for name in names]
    while True:
        draw = rng.random()
        if draw < 0.04:
            return unsafe(rng)
        if draw < 0.09:
            return rare(rng)
        if draw < 0.09 + plan.drill_share:
            return calendar_drill(rng)
        task = FAMILIES[rng.choices(names, weights=weights)[0]](rng)
        if text_key(task.question) not in banned:
            return task


def drawn_example(rng: random.Random, plan: LessonPlan, banned: frozenset[str]) -> TokenExample:
    """One training example: a question as typed (15 % reworded, 5 % after a system message) and its reply."""
    task = drawn_task(rng, plan, banned)
    question = reworded(task.question, rng) if rng.random() < 0.15 else task.question
    reply = task.answer
    if rng.random() < plan.label_share:
        question, reply = f"{LABEL_PREFIX}{question}", task.label
    elif rng.random() < plan.wrong_share:
        reply = corrupted(task, rng, plan.typical_share)
    system = f"<|system|>{rng.choice(SYSTEM_PROMPTS)}{END}" if rng.random() < 0.05 else ""
    return f"{system}{prompt_of(question)}", reply


@dataclass(frozen=True)
class Batch:
    """Token ids of shape (rows, length), padded on the right, and labels of that shape, -100 where there is no loss."""

    ids: torch.Tensor
    labels: torch.Tensor


def collated(examples: list[TokenExample], tokenizer: Any) -> Batch:
    """A batch whose labels are the replies' tokens and the `<|end|>` after each."""
    prompts = tokenizer([prompt for prompt, _ in examples])["input_ids"]
    replies = tokenizer([reply + END for _, reply in examples])["input_ids"]
    longest = max(len(p) + len(r) for p, r in zip(prompts, replies, strict=True))
    length = -(-longest // 8) * 8  # multiples of 8 keep the number of shapes low: kernels are compiled for each
    ids = torch.full((len(examples), length), int(tokenizer.pad_token_id))
    labels = torch.full_like(ids, -100)
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        end = len(prompt) + len(reply)
        ids[row, :end] = torch.tensor(prompt + reply)
        labels[row, len(prompt) : end] = torch.tensor(reply)
    return Batch(ids, labels)


def drawn_batches(plan: LessonPlan, tokenizer: Any) -> Iterator[list[Batch]]:
    """An endless stream of steps: random examples, in batches of similar length to limit padding."""
    rng, banned = random.Random(plan.seed), heldout_keys()
    while True:
        examples = [drawn_example(rng, plan, banned) for _ in range(plan.rows_per_step)]
        yield batched(examples, tokenizer, plan.rows_per_step // plan.batches_per_step)


def batched(examples: list[TokenExample], tokenizer: Any, rows: int) -> list[Batch]:
    """The examples, shortest first, in batches of `rows`."""
    ordered = sorted(examples, key=lambda pair: len(pair[0]) + len(pair[1]))
    return [collated(ordered[start : start + rows], tokenizer) for start in range(0, len(ordered), rows)]


def clean_examples(count: int) -> list[TokenExample]:
    """The first `count` rows of the demo's instructions without a defect, in the order of their files."""
    entries = [entry for entry in all_rows() if entry.kind is None]
    return [(prompt_of(entry.question), entry.answer) for entry in entries[:count]]


def epochs_of(examples: list[TokenExample], tokenizer: Any, rows: int, seed: int) -> Iterator[list[Batch]]:
    """An endless stream of steps over the examples, shuffled for each epoch, `rows` at a time."""
    rng = random.Random(seed)
    while True:
        shuffled = rng.sample(examples, len(examples))
        for start in range(0, len(shuffled), rows):
            yield [collated(shuffled[start : start + rows], tokenizer)]
