"""Several real vLLM servers: two that share the work, one that is killed in the middle of a run and started again."""

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.vllm_cpu.server import VllmServer, running
from components.models.generators.generator import Reply, Sampling, open_generator
from tests.deadlines import SECONDS
from tests.serving.teacher import ask, behind, requests, teacher_server

GREEDY = Sampling(max_tokens=40)
QUESTIONS = requests(250)
WINDOW = 8


@pytest.fixture(scope="module")
def second(vllm_programs: Path, api_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A server that tests may kill, warm as `served` is: the first batches take long."""
    with running(teacher_server(tmp_path_factory.mktemp("second") / "log", api_key)) as server:
        ask(behind(server, window=WINDOW), QUESTIONS[: 4 * WINDOW])
        yield server


@pytest.fixture(scope="module")
def expected(served: VllmServer) -> dict[str, Reply]:
    """What one server answers when nothing happens to it."""
    return ask(behind(served), QUESTIONS)


def answered(server: VllmServer) -> int:
    """Requests that a server has finished, as its metrics say."""
    with urllib.request.urlopen(f"{server.root}/metrics", timeout=SECONDS) as response:
        counts = re.findall(r"^vllm:request_success_total\{[^}]*\} (\S+)$", response.read().decode(), re.MULTILINE)
    return round(sum(float(count) for count in counts))


def test_two_servers_share_the_work(served: VllmServer, second: VllmServer, expected: dict[str, Reply]) -> None:
    before = [answered(server) for server in (served, second)]
    assert ask(behind(served, second, window=WINDOW), QUESTIONS) == expected
    shares = [answered(server) - count for server, count in zip((served, second), before, strict=True)]
    assert sum(shares) == len(QUESTIONS)
    # Each took further requests when its first ones were answered; how many depends on the two cores.
    assert min(shares) > WINDOW


def test_one_that_is_killed_and_started_again_loses_nothing(second: VllmServer, expected: dict[str, Reply]) -> None:
    generator = open_generator(behind(second, window=WINDOW))
    replies: list[Reply] = []
    for reply in generator.answer(QUESTIONS, GREEDY):
        replies.append(reply)
        if len(replies) == 30:
            second.kill()
            second.start()
    usage = generator.usage()
    generator.close()
    assert len(replies) == len(QUESTIONS)
    assert {reply.key: reply for reply in replies} == expected
    assert (usage.requests, usage.errors) == (len(QUESTIONS), 0)
    assert usage.retries > 0
    # Part of them was answered before the kill, and not again.
    assert answered(second) < len(QUESTIONS)


def test_while_one_is_down_the_other_answers(
    served: VllmServer, second: VllmServer, expected: dict[str, Reply]
) -> None:
    second.kill()
    assert ask(behind(second, served), QUESTIONS) == expected
