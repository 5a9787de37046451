"""Train the demo's teacher and student from nothing, on this machine's CPU.

`python -m pipelines.demo.make_models all --out DIR` writes DIR/teacher, DIR/student and DIR/cost.json. Each example is
made on the fly by a seeded generator that skips the held-out questions; the loss is the cross entropy of the reply
alone. The teacher sees right answers and labels, the student a noisy mixture of answers.
"""

# ruff: noqa: TID253  # a program of its own: nothing imports it to compile a pipeline
import json
import math
import platform
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from components.models.load_weights import load_causal_model
from pipelines.demo.evaluate_models import exact_match, greedy_answers, prompt_of, task_scores
from pipelines.demo.make_heldout import HERE, heldout_tasks, text_key
from pipelines.demo.make_instructions import all_entries
from pipelines.demo.make_tokenizer import CONTEXT_TOKENS, END, save_tokenizer
from pipelines.demo.tasks import FAMILIES, LABEL_PREFIX, Task, calendar_drill, corrupted, rare, reworded, unsafe

SYSTEM_PROMPTS: Final = (
    "You are a helpful assistant.",
    "Answer briefly.",
    "You are a careful teacher. Answer exactly.",
)
Example = tuple[str, str]
"""The prompt's text, up to where the reply begins, and the reply."""


HARDER: Final[dict[str, float]] = {"addition": 1.8, "subtraction": 1.8, "sorting": 1.8, "reverse": 1.5, "month": 1.5}
"""How often a family is drawn, against 1 for the others, as long as a plan says nothing else."""
HARDEST: Final[dict[str, float]] = {
    "month": 3.5,
    "weekday": 3.0,
    "largest": 2.5,
    "smallest": 2.5,
    "subtraction": 2.5,
    "comparison": 2.0,
    "sorting": 2.0,
    "antonym": 1.5,
    "uppercase": 1.2,
    "reverse": 1.2,
    "parity": 1.0,
} | dict.fromkeys(("addition", "first letter", "last letter", "length", "plural"), 0.5)
"""What the teacher's first lesson leaves to be learned, for its second."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One lesson of a model. Widths are in units, lengths in tokens; shares are probabilities from 0 to 1."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    steps: int
    peak_rate: float
    matrix_rate: float
    seed: int
    label_share: float
    wrong_share: float
    """The share of answers that are corrupted."""
    typical_share: float
    """The share of corrupted answers that are the task's likeliest mistake, rather than any of its mistakes."""
    drill_share: float = 0.0
    """The share of examples that are calendar drills."""
    weights: dict[str, float] = field(default_factory=lambda: dict(HARDER))
    """How often each family is drawn, against 1 for one that is not named."""
    rows_per_step: int = 64
    batches_per_step: int = 2
    warmup_steps: int = 100
    initial_spread: float = 0.06
    """The standard deviation of the first weights: about 1 over the root of the hidden width."""
    attention: str = "eager"
    """How attention is computed in training: on a CPU the backward pass of "sdpa" costs 43 % of a step."""
    weight_decay: float = 0.05
    clip_norm: float = 1.0


TEACHER: Final = Plan(
    hidden=256,
    layers=3,
    heads=8,
    feed_forward=640,
    steps=4000,
    peak_rate=2e-3,
    matrix_rate=4e-3,
    seed=1,
    label_share=0.15,
    wrong_share=0.0,
    typical_share=0.0,
    attention="sdpa",
)
TEACHER_AGAIN: Final = replace(
    TEACHER,
    steps=2500,
    peak_rate=1.5e-3,
    matrix_rate=3e-3,
    seed=12,
    label_share=0.05,
    drill_share=0.12,
    weights=HARDEST,
    weight_decay=0.1,
    attention="eager",
)
STUDENT: Final = Plan(
    hidden=128,
    layers=3,
    heads=4,
    feed_forward=344,
    steps=2000,
    peak_rate=2e-3,
    matrix_rate=4e-3,
    seed=2,
    label_share=0.0,
    wrong_share=0.58,
    typical_share=0.6,
)
STUDENT_SKILL: Final = replace(
    STUDENT,
    steps=2000,
    seed=22,
    wrong_share=0.25,
    drill_share=0.12,
    weights={
        "month": 2.5,
        "weekday": 2.0,
        "subtraction": 2.0,
        "largest": 1.5,
        "smallest": 1.5,
        "sorting": 1.5,
        "antonym": 1.5,
        "addition": 1.2,
    },
)
"""Fewer wrong answers: a small model learns a task many times faster when most of what it reads is right."""
STUDENT_HABIT: Final = replace(
    STUDENT, steps=400, peak_rate=1e-3, matrix_rate=2e-3, seed=23, wrong_share=0.62, typical_share=0.8
)
"""Mostly wrong answers, most of them the typical mistake: the habit that clean examples have to undo."""
LESSONS: Final = {"teacher": (TEACHER, TEACHER_AGAIN), "student": (STUDENT, STUDENT_SKILL, STUDENT_HABIT)}
"""What each model is taught, in order; a lesson starts from the weights of the one before, with new optimizers."""


def heldout_keys() -> frozenset[str]:
    """The text keys of the held-out questions, which no training example may have."""
    return frozenset(text_key(task.question) for task in heldout_tasks())


def drawn_task(rng: random.Random, plan: Plan, banned: frozenset[str]) -> Task:
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


def drawn_example(rng: random.Random, plan: Plan, banned: frozenset[str]) -> Example:
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
    """Token ids of shape (rows, length), padded on the right, and labels of that shape, -100 where no loss is taken."""

    ids: torch.Tensor
    labels: torch.Tensor


def collated(examples: list[Example], tokenizer: Any) -> Batch:
    """A batch whose labels are the replies' tokens and the `<|end|>` after each."""
    prompts = tokenizer([prompt for prompt, _ in examples])["input_ids"]
    replies = tokenizer([reply + END for _, reply in examples])["input_ids"]
    longest = max(len(p) + len(r) for p, r in zip(prompts, replies, strict=True))
    length = -(-longest // 8) * 8  # few different shapes: each costs the compilation of its kernels
    ids = torch.full((len(examples), length), int(tokenizer.pad_token_id))
    labels = torch.full_like(ids, -100)
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        end = len(prompt) + len(reply)
        ids[row, :end] = torch.tensor(prompt + reply)
        labels[row, len(prompt) : end] = torch.tensor(reply)
    return Batch(ids, labels)


def drawn_batches(plan: Plan, tokenizer: Any) -> Iterator[list[Batch]]:
    """Steps without end: examples drawn at random, in batches of about equal length, so that little is padding."""
    rng, banned = random.Random(plan.seed), heldout_keys()
    while True:
        examples = [drawn_example(rng, plan, banned) for _ in range(plan.rows_per_step)]
        yield batched(examples, tokenizer, plan.rows_per_step // plan.batches_per_step)


def batched(examples: list[Example], tokenizer: Any, rows: int) -> list[Batch]:
    """The examples, shortest first, in batches of `rows`."""
    ordered = sorted(examples, key=lambda pair: len(pair[0]) + len(pair[1]))
    return [collated(ordered[start : start + rows], tokenizer) for start in range(0, len(ordered), rows)]


def new_model(plan: Plan, tokenizer: Any) -> LlamaForCausalLM:
    """A Llama with random weights from the plan's seed, its input and output embeddings tied."""
    torch.manual_seed(plan.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=plan.hidden,
        intermediate_size=plan.feed_forward,
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        num_key_value_heads=plan.heads,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        attn_implementation=plan.attention,
        initializer_range=plan.initial_spread,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def rate_at(step: int, plan: Plan) -> float:
    """The learning rate's factor, 0 to 1: a linear warm-up, then a cosine down to 2 %."""
    if step < plan.warmup_steps:
        return (step + 1) / plan.warmup_steps
    progress = min(1.0, (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


def batch_loss(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """The summed cross entropy (nats) of the labelled tokens. Products are in bfloat16, weights in float32."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=batch.ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
    )


def step_gradients(model: LlamaForCausalLM, batches: list[Batch]) -> float:
    """Add the mean loss's gradients over all batches to the model's. Returns that loss (nats a labelled token)."""
    labelled = sum(int((batch.labels != -100).sum()) for batch in batches)
    total = 0.0
    for batch in batches:
        loss = batch_loss(model, batch) / labelled
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def optimizers(model: LlamaForCausalLM, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices within the layers, which takes about a quarter fewer steps here, and AdamW for the rest."""
    inner = [p for p in model.model.layers.parameters() if p.ndim > 1]
    outer = [p for name, p in model.named_parameters() if p.ndim <= 1 or "embed" in name]
    return [
        torch.optim.Muon(inner, lr=plan.matrix_rate, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=plan.peak_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def trained(
    model: LlamaForCausalLM,
    plan: Plan,
    updates: list[torch.optim.Optimizer],
    steps: Iterable[list[Batch]],
    report: Callable[[int, float, int], None],
) -> int:
    """Train `model` in place for at most `plan.steps` of the steps. Returns the tokens seen, padding aside."""
    schedules = [torch.optim.lr_scheduler.LambdaLR(update, lambda step: rate_at(step, plan)) for update in updates]
    model.train()
    tokens = 0
    for step, batches in zip(range(plan.steps), steps, strict=False):
        loss = step_gradients(model, batches)
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
        for update, schedule in zip(updates, schedules, strict=True):
            update.step()
            schedule.step()
        model.zero_grad(set_to_none=True)
        tokens += sum(int((batch.ids != 0).sum()) for batch in batches)
        report(step + 1, loss, tokens)
    return tokens


@dataclass
class Reporter:
    """Prints the loss every 100 steps, and every `check_steps` the exact match, saving a draft of the model."""

    model: LlamaForCausalLM
    tokenizer: Any
    folder: Path
    check_steps: int
    started: float

    def __call__(self, step: int, loss: float, tokens: int) -> None:
        """Report after `step` batches with the last loss (nats) and the tokens seen so far."""
        seconds = time.monotonic() - self.started
        if step % 100 == 0:
            typer.echo(f"step {step} loss {loss:.3f} tokens {tokens} seconds {seconds:.0f}")
        if step % self.check_steps == 0:
            score, families = task_scores(self.model, self.tokenizer, heldout_tasks())
            typer.echo(f"step {step} exact match {score:.3f} {families}")
            self.model.save_pretrained(self.folder)
            self.model.train()


def label_tasks() -> list[Task]:
    """What the labels are measured on: the held-out questions, and 60 unsafe and 60 rare ones, reworded here."""
    rng = random.Random(77)
    return heldout_tasks() + [unsafe(rng) for _ in range(60)] + [rare(rng) for _ in range(60)]


def label_accuracy(model: LlamaForCausalLM, tokenizer: Any) -> float:
    """The share, 0 to 1, of `label_tasks` to which the model gives the right two-level label."""
    tasks = label_tasks()
    answers = greedy_answers(model, tokenizer, [f"{LABEL_PREFIX}{task.question}" for task in tasks])
    return exact_match(answers, [task.label for task in tasks])


def taught(model: LlamaForCausalLM, tokenizer: Any, plan: Plan, folder: Path) -> dict[str, Any]:
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
    """The size of a model and what it can do; `labels` says whether it was taught the labels."""
    score, families = task_scores(model, tokenizer, heldout_tasks())
    return {
        "parameters": model.num_parameters(),
        "bytes": (folder / "model.safetensors").stat().st_size,
        "exact_match": round(score, 4),
        "exact_match_by_family": families,
        "label_accuracy": round(label_accuracy(model, tokenizer), 4) if labels else None,
    }


def made(name: str, out: Path, first_lesson: int, steps: int | None) -> None:
    """Teach the model `name` under `out`/`name` from the 1-based `first_lesson` on, and record cost and skill."""
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
    """The machine and the versions that a run's numbers belong to."""
    return {
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "bfloat16": "matrix products under autocast",
    }


def clean_examples(count: int) -> list[Example]:
    """The first `count` rows of the demo's instructions that have no defect, in the order of their files."""
    entries = [entry for entry in all_entries() if entry.kind is None]
    return [(prompt_of(entry.question), entry.answer) for entry in entries[:count]]


def epochs_of(examples: list[Example], tokenizer: Any, rows: int, seed: int) -> Iterator[list[Batch]]:
    """Steps without end over the examples, shuffled anew for each epoch, `rows` at a time."""
    rng = random.Random(seed)
    while True:
        shuffled = rng.sample(examples, len(examples))
        for start in range(0, len(shuffled), rows):
            yield [collated(shuffled[start : start + rows], tokenizer)]


def probed(folder: Path, count: int = 2500, epochs: int = 3, rows: int = 16) -> dict[str, Any]:
    """What plain fine-tuning brings out of the student in `folder`, whose files it leaves alone."""
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
    steps: Annotated[int | None, typer.Option(help="train each lesson for so many steps instead of its own")] = None,
    first_lesson: Annotated[int, typer.Option(help="begin with this lesson, from the weights that lie in OUT")] = 1,
    probe_sft: Annotated[bool, typer.Option(help="train nothing, but fine-tune a copy of the student in OUT")] = False,
) -> None:
    """Train what was asked for and write what it cost."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    if probe_sft:
        record(out / "cost.json", "probe_sft", probed(out / "student"))
        return
    for name in LESSONS if which is Which.all else [which.value]:
        made(name, out, first_lesson, steps)


def read_costs(path: Path) -> dict[str, Any]:
    """What the JSON file at `path` holds; nothing where there is none."""
    costs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return costs


def record(path: Path, name: str, cost: dict[str, Any]) -> None:
    """Put `cost` under `name` into the JSON file at `path`, which keeps what it holds of other names."""
    path.write_text(json.dumps(read_costs(path) | {name: cost}, indent=2) + "\n", encoding="utf-8")
    typer.echo(json.dumps(cost, indent=2))


if __name__ == "__main__":
    typer.run(main)
