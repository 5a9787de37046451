"""Train the teacher and the student of the graded world from the demo's student, on this machine's CPU.

`python -m demo.graded.make_models all --out DIR` writes DIR/teacher, DIR/student and DIR/cost.json. The weights are
saved after each lesson: `--first-lesson 2` goes on from there.
"""

# ruff: noqa: TID253  # a program of its own: nothing imports it to compile a pipeline
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from transformers import AutoTokenizer, LlamaForCausalLM

from components.models.stored.load_weights import load_causal_model
from demo.graded.draw_examples import drawn_batches
from demo.graded.evaluate_models import problem_scores
from demo.graded.lessons import LESSONS, GradedLesson
from demo.graded.make_problems import graded_problems
from demo.make_models import Which, machine, read_costs, record
from demo.make_tokenizer import save_tokenizer
from demo.train_model import optimizers, trained

HERE: Final = Path(__file__).parent
DEMO_STUDENT: Final = HERE.parent / "student"
"""Where the first lessons begin: it knows digits, letters, and sums of two numbers."""


def taught(model: LlamaForCausalLM, tokenizer: Any, lesson: GradedLesson, folder: Path) -> dict[str, Any]:
    """Give the model one lesson, save it into `folder`, and return the lesson's plan, cost and scores."""
    started = time.monotonic()
    model.set_attn_implementation(lesson.plan.attention)

    def report(step: int, loss: float, tokens: int) -> None:
        if step % 50 == 0:
            seconds = time.monotonic() - started
            typer.echo(f"step {step} loss {loss:.3f} tokens {tokens} seconds {seconds:.0f}")

    tokens = trained(model, lesson.plan, optimizers(model, lesson.plan), drawn_batches(lesson, tokenizer), report)
    seconds = time.monotonic() - started
    model.save_pretrained(folder)
    scores = problem_scores(model, tokenizer, graded_problems()["heldout"])
    return asdict(lesson) | {"tokens": tokens, "seconds": round(seconds, 1), "right": scores, "machine": machine()}


def made(name: str, out: Path, lesson_range: tuple[int, int | None], steps: int | None) -> None:
    """Give a model the lessons of a range, counted from 1, under `out`/`name`, and record cost and scores."""
    first_lesson, last_lesson = lesson_range
    folder, costs = out / name, read_costs(out / "cost.json")
    save_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plans = [lesson.plan if steps is None else replace(lesson.plan, steps=steps) for lesson in LESSONS[name]]
    model = load_causal_model(DEMO_STUDENT if first_lesson == 1 else folder, name)
    lessons = costs[name]["lessons"][: first_lesson - 1] if first_lesson > 1 else []
    for lesson, plan in list(zip(LESSONS[name], plans, strict=True))[first_lesson - 1 : last_lesson]:
        lessons.append(taught(model, tokenizer, replace(lesson, plan=plan), folder))
        size = (folder / "model.safetensors").stat().st_size
        record(out / "cost.json", name, {"lessons": lessons, "parameters": model.num_parameters(), "bytes": size})


def main(
    which: Annotated[Which, typer.Argument(help="which model to make")] = Which.all,
    *,
    out: Annotated[Path, typer.Option(help="folder for teacher/, student/ and cost.json")] = HERE,
    threads: Annotated[int, typer.Option(help="threads that torch may use")] = 1,
    steps: Annotated[int | None, typer.Option(help="steps of each lesson, instead of its own number")] = None,
    first_lesson: Annotated[int, typer.Option(help="start with this lesson, from the weights in OUT")] = 1,
    last_lesson: Annotated[int | None, typer.Option(help="end with this lesson")] = None,
) -> None:
    """Train the models and record their cost."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    for name in LESSONS if which is Which.all else [which.value]:
        made(name, out, (first_lesson, last_lesson), steps)


if __name__ == "__main__":
    typer.run(main)
