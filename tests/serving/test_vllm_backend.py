"""The backend `vllm` on a real vLLM, in a process of its environment: the same answers as the model itself."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.vllm_cpu.environment import python_variables
from benchmarks.vllm_cpu.server import cpu_variables
from components.models.generators.generator import ChatRequest, Reply
from tests.serving.teacher import CONTEXT_TOKENS, LOCAL, TEACHER, ask, request, requests

SECONDS = 420.0
GREEDY = {"max_tokens": 40}
HOT = {"max_tokens": 12, "temperature": 2.0}
QUESTIONS = requests(100)
SAMPLED = [request(f"{number}", "Give the plural: fox") for number in range(12)]
LONG = [request("long", "long " * CONTEXT_TOKENS), request("short", "Give the plural: fox")]
ROUNDS: dict[str, tuple[list[ChatRequest], dict[str, Any]]] = {
    "greedy": (QUESTIONS, GREEDY),
    "stop": (QUESTIONS, {**GREEDY, "stop": ["e", "4"]}),
    "sampled": (SAMPLED, {**HOT, "seed": 1}),
    "sampled in another order": (SAMPLED[::-1], {**HOT, "seed": 1}),
    "another seed": (SAMPLED, {**HOT, "seed": 2}),
    "too long": (LONG, GREEDY),
}

Replies = dict[str, dict[str, Reply]]


@pytest.fixture(scope="module")
def answered(vllm_programs: Path) -> tuple[Replies, dict[str, Any]]:
    """The replies of each round by key, and the usage at the end: one engine answers all."""
    settings = {"model": TEACHER, "precision": "float32", "max_model_len": CONTEXT_TOKENS}
    asked = [
        {"requests": [one.model_dump() for one in asked], "sampling": sampling} for asked, sampling in ROUNDS.values()
    ]
    command = [str(vllm_programs / "python"), "-m", "tests.serving.answer_in_vllm"]
    done = subprocess.run(
        [*command, json.dumps(settings), json.dumps(asked)],
        env={**python_variables(), **cpu_variables()}, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"rounds"')))
    replies = [[Reply.model_validate(reply) for reply in part] for part in found["rounds"]]
    named = {name: {one.key: one for one in part} for name, part in zip(ROUNDS, replies, strict=True)}
    return named, found["usage"]


@pytest.mark.parametrize("name", ["greedy", "stop"])
def test_answers_are_those_of_the_model_itself(answered: tuple[Replies, Any], name: str) -> None:
    asked, sampling = ROUNDS[name]
    assert answered[0][name] == ask(LOCAL, asked, **sampling)


def test_samples_depend_on_the_seed_and_the_key_alone(answered: tuple[Replies, Any]) -> None:
    replies = answered[0]
    assert replies["sampled"] == replies["sampled in another order"]
    assert replies["sampled"] != replies["another seed"]
    assert len({reply.text for reply in replies["sampled"].values()}) > 2


def test_a_prompt_that_is_too_long_is_truncated_and_counted(answered: tuple[Replies, Any]) -> None:
    replies, usage = answered
    assert replies["too long"]["long"].tokens_in == CONTEXT_TOKENS - GREEDY["max_tokens"]
    assert replies["too long"]["short"].text == "foxes"
    assert usage["truncated"] == 1
    assert usage["errors"] == 0
    assert usage["requests"] == sum(len(asked) for asked, _ in ROUNDS.values())
