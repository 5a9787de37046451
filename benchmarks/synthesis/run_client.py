"""Sends a number of chat requests to an endpoint with one of the clients and prints what it cost.

Runs in a process of its own, so that its CPU time is the client's alone: `python run_client.py CLIENT URL COUNT LOAD`,
where LOAD is a `Load` as JSON. Prints one JSON line: answers, seconds and CPU seconds (user and system) from the first
request to the last answer, versions.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True)
class Load:
    """What every client asks for.

    Args:
        model: name of the served model.
        window: requests in flight, or in a batch.
        max_tokens: longest answer.
    """

    model: str = "stub"
    window: int = 256
    max_tokens: int = 100


def prompt(number: int) -> str:
    """A prompt of a typical length; every client sends the same ones."""
    return f"Question {number}: " + "A train leaves the station at nine and travels for three hours. " * 4


def cpu_seconds() -> float:
    """User and system time of this process and its ended children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ask_with_tutelage(url: str, load: Load) -> Callable[[int], int]:
    """The teacher backend `openai`, as the synthesize step uses it."""
    from components.models.generators.generator import ChatRequest, Sampling, open_generator
    from components.models.generators.openai.settings import OpenAISettings
    from components.shared.rows import Message

    teacher = open_generator(OpenAISettings(model=load.model, endpoints=(url,), window=load.window))

    def ask(count: int) -> int:
        requests = (
            ChatRequest(key=str(number), messages=(Message(role="user", content=prompt(number)),))
            for number in range(count)
        )
        return sum(reply.finish != "error" for reply in teacher.answer(requests, Sampling(max_tokens=load.max_tokens)))

    return ask


def ask_with_openai(url: str, load: Load) -> Callable[[int], int]:
    """The openai client with a semaphore of the window's width: the usual way to keep a window with it."""
    from openai import AsyncOpenAI

    async def ask_all(count: int) -> int:
        gate = asyncio.Semaphore(load.window)
        async with AsyncOpenAI(base_url=url, api_key="none") as client:

            async def ask_one(number: int) -> bool:
                async with gate:
                    completion = await client.chat.completions.create(
                        model=load.model,
                        messages=[{"role": "user", "content": prompt(number)}],
                        max_tokens=load.max_tokens,
                        temperature=0.0,
                    )
                return completion.choices[0].finish_reason in {"stop", "length"}

            return sum(await asyncio.gather(*(ask_one(number) for number in range(count))))

    return lambda count: asyncio.run(ask_all(count))


def ask_with_distilabel(url: str, load: Load) -> Callable[[int], int]:
    """distilabel's TextGeneration with its OpenAI client, batches as wide as the window.

    The step's own loop without the pipeline's processes and queues around it, which only adds to its time.
    """
    from distilabel.models import OpenAILLM
    from distilabel.steps.tasks import TextGeneration

    llm = OpenAILLM(
        model=load.model, base_url=url, api_key="none", generation_kwargs={"max_new_tokens": load.max_tokens}
    )
    task = TextGeneration(llm=llm, input_batch_size=load.window)
    task.load()

    def ask(count: int) -> int:
        answered = 0
        for start in range(0, count, load.window):
            numbers = range(start, min(start + load.window, count))
            rows = next(task.process([{"instruction": prompt(number)} for number in numbers]))
            answered += sum(bool(row["generation"]) for row in rows)
        return answered

    return ask


CLIENTS = {"tutelage": ask_with_tutelage, "openai": ask_with_openai, "distilabel": ask_with_distilabel}
PACKAGES = {"tutelage": "aiohttp", "openai": "openai", "distilabel": "distilabel"}


def main() -> None:
    """Load the client, then measure."""
    client, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ask = CLIENTS[client](url, Load(**json.loads(sys.argv[4])))
    before, began = cpu_seconds(), time.monotonic()
    answered = ask(count)
    measured = {
        "client": client,
        "answered": answered,
        "seconds": time.monotonic() - began,
        "cpu_seconds": cpu_seconds() - before,
        "version": f"{PACKAGES[client]} {version(PACKAGES[client])}",
    }
    print(json.dumps(measured), flush=True)
    # Without the clients' own shutdown, which prints and waits.
    os._exit(0)


if __name__ == "__main__":
    main()
