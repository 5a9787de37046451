"""The backend `openai` against a real vLLM server: the same answers as the model itself, samples, refusals, keys."""

import pytest

from benchmarks.vllm_cpu.server import VllmServer
from components.models.generators.generator import Sampling, open_generator
from components.shared.errors import GenerationError
from tests.serving.teacher import CONTEXT_TOKENS, KEY_VARIABLE, LOCAL, ask, behind, request, requests


def test_greedy_answers_are_those_of_the_model_itself(served: VllmServer) -> None:
    asked = requests(100)
    assert ask(behind(served), asked) == ask(LOCAL, asked)


def test_samples_depend_on_the_seed_and_the_key_alone(served: VllmServer) -> None:
    asked = [request(f"{number}", "Give the plural: fox") for number in range(24)]
    hot = {"temperature": 2.0, "max_tokens": 12}
    first = ask(behind(served), asked, seed=1, **hot)
    again = ask(behind(served, window=2), asked[::-1], seed=1, **hot)
    other = ask(behind(served), asked, seed=2, **hot)
    assert first == again
    assert first != other
    assert len({reply.text for reply in first.values()}) > 3


def test_a_small_nucleus_leaves_only_the_likeliest_tokens(served: VllmServer) -> None:
    asked = requests(20)
    nucleus = ask(behind(served), asked, temperature=1.0, top_p=1e-6)
    assert nucleus == ask(behind(served), asked)


def test_an_answer_that_max_tokens_ends_is_truncated(served: VllmServer) -> None:
    (reply,) = ask(behind(served), [request("1", "Write in capitals: garden")], max_tokens=3).values()
    assert (reply.text, reply.finish, reply.tokens_out) == ("GAR", "length", 3)


def test_a_prompt_that_is_too_long_fails_alone_with_the_servers_reason(served: VllmServer) -> None:
    asked = [*requests(10), request("long", "long " * CONTEXT_TOKENS)]
    replies = ask(behind(served), asked)
    assert replies["long"].finish == "error"
    assert f"answers 400: This model's maximum context length is {CONTEXT_TOKENS}" in replies["long"].text
    assert [key for key, reply in replies.items() if reply.finish == "error"] == ["long"]


def test_a_model_that_the_server_does_not_serve_ends_the_run(served: VllmServer) -> None:
    with pytest.raises(GenerationError, match="404: The model `another` does not exist") as caught:
        ask(behind(served, model="another"), requests(3))
    assert "check the model's name" in caught.value.remedy


@pytest.mark.parametrize("key", ["sk-wrong", ""])
def test_a_wrong_or_missing_key_is_refused_before_anything_is_asked(
    served: VllmServer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(GenerationError, match="answers 401") as caught:
        open_generator(behind(served, api_key_variable=KEY_VARIABLE if key else ""))
    named = f"set {KEY_VARIABLE} to a valid key" if key else "name the key's environment variable in api_key_variable"
    assert caught.value.remedy == named


def test_doctor_is_content_with_it(served: VllmServer) -> None:
    assert behind(served).try_out(Sampling(max_tokens=8)) == "answers"
