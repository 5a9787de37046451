"""The openai backend against a real HTTP server that answers, refuses, hangs and cuts."""

import socket
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web

from components.models.generators.generator import ChatRequest, Reply, Sampling, open_generator
from components.models.generators.openai.settings import OpenAISettings
from components.shared.errors import GenerationError, SettingsError
from components.shared.rows import Message


def requests(count: int, lead: str = "") -> list[ChatRequest]:
    asked = [Message(role="user", content=f"{lead}question {number}") for number in range(count)]
    return [ChatRequest(key=f"k{number}", messages=(message,)) for number, message in enumerate(asked)]


def settings(*urls: str, **changes: Any) -> OpenAISettings:
    quick = {"window": 8, "timeout_seconds": 5, "attempts": 4, "backoff_seconds": 0.02}
    return OpenAISettings.model_validate({"model": "m", "endpoints": urls, **quick, **changes})


GREEDY = Sampling(max_tokens=9)


def ask(asked: list[ChatRequest], to: OpenAISettings, sampling: Sampling = GREEDY) -> dict[str, Reply]:
    teacher = open_generator(to)
    try:
        replies = list(teacher.answer(asked, sampling))
    finally:
        teacher.close()
    assert sorted(reply.key for reply in replies) == sorted(request.key for request in asked)
    return {reply.key: reply for reply in replies}


def test_every_request_is_answered_once_within_the_window(stub: Any) -> None:
    stub.seconds = 0.01
    replies = ask(requests(100), settings(stub.url))
    assert replies["k42"].text == "answer to question 42"
    assert (replies["k42"].tokens_in, replies["k42"].tokens_out) == (11, 3)
    assert len(stub.asked) == 100
    assert stub.peak == 8


def test_the_request_says_what_is_wanted(stub: Any) -> None:
    ask(requests(2), settings(stub.url, extra={"chat_template_kwargs": {"enable_thinking": False}}))
    assert stub.bodies[0] == {
        "model": "m",
        "max_tokens": 9,
        "temperature": 0.0,
        "chat_template_kwargs": {"enable_thinking": False},
        "messages": [{"role": "user", "content": "question 0"}],
    }
    ask(requests(2), settings(stub.url), Sampling(temperature=0.5, top_p=0.9, seed=3, stop=("\nQ:",)))
    first, second = stub.bodies[2:]
    assert (first["temperature"], first["top_p"], first["stop"]) == (0.5, 0.9, ["\nQ:"])
    assert first["seed"] != second["seed"]


def test_a_busy_server_is_spared_and_all_is_answered(stub: Any) -> None:
    def behave(number: int, body: dict[str, Any]) -> web.Response | None:
        return web.Response(status=429 if number % 2 else 503) if stub.in_flight > 3 else None

    stub.behave, stub.seconds = behave, 0.005
    replies = ask(requests(80), settings(stub.url))
    assert all(reply.finish == "stop" for reply in replies.values())
    # A window of 8 against 3 slots: without the shrinking, most tries would be refused.
    assert len(stub.asked) < 2.5 * 80


@pytest.mark.parametrize("kind", ["seconds", "date"])
def test_retry_after_is_honoured(stub: Any, kind: str) -> None:
    def behave(number: int, body: dict[str, Any]) -> web.Response | None:
        value = "1" if kind == "seconds" else formatdate(time.time() + 2, usegmt=True)
        return web.Response(status=429, headers={"Retry-After": value}) if number == 1 else None

    stub.behave = behave
    ask(requests(30), settings(stub.url, window=1))
    assert stub.moments[1] - stub.moments[0] >= 0.9


def test_cut_connections_server_errors_and_nonsense_are_tried_again(stub: Any) -> None:
    def behave(number: int, body: dict[str, Any]) -> web.Response | str | None:
        return {3: "cut", 5: web.Response(status=500), 7: web.Response(text="<html>")}.get(number)

    stub.behave = behave
    replies = ask(requests(20), settings(stub.url))
    assert all(reply.finish == "stop" for reply in replies.values())
    assert len(stub.asked) == 23


def test_a_request_that_never_succeeds_fails_alone(stub: Any) -> None:
    stub.behave = lambda number, body: "cut" if body["messages"][0]["content"] == "question 5" else None
    replies = ask(requests(20), settings(stub.url))
    assert replies["k5"].finish == "error"
    assert "cut the connection" in replies["k5"].text
    assert sum(reply.finish == "error" for reply in replies.values()) == 1
    assert stub.counts()["question 5"] == 4


def test_a_refused_request_is_not_repeated(stub: Any) -> None:
    stub.behave = lambda number, body: (
        web.json_response({"error": {"message": "too long"}}, status=400)
        if body["messages"][0]["content"] == "question 2"
        else None
    )
    replies = ask(requests(5), settings(stub.url))
    assert replies["k2"].finish == "error"
    assert "too long" in replies["k2"].text
    assert stub.counts()["question 2"] == 1


def test_a_hanging_request_times_out_and_is_tried_again(stub: Any) -> None:
    stub.behave = lambda number, body: "hang" if number == 2 else None
    began = time.monotonic()
    replies = ask(requests(10), settings(stub.url, timeout_seconds=0.5))
    assert all(reply.finish == "stop" for reply in replies.values())
    assert time.monotonic() - began < 10


def test_two_endpoints_share_the_work(start_stub: Callable[[], Any]) -> None:
    first, second = start_stub(), start_stub()
    first.seconds = second.seconds = 0.01
    ask(requests(100), settings(first.url, second.url))
    assert len(first.asked) + len(second.asked) == 100
    assert min(len(first.asked), len(second.asked)) > 25


def test_prompts_with_a_long_shared_beginning_stay_together(start_stub: Callable[[], Any]) -> None:
    first, second = start_stub(), start_stub()
    first.seconds = second.seconds = 0.01
    asked = [
        request.model_copy(update={"key": f"{lead}{request.key}"})
        for lead in "abcd"
        for request in requests(20, lead=lead * 300)
    ]
    mixed = sorted(asked, key=lambda request: request.key[1:])
    ask(mixed, settings(first.url, second.url, window=1))
    homes = {lead: sum(text.startswith(lead) for text in first.asked) for lead in "abcd"}
    assert sum(count in {0, 20} for count in homes.values()) >= 3, homes
    # Whatever stays together is also sent one after the other.
    assert [text[0] for text in first.asked] == sorted(text[0] for text in first.asked)


def test_an_endpoint_that_is_down_does_not_stop_the_other(stub: Any) -> None:
    replies = ask(requests(50), settings(closed_url(), stub.url))
    assert all(reply.finish == "stop" for reply in replies.values())


def test_no_endpoint_names_the_url_and_the_remedy() -> None:
    url = closed_url()
    with pytest.raises(GenerationError, match=url) as caught:
        open_generator(settings(url, attempts=2))
    assert "start the server" in caught.value.remedy


def test_a_server_that_dies_for_good_is_an_error_and_keeps_what_was_answered(stub: Any) -> None:
    stub.behave = lambda number, body: None if number <= 10 else web.Response(status=503)
    teacher = open_generator(settings(stub.url, window=2, timeout_seconds=0.5))
    replies: list[Reply] = []
    with pytest.raises(GenerationError, match="503"):
        for reply in teacher.answer(requests(30), Sampling()):
            replies.append(reply)
    teacher.close()
    assert len(replies) == 10


def test_a_wrong_key_names_its_variable_and_never_the_key(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "sk-very-secret")
    stub.behave = lambda number, body: web.json_response({"error": "bad key sk-very-secret"}, status=401)
    with pytest.raises(GenerationError, match="TEACHER_KEY") as caught:
        ask(requests(3), settings(stub.url, api_key_variable="TEACHER_KEY"))
    assert "sk-very-secret" not in str(caught.value)
    assert stub.headers[0]["Authorization"] == "Bearer sk-very-secret"


def test_a_forbidden_request_fails_alone_once_the_key_has_proved_good(stub: Any) -> None:
    stub.behave = lambda number, body: (
        web.Response(status=403) if body["messages"][0]["content"] == "question 9" else None
    )
    replies = ask(requests(10), settings(stub.url, window=1))
    assert [key for key, reply in replies.items() if reply.finish == "error"] == ["k9"]


def test_an_unknown_model_ends_the_run_with_the_servers_words(stub: Any) -> None:
    stub.behave = lambda number, body: web.json_response({"message": "The model `m` does not exist."}, status=404)
    with pytest.raises(GenerationError, match="does not exist"):
        ask(requests(3), settings(stub.url))


def test_settings_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(SettingsError, match="NO_SUCH_KEY"):
        open_generator(settings("http://127.0.0.1:1/v1", api_key_variable="NO_SUCH_KEY"))
    with pytest.raises(SettingsError, match="no endpoints"):
        open_generator(settings())
    with pytest.raises(SettingsError, match="not a valid base URL") as caught:
        open_generator(settings("host:8000/v1"))
    assert "http://HOST:PORT/v1" in caught.value.allowed


def test_several_threads_share_one_window(stub: Any) -> None:
    stub.seconds = 0.01
    teacher = open_generator(settings(stub.url))
    found: dict[int, list[Reply]] = {}

    def take(number: int) -> None:
        found[number] = list(teacher.answer(requests(30), Sampling()))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    usage = teacher.usage()
    teacher.close()
    assert [len(replies) for replies in found.values()] == [30, 30, 30]
    assert stub.peak == 8
    assert (usage.requests, usage.slots) == (90, 8)
    assert 0.5 < usage.busy_seconds / (usage.slots * usage.wall_seconds) <= 1


def test_answers_that_nobody_waits_for_are_broken_off(stub: Any) -> None:
    stub.seconds = 0.05
    teacher = open_generator(settings(stub.url))
    for _ in teacher.answer(requests(500), Sampling()):
        break
    time.sleep(0.3)
    asked = len(stub.asked)
    time.sleep(0.3)
    assert len(stub.asked) == asked < 60
    assert len(list(teacher.answer(requests(5), Sampling()))) == 5
    teacher.close()


def closed_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"
