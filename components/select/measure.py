"""Measurements in chunks of rows, each stored as a shard as soon as it is made, so that a killed run resumes."""

import gzip
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from components.rewards.measured import Measured
from components.rewards.scorers.scorer import Measure
from components.shared.errors import InputError, NotFoundError
from components.shared.log import Progress, say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.outputs.shards import SUFFIX, count_rows, describe, parse_row
from components.shared.rows import Answered
from components.shared.text.counted import counted

ROWS_PER_CHUNK = 250
"""The most that a killed run repeats. The names of shards depend on it, so it is not a setting."""

PART = "scores"


@dataclass(frozen=True)
class Measurement:
    """One measurement: its name, and what opens the measure when a shard is missing."""

    name: str
    opener: Callable[[], Measure]


def chunks(library: Library, responses: Manifest) -> Iterator[list[Answered]]:
    """The rows to score, in order."""
    rows = library.read_rows(responses, Answered)
    while chunk := list(itertools.islice(rows, ROWS_PER_CHUNK)):
        yield chunk


def measure_all(library: Library, responses: Manifest, output: Output, measurement: Measurement) -> None:
    """Make the missing shards of one measurement; the model is loaded only if there are any."""
    total = count_rows(responses)
    adopted = 0
    with ExitStack() as stack:
        opened: Measure | None = None
        progress: Progress | None = None
        for number, chunk in enumerate(chunks(library, responses)):
            if _adopt(output, measurement.name, number, chunk):
                adopted += len(chunk)
                continue
            if opened is None or progress is None:
                opened = measurement.opener()
                stack.callback(opened.close)
                progress = Progress("select", measurement.name, total, already=adopted)
            output.write_rows(_shard(measurement.name, number), opened.measure(chunk))
            progress.advance(len(chunk))
        if progress is not None:
            progress.finish()
    if adopted:
        say("select", f"{measurement.name}: {counted(adopted, 'row')} measured before")


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
    """Adopt a shard of an earlier attempt if it exists and covers exactly these rows."""
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
