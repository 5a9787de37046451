"""Tutelage's HTTP teacher beside the plain openai client and distilabel, in one run against one server.

`uv run --group peers python -m benchmarks.synthesis.compare [--server vllm --requests 1000]`
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.machine import describe_machine
from benchmarks.synthesis.servers import REPOSITORY, MeasuredServer, start_stub, start_vllm

RUN_CLIENT = Path(__file__).with_name("run_client.py")


class ServerName(StrEnum):
    """What the clients are measured against."""

    stub = "stub"
    vllm = "vllm"


STARTS: dict[ServerName, Callable[[], AbstractContextManager[MeasuredServer]]] = {
    ServerName.stub: start_stub,
    ServerName.vllm: start_vllm,
}


def measure(client: str, python: str, server: MeasuredServer, count: int) -> dict[str, Any]:
    """One client's run: what it reports itself and what the server observed."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_PROXY": "127.0.0.1"}
    command = [python, str(RUN_CLIENT), client, server.url, str(count), json.dumps(asdict(server.load))]
    server.begin()
    done = subprocess.run(command, check=False, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise typer.Exit(done.returncode)
    own: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    seen = server.served()
    if own["answered"] != count or seen.requests != count:
        raise SystemExit(f"{client}: {own['answered']} of {count} answered, the server served {seen.requests}")
    seconds = seen.seconds or own["seconds"]
    return {
        **own,
        "requests": count,
        "wall_seconds": seconds,
        "utilisation": seen.busy_seconds / (server.load.window * seconds),
        "cpu_ms_per_request": 1000 * own["cpu_seconds"] / count,
        "requests_per_second": count / seconds,
    }


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table, each with its ratio to the first."""
    ours = results[0]
    lines = [
        "| client | requests | wall s | requests/s | slots used | CPU ms/request | against Tutelage |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for result in results:
        slower = ours["requests_per_second"] / result["requests_per_second"]
        costlier = result["cpu_ms_per_request"] / ours["cpu_ms_per_request"]
        against = "" if result is ours else f"{slower:.1f}x the time, {costlier:.1f}x the CPU"
        lines.append(
            f"| {result['client']} ({result['version']}) | {result['requests']:,} | {result['wall_seconds']:.1f} "
            f"| {result['requests_per_second']:.0f} | {result['utilisation']:.1%} "
            f"| {result['cpu_ms_per_request']:.3f} | {against} |"
        )
    return "\n".join(lines)


def main(
    requests: Annotated[int, typer.Option(help="requests of each client")] = 20_000,
    distilabel_requests: Annotated[int, typer.Option(help="distilabel's requests; it takes longest")] = 20_000,
    clients: Annotated[str, typer.Option(help="which, in this order")] = "tutelage,openai,distilabel",
    peers_python: Annotated[str, typer.Option(help="a Python that has distilabel and openai")] = sys.executable,
    server: Annotated[ServerName, typer.Option(help="the stub, or vLLM on this machine's CPUs")] = ServerName.stub,
) -> None:
    """Run the clients one after the other against the same server and print the table."""
    load = os.getloadavg()[0]
    results = []
    with STARTS[server]() as measured:
        for client in clients.split(","):
            python = sys.executable if client == "tutelage" else peers_python
            count = distilabel_requests if client == "distilabel" else requests
            results.append(measure(client, python, measured, count))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    print(f"{describe_machine()}; load average before the run: {load:.1f}\n")
    print(table(results))


if __name__ == "__main__":
    typer.run(main)
