"""Sends a number of chat requests to an endpoint with one of the clients and prints what it cost.

Runs in a process of its own, so that its CPU time is the client's alone: `python run_client.py CLIENT URL COUNT`.
Prints one JSON line: answers, CPU seconds (user and system) from the first request to the last answer, versions.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Callable
from importlib.metadata import version

WINDOW = 256
MAX_TOKENS = 100


def prompt(number: int) -> str:
    """A prompt of a typical length; every client sends the same ones."""
    return f"Question {number}: " + "A train leaves the station at nine and travels for three hours. " * 4


def cpu_seconds() -> float:
    """User and system time of this process and its ended children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ask_with_tutelage(url: str) -> Callable[[int], int]:
    """The teacher backend `openai`, as the synthesize step uses it."""
    from components.models.teacher import Request, Sampling, TeacherSettings, open_teacher
    from components.shared.rows import Message

    teacher = open_teacher(TeacherSettings(backend="openai", model="stub", endpoints=(url,), window=WINDOW))

    def ask(count: int) -> int:
        requests = (
            Request(key=str(number), messages=(Message(role="user", content=prompt(number)),))
            for number in range(count)
        )
        return sum(reply.finish == "stop" for reply in teacher.answer(requests, Sampling(max_tokens=MAX_TOKENS)))

    return ask


def ask_with_openai(url: str) -> Callable[[int], int]:
    """The openai client with a semaphore of the window's width: the usual way to keep a window with it."""
    from openai import AsyncOpenAI

    async def ask_all(count: int) -> int:
        gate = asyncio.Semaphore(WINDOW)
        async with AsyncOpenAI(base_url=url, api_key="none") as client:

            async def ask_one(number: int) -> bool:
                async with gate:
                    completion = await client.chat.completions.create(
                        model="stub",
                        messages=[{"role": "user", "content": prompt(number)}],
                        max_tokens=MAX_TOKENS,
                        temperature=0.0,
                    )
                return completion.choices[0].finish_reason == "stop"

            return sum(await asyncio.gather(*(ask_one(number) for number in range(count))))

    return lambda count: asyncio.run(ask_all(count))


def ask_with_distilabel(url: str) -> Callable[[int], int]:
    """distilabel's TextGeneration with its OpenAI client, batches as wide as the window.

    The step's own loop without the pipeline's processes and queues around it, which only adds to its time.
    """
    from distilabel.models import OpenAILLM
    from distilabel.steps.tasks import TextGeneration

    llm = OpenAILLM(model="stub", base_url=url, api_key="none", generation_kwargs={"max_new_tokens": MAX_TOKENS})
    task = TextGeneration(llm=llm, input_batch_size=WINDOW)
    task.load()

    def ask(count: int) -> int:
        answered = 0
        for start in range(0, count, WINDOW):
            numbers = range(start, min(start + WINDOW, count))
            rows = next(task.process([{"instruction": prompt(number)} for number in numbers]))
            answered += sum(bool(row["generation"]) for row in rows)
        return answered

    return ask


CLIENTS = {"tutelage": ask_with_tutelage, "openai": ask_with_openai, "distilabel": ask_with_distilabel}
PACKAGES = {"tutelage": "aiohttp", "openai": "openai", "distilabel": "distilabel"}


def main() -> None:
    """Load the client, then measure."""
    client, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ask = CLIENTS[client](url)
    before = cpu_seconds()
    answered = ask(count)
    measured = {
        "client": client,
        "answered": answered,
        "cpu_seconds": cpu_seconds() - before,
        "version": f"{PACKAGES[client]} {version(PACKAGES[client])}",
    }
    print(json.dumps(measured), flush=True)
    # Without the clients' own ways of ending, which print and wait.
    os._exit(0)


if __name__ == "__main__":
    main()
