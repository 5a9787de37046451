"""Ask a model the demo's questions and count exact matches.

`python -m demo.evaluate_models MODEL_FOLDER` prints the exact match on the held-out questions, overall and by family.
"""

# ruff: noqa: TID253  # a program of its own: nothing imports it to compile a pipeline
import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from transformers import AutoTokenizer

from components.models.stored.load_weights import load_causal_model
from demo.make_heldout import HELDOUT_FILE
from demo.tasks.task import DemoTask

BATCH_ROWS = 125
ANSWER_TOKENS = 32


def prompt_of(question: str) -> str:
    """The prompt that the chat template makes of one user message."""
    return f"<|user|>{question}<|end|><|assistant|>"


def greedy_answers(model: Any, tokenizer: Any, questions: list[str], longest: int = ANSWER_TOKENS) -> list[str]:
    """One greedy answer of at most `longest` bytes for each question, in the order of the questions."""
    order = sorted(range(len(questions)), key=lambda index: len(questions[index]))
    answers = [""] * len(questions)
    model.eval()
    for start in range(0, len(order), BATCH_ROWS):
        chosen = order[start : start + BATCH_ROWS]
        found = _answer_batch(model, tokenizer, [questions[i] for i in chosen], longest)
        for index, answer in zip(chosen, found, strict=True):
            answers[index] = answer
    return answers


@torch.inference_mode()
def _answer_batch(model: Any, tokenizer: Any, questions: list[str], longest: int) -> list[str]:
    batch = tokenizer([prompt_of(question) for question in questions], return_tensors="pt", padding=True)
    output = model.generate(**batch, max_new_tokens=longest, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    new = output[:, batch["input_ids"].shape[1] :]
    return [str(text) for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


def exact_match(answers: list[str], wanted: list[str]) -> float:
    """The share, 0 to 1, of answers that equal the expected ones after stripping."""
    hits = sum(answer.strip() == want for answer, want in zip(answers, wanted, strict=True))
    return hits / len(wanted)


def family_scores(families: list[str], answers: list[str], wanted: list[str]) -> dict[str, float]:
    """The exact match, 0 to 1, of each family, rounded to three digits."""
    grouped = defaultdict[str, list[tuple[str, str]]](list)
    for family, answer, want in zip(families, answers, wanted, strict=True):
        grouped[family].append((answer, want))
    return {
        family: round(exact_match([answer for answer, _ in pairs], [want for _, want in pairs]), 3)
        for family, pairs in grouped.items()
    }


def task_scores(model: Any, tokenizer: Any, tasks: list[DemoTask]) -> tuple[float, dict[str, float]]:
    """The exact match over all tasks, 0 to 1, and that of each family."""
    wanted = [task.answer for task in tasks]
    answers = greedy_answers(model, tokenizer, [task.question for task in tasks])
    return exact_match(answers, wanted), family_scores([task.family for task in tasks], answers, wanted)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main(
    folder: Annotated[Path, typer.Argument(help="a model's folder, as `save_pretrained` writes it")],
    questions: Annotated[Path, typer.Option(help="JSON lines with subject, question and answer")] = HELDOUT_FILE,
) -> None:
    """Print the exact match of the model on the questions."""
    rows = read_rows(questions)
    model, tokenizer = load_causal_model(folder, str(folder)), AutoTokenizer.from_pretrained(folder)
    answers = greedy_answers(model, tokenizer, [row["question"] for row in rows])
    wanted = [row["answer"] for row in rows]
    for family, score in family_scores([row["subject"] for row in rows], answers, wanted).items():
        typer.echo(f"{family:16s} {score:6.1%}")
    typer.echo(f"{'all':16s} {exact_match(answers, wanted):6.1%}  of {len(rows)}")


if __name__ == "__main__":
    typer.run(main)
