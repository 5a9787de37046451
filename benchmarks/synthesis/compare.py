"""Tutelage's HTTP teacher beside the plain openai client and distilabel, in one run against one stub.

`uv run --group peers python -m benchmarks.synthesis.compare`
"""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.machine import describe_machine
from benchmarks.synthesis.run_client import WINDOW

RUN_CLIENT = Path(__file__).with_name("run_client.py")
REPOSITORY = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def stub() -> Iterator[str]:
    """The stub in a process of its own; yields its base URL."""
    command = [sys.executable, "-m", "benchmarks.synthesis.serve_stub", "--slots", str(WINDOW)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        finally:
            server.terminate()


def call(url: str, method: str = "GET") -> Any:
    """One JSON call."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as response:
        return json.load(response)


def measure(client: str, python: str, url: str, count: int) -> dict[str, Any]:
    """One client's run: what it says of itself and what the stub saw."""
    call(f"{url}/reset", "POST")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [python, str(RUN_CLIENT), client, url, str(count)],
        check=False,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise typer.Exit(done.returncode)
    own: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    seen = call(f"{url}/stats")
    if own["answered"] != count or seen["served"] != count:
        raise SystemExit(f"{client}: {own['answered']} of {count} answered, the stub served {seen['served']:.0f}")
    return {
        **own,
        "requests": count,
        "wall_seconds": seen["wall_seconds"],
        "utilisation": seen["busy_seconds"] / (WINDOW * seen["wall_seconds"]),
        "cpu_ms_per_request": 1000 * own["cpu_seconds"] / count,
        "requests_per_second": count / seen["wall_seconds"],
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
) -> None:
    """Run the clients one after the other against the same stub and print the table."""
    load = os.getloadavg()[0]
    results = []
    with stub() as url:
        for client in clients.split(","):
            python = sys.executable if client == "tutelage" else peers_python
            count = distilabel_requests if client == "distilabel" else requests
            results.append(measure(client, python, url, count))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    print(f"{describe_machine()}; load average before the run: {load:.1f}\n")
    print(table(results))


if __name__ == "__main__":
    typer.run(main)
