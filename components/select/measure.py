"""Measurements by chunks of rows, each kept as a shard at once: a run that was killed goes on where it stopped."""

import gzip
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from components.select.measured import Measured
from components.select.scorers.scorer import Measure
from components.shared.errors import InputError, NotFoundError
from components.shared.log import Progress, say
from components.shared.manifest import Manifest
from components.shared.output import Output
from components.shared.rows import Answered
from components.shared.shards import SUFFIX, count_rows, describe, parse_row, read_rows

ROWS_PER_CHUNK = 1000
"""What a killed run does again at most. Part of the shards' names, hence no setting."""

PART = "scores"


@dataclass(frozen=True)
class Plan:
    """One measurement: its name, and what opens it when something is missing."""

    name: str
    opener: Callable[[], Measure]


def chunks(root: str, responses: Manifest) -> Iterator[list[Answered]]:
    """The rows to score, in order."""
    rows = read_rows(root, responses, Answered)
    while chunk := list(itertools.islice(rows, ROWS_PER_CHUNK)):
        yield chunk


def measure_all(root: str, responses: Manifest, output: Output, plan: Plan) -> None:
    """Make every shard of one measurement that is not there yet; the model is loaded only if one is missing."""
    total = count_rows(responses)
    adopted = 0
    with ExitStack() as stack:
        opened: Measure | None = None
        progress: Progress | None = None
        for number, chunk in enumerate(chunks(root, responses)):
            if _adopt(output, plan.name, number, chunk):
                adopted += len(chunk)
                continue
            if opened is None or progress is None:
                opened = plan.opener()
                stack.callback(opened.close)
                progress = Progress("select", plan.name, total, already=adopted)
            output.write_rows(_shard(plan.name, number), opened.measure(chunk))
            progress.advance(len(chunk))
        if progress is not None:
            progress.finish()
    if adopted:
        say("select", f"{plan.name}: {adopted} rows were measured before")


def read_chunk(output: Output, name: str, number: int) -> list[Measured]:
    """One shard of a measurement. Raises NotFoundError, and InputError when it is damaged."""
    key = _shard(name, number) + SUFFIX
    data = output.store.read(key)
    try:
        lines = gzip.decompress(data).splitlines()
    except (OSError, EOFError) as error:
        raise InputError(
            f"{output.address}/{key} is damaged: {error}", remedy="delete it and run the step again"
        ) from error
    output.adopt(describe(key, data, len(lines)))
    return [parse_row(line, Measured, where=f"{output.address}/{key}") for line in lines]


def _adopt(output: Output, name: str, number: int, chunk: list[Answered]) -> bool:
    """Take over a shard of an earlier attempt, if it is there and of these very rows."""
    try:
        measured = read_chunk(output, name, number)
    except NotFoundError:
        return False
    except InputError as error:
        say("select", f"{error.problem}; measuring again")
        return False
    return [one.id for one in measured] == [row.id for row in chunk]


def _shard(name: str, number: int) -> str:
    return f"{PART}/{name}/{number:05d}"
