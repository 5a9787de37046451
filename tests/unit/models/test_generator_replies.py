"""What many servers answer to a request, over a real connection: kept, truncated, or failed with its reason.

A row is a body with its status and headers, and the expected reply. Shapes are those of vLLM, SGLang, TGI, llama.cpp,
Ollama, DeepSeek, Azure, Gemini's OpenAI-compatible API, OpenRouter, Mistral and Cohere.
"""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from components.models.generators.generator import ChatRequest, Reply, Sampling, Usage
from components.models.generators.openai.generator import ChatCompletions, OpenAIGenerator
from components.models.generators.openai.settings import OpenAISettings
from components.models.service.service import HttpResponse
from components.shared.errors import GenerationError, SettingsError
from components.shared.rows import Message
from tests.serve import serving

ATTEMPTS = 2


def chat(message: dict[str, Any], reason: Any = "stop", **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage, **more}


def said(text: Any, reason: Any = "stop", **more: Any) -> dict[str, Any]:
    return chat({"content": text}, reason, **more)


class Endpoint(ThreadingHTTPServer):
    """Gives one answer to every request, and counts them."""

    daemon_threads = True

    def __init__(self) -> None:
        self.status, self.headers, self.data, self.asked = 200, dict[str, str](), b"", 0
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Answering(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self._send(200, {}, b'{"data": []}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        self._send(self.server.status, self.server.headers, self.server.data)

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving(Endpoint()) as server:
        yield server


def ask(endpoint: Endpoint, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> tuple[Reply, Usage]:
    """The reply to one request. Raises GenerationError where the endpoint is given up."""
    endpoint.data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    endpoint.status, endpoint.headers, endpoint.asked = status, headers or {}, 0
    settings = OpenAISettings(model="m", endpoints=(endpoint.url,), attempts=ATTEMPTS, backoff_seconds=0.01)
    teacher = OpenAIGenerator.open(settings)
    try:
        request = ChatRequest(key="k", messages=(Message(role="user", content="The capital of France?"),))
        (reply,) = teacher.answer([request], Sampling(max_tokens=16))
        return reply, teacher.usage()
    finally:
        teacher.close()


KEPT = {
    "plain": said("Paris."),
    "content parts": said([{"type": "text", "text": "Paris."}]),
    "content parts in two": said([{"type": "text", "text": "Par"}, {"type": "output_text", "text": "is."}]),
    "content parts as strings": said(["Paris."]),
    "nested text part": said([{"type": "text", "text": {"value": "Paris."}}]),
    "no usage": {"choices": [{"message": {"content": "Paris."}, "finish_reason": "stop"}]},
    "usage null": said("Paris.", usage=None),
    "usage strings": said("Paris.", usage={"prompt_tokens": "5", "completion_tokens": "7"}),
    "usage floats": said("Paris.", usage={"prompt_tokens": 5.5, "completion_tokens": 7.0}),
    "usage negative": said("Paris.", usage={"prompt_tokens": -1, "completion_tokens": -1}),
    "usage nonsense": said("Paris.", usage={"prompt_tokens": "many", "completion_tokens": None}),
    "usage is a list": said("Paris.", usage=[5, 7]),
    "usage infinite": '{"choices": [{"message": {"content": "Paris."}}], "usage": {"prompt_tokens": 1e999}}',
    "finish null": said("Paris.", None),
    "finish missing": {"choices": [{"message": {"content": "Paris."}}]},
    "finish eos_token (TGI)": said("Paris.", "eos_token"),
    "finish stop_sequence": said("Paris.", "stop_sequence"),
    "finish end_turn": said("Paris.", "end_turn"),
    "finish END_TURN": said("Paris.", "END_TURN"),
    "finish COMPLETE (Cohere)": said("Paris.", "COMPLETE"),
    "finish STOP (Gemini)": said("Paris.", "STOP"),
    "finish as an object (SGLang)": said("Paris.", {"type": "stop", "matched": 2}),
    "finish unknown": said("Paris.", "because"),
    "tool_calls empty (vLLM)": chat({"content": "Paris.", "tool_calls": [], "refusal": None, "function_call": None}),
    "tool_calls as the reason alone": said("Paris.", "tool_calls"),
    "error null": said("Paris.", error=None),
    "replacement characters": said("Paris."),
    "status 201": said("Paris."),
    "text instead of a message": {"choices": [{"text": "Paris.", "finish_reason": "stop"}]},
    "one completion in a list": [said("Paris.")],
    "more choices than asked": {"choices": [*said("Paris.")["choices"], *said("Rome.")["choices"]]},
    "lying content type": said("Paris."),
}
HEADERS = {"lying content type": {"Content-Type": "text/plain"}}
STATUS = {"status 201": 201}


@pytest.mark.parametrize("name", KEPT)
def test_an_answer_is_kept(endpoint: Endpoint, name: str) -> None:
    reply, usage = ask(endpoint, KEPT[name], STATUS.get(name, 200), HEADERS.get(name))
    assert (reply.text, reply.finish, reply.reasoning) == ("Paris.", "stop", "")
    assert min(reply.tokens_in, reply.tokens_out) >= 0
    assert (usage.errors, endpoint.asked) == (0, 1)


def test_tokens_are_counted_however_they_are_written(endpoint: Endpoint) -> None:
    for name, counts in {
        "usage strings": (5, 7),
        "usage floats": (5, 7),
        "usage negative": (0, 0),
        "no usage": (0, 0),
    }.items():
        reply, _ = ask(endpoint, KEPT[name])
        assert (reply.tokens_in, reply.tokens_out) == counts


@pytest.mark.parametrize(
    "reason",
    ["length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", {"type": "length", "length": 16}],
)
def test_a_truncated_answer_counts_as_truncated(endpoint: Endpoint, reason: object) -> None:
    reply, _ = ask(endpoint, said("Paris is the ca", reason))
    assert (reply.text, reply.finish) == ("Paris is the ca", "length")


REASONED = {
    "think block in content": said("<think>\nIt is Paris.\n</think>\n\nParis."),
    "opened by the prompt": said("It is Paris.\n</think>\n\nParis."),
    "reasoning_content (DeepSeek, SGLang, llama.cpp)": chat(
        {"content": "\n\nParis.", "reasoning_content": "It is Paris."}
    ),
    "reasoning (OpenRouter, Ollama)": chat({"content": "Paris.", "reasoning": "It is Paris."}),
    "reasoning_details (OpenRouter)": chat(
        {"content": "Paris.", "reasoning_details": [{"type": "reasoning.text", "text": "It is Paris."}]}
    ),
    "thinking parts (Mistral)": said(
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "It is Paris."}]},
            {"type": "text", "text": "Paris."},
        ]
    ),
    "thinking part as text": said(
        [{"type": "thinking", "thinking": "It is Paris."}, {"type": "text", "text": "Paris."}]
    ),
    "gpt-oss' channels": said(
        "<|channel|>analysis<|message|>It is Paris.<|end|><|start|>assistant<|channel|>final<|message|>Paris.<|return|>"
    ),
}


@pytest.mark.parametrize("name", REASONED)
def test_reasoning_is_kept_apart_from_the_answer(endpoint: Endpoint, name: str) -> None:
    reply, usage = ask(endpoint, REASONED[name])
    assert (reply.text.strip(), reply.reasoning, reply.finish) == ("Paris.", "It is Paris.", "stop")
    assert usage.reasoned == 1


REMEDY = ("max_tokens", "enable_thinking: false")
FAILED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "truncated reasoning": (
        chat({"content": None, "reasoning_content": "The user asks for the capital, so"}, "length"),
        ("no answer, only reasoning, truncated by max_tokens", *REMEDY),
    ),
    "truncated reasoning, MAX_TOKENS": (
        chat({"reasoning": "The user asks for"}, "MAX_TOKENS"),
        ("no answer, only reasoning, truncated by max_tokens", *REMEDY),
    ),
    "reasoning, content empty": (
        chat({"content": "", "reasoning_content": "It is Paris."}),
        ("no answer, only reasoning", *REMEDY),
    ),
    "reasoning, content blank": (
        chat({"content": " \n", "reasoning": "It is Paris."}),
        ("no answer, only reasoning", *REMEDY),
    ),
    "truncated think": (said("<think>\nThe capital of", "length"), ("no answer, only reasoning", *REMEDY)),
    "think and nothing after": (said("<think>\nParis.\n</think>\n\n"), ("no answer, only reasoning", *REMEDY)),
    "an empty thought and nothing after": (said("<think>\n\n</think>\n\n"), ("no answer",)),
    "reasoning that is only counted (OpenAI)": (
        chat(
            {"content": ""},
            "length",
            usage={
                "prompt_tokens": 5,
                "completion_tokens": 16,
                "completion_tokens_details": {"reasoning_tokens": 16},
            },
        ),
        ("no answer, only reasoning, truncated by max_tokens", *REMEDY),
    ),
    "no content before the limit (Gemini)": (chat({}, "length"), ("no answer before max_tokens", *REMEDY)),
    "empty": (said(""), ("no answer: the reply is empty",)),
    "null": (said(None), ("no answer: the reply is empty",)),
    "nothing but a control token": (said("<|im_end|>"), ("no answer: the reply is only a control token",)),
    "tool call instead": (
        chat(
            {
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            "tool_calls",
        ),
        ("a tool call instead of text",),
    ),
    "tool call beside a preamble": (
        chat({"content": "Let me look.", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}),
        ("a tool call instead of text",),
    ),
    "legacy function_call": (
        chat({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        ("a tool call instead of text",),
    ),
    "malformed call (Gemini)": (chat({}, "MALFORMED_FUNCTION_CALL"), ("a tool call instead of text",)),
    "refusal": (chat({"content": None, "refusal": "I can't help with that."}), ("refused", "I can't help with that.")),
    "refusal as a part": (said([{"type": "refusal", "refusal": "I can't."}]), ("refused", "I can't.")),
    "content_filter (Azure)": (said("Par", "content_filter"), ("refused", "content_filter")),
    "SAFETY (Gemini)": (said(None, "SAFETY"), ("refused", "SAFETY")),
    "RECITATION (Gemini)": (said("Par", "RECITATION"), ("refused", "RECITATION")),
    "an image": (said([{"type": "image_url", "image_url": {"url": "x"}}]), ("without text", "image_url")),
    "error 400 within 200": (
        {"error": {"message": "the prompt is too long", "code": 400}},
        ("answers 400", "the prompt is too long"),
    ),
}


@pytest.mark.parametrize("name", FAILED)
def test_a_reply_without_an_answer_fails_alone_with_its_reason_and_is_not_retried(
    endpoint: Endpoint, name: str
) -> None:
    body, words = FAILED[name]
    reply, usage = ask(endpoint, body)
    assert reply.finish == "error"
    assert [word for word in words if word not in reply.text] == []
    assert (usage.errors, endpoint.asked) == (1, 1)


def test_a_failed_answer_still_counts_its_tokens(endpoint: Endpoint) -> None:
    for name in ("truncated reasoning", "SAFETY (Gemini)", "tool call instead"):
        reply, usage = ask(endpoint, FAILED[name][0])
        assert (reply.tokens_in, reply.tokens_out, usage.tokens_out) == (5, 7, 7)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            400,
            {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400},
            "maximum context length is 4096 tokens.",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted"}]},
            "extra fields not permitted",
        ),
        (
            422,
            {"error": "Input validation error: inputs", "error_type": "validation"},
            "Input validation error: inputs",
        ),
        (400, [{"error": {"code": 400, "message": "Invalid argument", "status": "INVALID"}}], "Invalid argument"),
        (400, {"error": {"code": "content_filter", "message": "filtered", "innererror": {}}}, "filtered"),
        (400, "Bad request: no such field", "no such field"),
        (400, '{"error": "half a pair \\ud83d"}', "half a pair \ufffd"),
    ],
)
def test_a_refused_request_keeps_the_servers_message(endpoint: Endpoint, status: int, body: Any, words: str) -> None:
    reply, _ = ask(endpoint, body, status)
    assert (reply.finish, endpoint.asked) == ("error", 1)
    assert words in reply.text


RETRIED_ALONE = {
    "finish abort (vLLM)": (said("Par", "abort"), "abort"),
    "finish error": (said("", "error"), "error"),
    "finish ERROR (Cohere)": (said("Par", "ERROR"), "ERROR"),
    "finish cancelled": (said(None, "cancelled"), "cancelled"),
    "error within the choice (OpenRouter)": (
        {"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": {"message": "upstream is down"}}]},
        "upstream is down",
    ),
    "empty choices": ({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}, "without any choice"),
    "error within the choice, no reason": (
        {"choices": [{"message": {"content": ""}, "finish_reason": None, "error": {"message": "upstream is down"}}]},
        "upstream is down",
    ),
    "finish abort as an object (SGLang)": (said("Par", {"type": "abort", "message": "x"}), "abort"),
    "null choices": ({"choices": None}, "without any choice"),
}


@pytest.mark.parametrize("name", RETRIED_ALONE)
def test_what_the_server_gave_up_is_retried_and_then_fails_alone(endpoint: Endpoint, name: str) -> None:
    body, words = RETRIED_ALONE[name]
    reply, usage = ask(endpoint, body)
    assert (reply.finish, endpoint.asked, usage.retries) == ("error", ATTEMPTS, ATTEMPTS - 1)
    assert words in reply.text


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (200, {"Content-Type": "text/html; charset=utf-8"}, "<html>login</html>", "text/html"),
        (
            200,
            {"Content-Type": "text/event-stream"},
            'data: {"choices":[{"delta":{"content":"Par"}}]}\n\ndata: [DONE]\n\n',
            "text/event-stream",
        ),
        (200, {}, '{"choices": [{"delta": {"content": "Par"}}]}', "application/json"),
        (200, {}, "", "application/json"),
        (200, {}, '{"choices": [{"message": {"content": 5}}]}', "other than a chat completion"),
        (200, {}, {"error": {"message": "provider returned an error", "code": 502}}, "provider returned an error"),
        (200, {}, {"error": "model runner has stopped"}, "model runner has stopped"),
        (500, {}, "Internal Server Error", "500: Internal Server Error"),
        (424, {}, {"error": "Request failed during generation", "error_type": "generation"}, "during generation"),
    ],
)
def test_a_server_that_never_answers_is_given_up_with_what_it_said(
    endpoint: Endpoint, status: int, headers: dict[str, str], body: Any, words: str
) -> None:
    with pytest.raises(GenerationError) as caught:
        ask(endpoint, body, status, headers)
    assert words in caught.value.problem
    assert endpoint.asked == ATTEMPTS


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Paris \ud83d", "Paris \ufffd"),
        ("\udc00Paris", "\ufffdParis"),
        ("Paris \u0000", "Paris \ufffd"),
        ("Paris \ud83d\ude00", "Paris 😀"),
    ],
)
def test_what_utf8_cannot_encode_is_replaced_and_counted(endpoint: Endpoint, text: str, answer: str) -> None:
    reply, usage = ask(endpoint, said(text))
    assert (reply.text, reply.finish, reply.mended) == (answer, "stop", "\ufffd" in answer)
    assert usage.mended == reply.mended
    assert Reply.model_validate_json(reply.model_dump_json()) == reply


def test_a_byte_that_is_not_utf8_is_replaced_and_counted(endpoint: Endpoint) -> None:
    endpoint.status, endpoint.headers = 200, {}
    data = b'{"choices": [{"message": {"content": "Paris \xf0\x9f"}, "finish_reason": "stop"}]}'
    response = HttpResponse(endpoint.url, 200, {}, data)
    found = ChatCompletions().read("k", response, lambda status: pytest.fail(f"status {status}")).answer
    assert found is not None
    assert (found.text.rstrip("\ufffd"), found.mended) == ("Paris ", True)


def test_raw_line_breaks_within_a_string_are_read(endpoint: Endpoint) -> None:
    reply, _ = ask(endpoint, '\n\n{"choices": [{"message": {"content": "Paris\n\tand Rome."}}]}')
    assert reply.text == "Paris\n\tand Rome."


def test_a_surrogate_in_the_reasoning_is_replaced_too(endpoint: Endpoint) -> None:
    reply, _ = ask(endpoint, chat({"content": "Paris.", "reasoning_content": "so \ud83d"}))
    assert (reply.text, reply.reasoning, reply.mended) == ("Paris.", "so \ufffd", True)


def test_an_answer_whose_header_leaks_may_be_truncated(endpoint: Endpoint) -> None:
    channels = "<|channel|>analysis<|message|>So<|end|><|start|>assistant<|channel|>final<|message|>Paris is the ca"
    for text in ("<|im_start|>assistant\nParis is the ca", channels):
        reply, _ = ask(endpoint, said(text, "length"))
        assert (reply.text, reply.finish, reply.leaked) == ("Paris is the ca", "length", True)


def test_leaked_control_tokens_are_removed_and_counted(endpoint: Endpoint) -> None:
    reply, usage = ask(endpoint, said("Paris.<|im_end|>\n<|im_start|>user\nAnd Rome?", "length"))
    # The answer had ended before the limit.
    assert (reply.text, reply.finish, reply.leaked, usage.leaked) == ("Paris.", "stop", True, 1)


def test_an_answer_that_is_begun_is_refused_since_the_api_cannot_go_on_with_it(endpoint: Endpoint) -> None:
    endpoint.asked = 0
    teacher = OpenAIGenerator.open(OpenAISettings(model="m", endpoints=(endpoint.url,)))
    request = ChatRequest(key="k", messages=(Message(role="user", content="Count."),), opening="1. one")
    with pytest.raises(SettingsError, match="lacks the ability 'continues'"):
        list(teacher.answer([request], Sampling(max_tokens=16)))
    teacher.close()
    assert endpoint.asked == 0
