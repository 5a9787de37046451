"""How fast the model generates, reads and learns here, and what a run of the recipe takes at these rates.

Times are processor seconds of one thread, so that other work on the machine hardly changes them; only what a server
generates is by the clock.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.vllm_cpu.server import VllmServer
from components.models.generators.generator import ChatRequest, Generator, GeneratorSettings, Sampling, open_generator
from components.models.generators.local_model import Precision
from components.models.generators.openai.settings import OpenAISettings
from components.models.generators.transformers import TransformersSettings
from components.shared.rows import Message

PROMPTS, NEW_TOKENS = 64, 32
TRAINED_ROWS, TRAINED_LENGTH = 4, 160
READ_ROWS, READ_LENGTH = 8, 256
PROMPT_TOKENS, TASK_TOKENS, GSM8K_TOKENS, ANSWER_TOKENS = 130, 8, 120, 60
"""Typical lengths in the recipe's data, in tokens: a prompt; answers to a task, to GSM8K, and over both."""

SCALED = ("rows", "questions", "gsm8k_questions")
"""The sizes to which a run's time is proportional."""

MODELS = 7
"""The base, three trained variants and three merges."""

THREADS = 2
"""Of each step, as many as the recipe gives a training."""

USED_SHARE = 0.85
"""Share of the time allowed that the computed steps may take: start-ups and the smaller steps are not computed."""


def measure_rates(folder: Path, data: Path, precision: Precision) -> dict[str, float]:
    """Tokens for each processor second: generated (sampled, beyond the prompts), read, and learnt."""
    import torch

    torch.set_num_threads(1)
    settings = TransformersSettings(model=str(folder), batch=PROMPTS, precision=precision)
    generator = settings.open()
    read, learnt = _read(generator.model), _learn(generator.model)
    began = time.process_time()
    prompts, answers = _sample(generator, data)
    seconds = time.process_time() - began
    return {"generated": answers / (seconds - prompts / read), "read": read, "learnt": learnt}


def measure_served(server: VllmServer, name: str, window: int, data: Path) -> float:
    """Tokens that the server generates in a second by the clock, with all its threads; prompts included."""
    settings: GeneratorSettings = OpenAISettings(model=name, endpoints=(server.url,), window=window)
    generator = open_generator(settings)
    try:
        _sample(generator, data, tag="warm")
        began = time.monotonic()
        _, answers = _sample(generator, data)
        return answers / (time.monotonic() - began)
    finally:
        generator.close()


def _sample(generator: Generator, data: Path, tag: str = "") -> tuple[int, int]:
    """Ask questions of GSM8K; returns the tokens of prompts and of answers."""
    with (data / "instructions" / "gsm8k_train.jsonl").open(encoding="utf-8") as file:
        questions = [json.loads(next(file))["question"] for _ in range(PROMPTS)]
    requests = [
        ChatRequest(key=f"{tag}{number}", messages=(Message(role="user", content=question),))
        for number, question in enumerate(questions)
    ]
    replies = list(generator.answer(requests, Sampling(temperature=0.8, max_tokens=NEW_TOKENS)))
    return sum(reply.tokens_in for reply in replies), sum(reply.tokens_out for reply in replies)


def _read(model: Any) -> float:
    """Tokens read for each processor second, in one forward pass after one that warms up."""
    import torch

    ids = torch.randint(5, 40_000, (READ_ROWS, READ_LENGTH), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        model(ids)
        began = time.process_time()
        model(ids)
    return float(ids.numel() / (time.process_time() - began))


def _learn(model: Any) -> float:
    """Tokens learnt for each processor second, in one forward and backward pass after one that warms up."""
    import torch

    ids = torch.randint(5, 40_000, (TRAINED_ROWS, TRAINED_LENGTH), generator=torch.Generator().manual_seed(0))
    model.train()
    model(input_ids=ids, labels=ids).loss.backward()
    began = time.process_time()
    model(input_ids=ids, labels=ids).loss.backward()
    seconds = time.process_time() - began
    model.zero_grad()
    model.eval()
    return float(ids.numel() / seconds)


def seconds_of_run(rates: Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float]:
    """Seconds of each step by the clock, at these rates and with as many threads as the recipe gives its steps.

    Args:
        rates: as `measure_rates` gives them, and `served`, of `measure_served`.
        sizes: the recipe's variables `rows`, `samples`, `epochs`, `questions` and `gsm8k_questions`.
    """
    rows, answers = sizes["rows"], sizes["samples"] + 1
    row_tokens = PROMPT_TOKENS + ANSWER_TOKENS
    sft = sizes["epochs"] * rows * row_tokens / rates["learnt"]
    # A pair for each row at most. Read besides: the pairs by the reference, and mismatched responses by both models.
    pairs, mismatched = 2 * rows * row_tokens, 2 * rows * ANSWER_TOKENS
    kto = pairs / rates["learnt"] + (pairs + 2 * mismatched) / rates["read"]
    short = 2 * sizes["questions"] * (PROMPT_TOKENS / rates["read"] + TASK_TOKENS / rates["generated"])
    long = sizes["gsm8k_questions"] * (PROMPT_TOKENS / rates["read"] + GSM8K_TOKENS / rates["generated"])
    alone = {
        # The answers to a row share its prompt, which is read once.
        "select": rows * (PROMPT_TOKENS + (answers + 1) * ANSWER_TOKENS) / rates["read"],
        "train sft": sft,
        "train kto": kto,
        "train sft-kto": kto,
        "evaluate": MODELS * (short + long),
    }
    served = {"synthesize": rows * answers * ANSWER_TOKENS / rates["served"]}
    return served | {name: seconds / THREADS for name, seconds in alone.items()}


def sizes_within(rates: Mapping[str, float], sizes: Mapping[str, int], seconds: float) -> dict[str, int]:
    """The sizes, with rows and questions scaled down together until a run takes at most these seconds."""
    share = min(1.0, USED_SHARE * seconds / sum(seconds_of_run(rates, sizes).values()))
    return {name: int(size * share) if name in SCALED else size for name, size in sizes.items()}
