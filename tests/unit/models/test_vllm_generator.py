"""The vllm backend as far as it can be tested where vLLM does not run.

vLLM needs a GPU, so the engine is a stand-in here: these tests show what is asked of it and how its outputs are read,
by the shape of vLLM's `RequestOutput`; they do not show that vLLM answers.
"""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.models.generators.generator import ChatRequest, Sampling, open_generator
from components.models.generators.prompts import PromptMaker, load_tokenizer
from components.models.generators.vllm import VllmGenerator, VllmSettings
from components.shared.errors import SettingsError
from components.shared.rows import Message


class StandIn:
    """Answers like `vllm.LLM.generate`: outputs in the order of the inputs."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Any], list[Any]]] = []

    def generate(self, inputs: list[Any], options: list[Any], use_tqdm: bool) -> list[Any]:
        self.calls.append((inputs, options))
        reasons = ["stop", "length"]
        return [
            SimpleNamespace(
                outputs=[SimpleNamespace(text=f"t{n}", token_ids=[1] * (n + 1), finish_reason=reasons[n % 2])]
            )
            for n in range(len(inputs))
        ]


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_error_says_what_to_do(model_folder: Path) -> None:
    with pytest.raises(SettingsError, match="needs vLLM") as caught:
        open_generator(VllmSettings(model=str(model_folder)))
    assert "openai" in caught.value.remedy


def test_prompts_go_in_as_tokens_and_outputs_come_back_as_replies(model_folder: Path) -> None:
    tokenizer = load_tokenizer(model_folder, "m")
    engine = StandIn()
    teacher = VllmGenerator(engine, lambda **options: options, PromptMaker(tokenizer, 64, "m"), slots=8)
    asked = [
        ChatRequest(key="a", messages=(Message(role="user", content="hi"),)),
        ChatRequest(key="b", messages=(Message(role="user", content="x" * 100),)),
    ]
    sampling = Sampling(max_tokens=16, temperature=0.7, top_p=0.9, seed=5)
    first, second = teacher.answer(asked, sampling)
    assert (first.key, first.text, first.tokens_out, first.finish) == ("a", "t0", 1, "stop")
    assert (second.key, second.tokens_in, second.finish) == ("b", 48, "length")
    ((inputs, options),) = engine.calls
    assert inputs[0]["prompt_token_ids"] == tokenizer("<|user|>hi<|end|><|assistant|>")["input_ids"]
    asked_of_engine = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 16, "seed": 0, "skip_special_tokens": False}
    assert options[0] | {"seed": 0} == asked_of_engine
    assert (teacher.usage().requests, teacher.usage().tokens_out, teacher.usage().truncated) == (2, 3, 1)
    assert options[0]["seed"] != options[1]["seed"]
    list(teacher.answer(asked, Sampling(max_tokens=16, stop=("\nQ:",))))
    assert engine.calls[-1][1][0]["stop"] == ["\nQ:"]


@pytest.mark.parametrize(
    ("written", "answer", "reasoning", "finish"),
    [
        (("<think>It is Paris.</think>Paris.", "stop"), "Paris.", "It is Paris.", "stop"),
        (("<think>It is", "length"), "only reasoning, truncated by max_tokens", "It is", "error"),
        (("Paris.<|im_end|>\n<|im_start|>user\nAnd Rome?", "length"), "Paris.", "", "stop"),
        (("Par", "abort"), "'abort'", "", "error"),
        (("Paris is the ca", "length"), "Paris is the ca", "", "length"),
    ],
)
def test_what_the_engine_writes_is_read_as_every_backend_reads_it(
    model_folder: Path, written: tuple[str, str], answer: str, reasoning: str, finish: str
) -> None:
    text, reason = written
    output = SimpleNamespace(outputs=[SimpleNamespace(text=text, token_ids=[1, 2, 3], finish_reason=reason)])
    engine = SimpleNamespace(generate=lambda *_, **__: [output])
    prompts = PromptMaker(load_tokenizer(model_folder, "m"), 64, "m")
    teacher = VllmGenerator(engine, lambda **options: options, prompts, slots=8)
    asked = ChatRequest(key="a", messages=(Message(role="user", content="hi"),))
    (reply,) = teacher.answer([asked], Sampling(max_tokens=16))
    assert answer in reply.text
    assert (reply.reasoning, reply.finish) == (reasoning, finish)
