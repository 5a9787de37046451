"""A model that thinks, behind a server with a reasoning parser: answer and thought are read as those of the model.

The demo's teacher learns one thought by heart here, with tokens for its tags as such models have them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.vllm_cpu.server import VllmServer, running
from components.models.generators.transformers import TransformersSettings
from components.models.reference import package_folder
from tests.serving.teacher import TEACHER, ask, behind, request, teacher_server

QUESTION, THOUGHT, ANSWER = "Think first: 2 + 3", "Two and three make five.", "5"
STEPS = 80


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    source, folder = package_folder(TEACHER), tmp_path_factory.mktemp("thinker")
    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModelForCausalLM.from_pretrained(source)
    tokenizer.add_tokens(["<think>", "</think>"])
    model.resize_token_embeddings(len(tokenizer))
    prompt = f"<|user|>{QUESTION}<|end|><|assistant|>"
    ids = tokenizer(f"{prompt}<think>{THOUGHT}</think>{ANSWER}<|end|>", return_tensors="pt")["input_ids"]
    labels = ids.clone()
    labels[:, : len(tokenizer(prompt)["input_ids"])] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(STEPS):
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def server(
    vllm_programs: Path, thinker: Path, api_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VllmServer]:
    log = tmp_path_factory.mktemp("thinking") / "log"
    with running(teacher_server(log, api_key, "--reasoning-parser=deepseek_r1", model=thinker)) as started:
        yield started


def test_the_thought_is_kept_apart_from_the_answer(server: VllmServer, thinker: Path) -> None:
    (served,) = ask(behind(server), [request("1", QUESTION)], max_tokens=60).values()
    assert (served.text, served.reasoning, served.finish) == (ANSWER, THOUGHT, "stop")
    (local,) = ask(TransformersSettings(model=str(thinker)), [request("1", QUESTION)], max_tokens=60).values()
    assert served == local


def test_a_thought_that_max_tokens_ends_is_no_answer(server: VllmServer) -> None:
    (reply,) = ask(behind(server), [request("1", QUESTION)], max_tokens=12).values()
    assert reply.finish == "error"
    assert "only reasoning, truncated by max_tokens: raise max_tokens" in reply.text
    assert THOUGHT.startswith(reply.reasoning)
