"""Train the demo's teacher and student from random weights, on this machine's CPU.

`python -m demo.make_models all --out DIR` writes DIR/teacher, DIR/student and DIR/cost.json. The loss is the cross
entropy of the reply alone. The teacher sees right answers and labels, the student a noisy mixture of answers.
"""

# ruff: noqa: TID253  # a program of its own: nothing imports it to compile a pipeline
import json
import math
import platform
import random
import time
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from transformers import AutoTokenizer, LlamaForCausalLM

from components.models.stored.load_weights import load_causal_model
from demo.draw_examples import clean_examples, drawn_batches, epochs_of
from demo.evaluate_models import exact_match, greedy_answers, task_scores
from demo.lessons import LESSONS, STUDENT, LessonPlan
from demo.make_heldout import HERE, heldout_tasks
from demo.make_tokenizer import save_tokenizer
from demo.tasks.rare import rare
from demo.tasks.task import LABEL_PREFIX, DemoTask
from demo.tasks.unsafe import unsafe
from demo.train_model import new_model, optimizers, trained


@dataclass
class Reporter:
    """Prints the loss every 100 steps, and every `check_steps` the exact match; saves the model then."""

    model: LlamaForCausalLM
    tokenizer: Any
    folder: Path
    check_steps: int
    started: float

    def __call__(self, step: int, loss: float, tokens: int) -> None:
        """Report after `step` steps: the last loss (nats) and the number of tokens so far."""
        seconds = time.monotonic() - self.started
        if step % 100 == 0:
            typer.echo(f"step {step} loss {loss:.3f} tokens {tokens} seconds {seconds:.0f}")
        if step % self.check_steps == 0:
            score, families = task_scores(self.model, self.tokenizer, heldout_tasks())
            typer.echo(f"step {step} exact match {score:.3f} {families}")
            self.model.save_pretrained(self.folder)
            self.model.train()


def label_tasks() -> list[DemoTask]:
    """The tasks on which labels are measured: the held-out questions, and 60 unsafe and 60 rare ones."""
    rng = random.Random(77)
    return heldout_tasks() + [unsafe(rng) for _ in range(60)] + [rare(rng) for _ in range(60)]


def label_accuracy(model: LlamaForCausalLM, tokenizer: Any) -> float:
    """The share, 0 to 1, of `label_tasks` for which the model gives the right two-level label."""
    tasks = label_tasks()
    answers = greedy_answers(model, tokenizer, [f"{LABEL_PREFIX}{task.question}" for task in tasks])
    return exact_match(answers, [task.label for task in tasks])


def taught(model: LlamaForCausalLM, tokenizer: Any, plan: LessonPlan, folder: Path) -> dict[str, Any]:
    """Give the model one lesson, save it into `folder`, and return the lesson's plan, cost and exact match."""
    started = time.monotonic()
    model.set_attn_implementation(plan.attention)
    reporter = Reporter(model, tokenizer, folder, check_steps=500, started=started)
    tokens = trained(model, plan, optimizers(model, plan), drawn_batches(plan, tokenizer), reporter)
    seconds = time.monotonic() - started
    model.save_pretrained(folder)
    score, _ = task_scores(model, tokenizer, heldout_tasks())
    return {"plan": asdict(plan), "tokens": tokens, "seconds": round(seconds, 1), "exact_match": round(score, 4)} | {
        "machine": machine()
    }


def summary(model: LlamaForCausalLM, tokenizer: Any, folder: Path, labels: bool) -> dict[str, Any]:
    """The size and the scores of a model; `labels`: it was taught the labels."""
    score, families = task_scores(model, tokenizer, heldout_tasks())
    return {
        "parameters": model.num_parameters(),
        "bytes": (folder / "model.safetensors").stat().st_size,
        "exact_match": round(score, 4),
        "exact_match_by_family": families,
        "label_accuracy": round(label_accuracy(model, tokenizer), 4) if labels else None,
    }


def made(name: str, out: Path, first_lesson: int, steps: int | None) -> None:
    """Teach the model `name` under `out`/`name` from the 1-based `first_lesson` on, and record cost and scores."""
    folder, costs = out / name, read_costs(out / "cost.json")
    save_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plans = [plan if steps is None else replace(plan, steps=steps) for plan in LESSONS[name]]
    model = new_model(plans[0], tokenizer) if first_lesson == 1 else load_causal_model(folder, name)
    lessons = costs[name]["lessons"][: first_lesson - 1] if first_lesson > 1 else []
    for plan in plans[first_lesson - 1 :]:
        lessons.append(taught(model, tokenizer, plan, folder))
    save_tokenizer(folder)
    record(out / "cost.json", name, {"lessons": lessons} | summary(model, tokenizer, folder, name == "teacher"))


def machine() -> dict[str, Any]:
    """The machine and the versions of a run."""
    return {
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "bfloat16": "matrix products under autocast",
    }


def probed(folder: Path, count: int = 2500, epochs: int = 3, rows: int = 16) -> dict[str, Any]:
    """The effect of plain fine-tuning on a copy of the student in `folder`."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), load_causal_model(folder, str(folder))
    plan = replace(STUDENT, steps=epochs * math.ceil(count / rows), peak_rate=1e-3, warmup_steps=20)
    before, _ = task_scores(model, tokenizer, heldout_tasks())
    started = time.monotonic()
    updates: list[torch.optim.Optimizer] = [torch.optim.AdamW(model.parameters(), lr=plan.peak_rate, weight_decay=0.0)]
    trained(model, plan, updates, epochs_of(clean_examples(count), tokenizer, rows, seed=3), lambda *_: None)
    seconds = time.monotonic() - started
    after, families = task_scores(model, tokenizer, heldout_tasks())
    return {
        "rows": count,
        "epochs": epochs,
        "rows_per_step": rows,
        "peak_rate": plan.peak_rate,
        "seconds": round(seconds, 1),
        "exact_match_before": round(before, 4),
        "exact_match_after": round(after, 4),
        "exact_match_after_by_family": families,
    }


class Which(StrEnum):
    """Which model to make."""

    teacher = "teacher"
    student = "student"
    all = "all"


def main(
    which: Annotated[Which, typer.Argument(help="which model to make")] = Which.all,
    *,
    out: Annotated[Path, typer.Option(help="folder for teacher/, student/ and cost.json")] = HERE,
    threads: Annotated[int, typer.Option(help="threads that torch may use")] = 2,
    steps: Annotated[int | None, typer.Option(help="steps of each lesson, instead of its own number")] = None,
    first_lesson: Annotated[int, typer.Option(help="start with this lesson, from the weights in OUT")] = 1,
    probe_sft: Annotated[bool, typer.Option(help="train nothing, but fine-tune a copy of the student in OUT")] = False,
) -> None:
    """Train the models and record their cost."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    if probe_sft:
        record(out / "cost.json", "probe_sft", probed(out / "student"))
        return
    for name in LESSONS if which is Which.all else [which.value]:
        made(name, out, first_lesson, steps)


def read_costs(path: Path) -> dict[str, Any]:
    """The content of the JSON file at `path`; empty if it does not exist."""
    costs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return costs


def record(path: Path, name: str, cost: dict[str, Any]) -> None:
    """Set `name` in the JSON file at `path` to `cost`, and keep its other entries."""
    path.write_text(json.dumps(read_costs(path) | {name: cost}, indent=2) + "\n", encoding="utf-8")
    typer.echo(json.dumps(cost, indent=2))


if __name__ == "__main__":
    typer.run(main)
