"""Fixed slices of the input: the same rows in the same order for any number of actors."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from components.models.generators.generator import ChatRequest
from components.shared.rows import Labelled, Message


def slices(rows: Iterable[Labelled], size: int) -> Iterator[tuple[int, list[Labelled]]]:
    """Consecutive rows, `size` at a time (fewer in the last), with their number from 0."""
    waiting = iter(rows)
    for index in itertools.count():
        chunk = list(itertools.islice(waiting, size))
        if not chunk:
            return
        yield index, chunk


def keys_of(rows: Sequence[Labelled]) -> list[str]:
    """A key for each row: its id; a repeated id is followed by its position."""
    seen: set[str] = set()
    keys = []
    for position, row in enumerate(rows):
        keys.append(f"{row.id}#{position}" if row.id in seen else row.id)
        seen.add(row.id)
    return keys


def sample_keys(key: str, samples: int) -> list[str]:
    """The keys of a row's answers: that of the row for the first, and the number of the sample added for the others.

    The seed of an answer depends on its key, so the first answer is the same for any number of samples.
    """
    return [key, *(f"{key}~{number}" for number in range(1, samples))]


def requests_of(rows: Sequence[Labelled], system_prompt: str, samples: int = 1) -> list[ChatRequest]:
    """`samples` requests for each row, one after the other, so that a server finds their prompt in its prefix cache.

    `system_prompt` is used where a row has no system message.
    """
    return [
        ChatRequest(key=sample, messages=messages)
        for key, row in zip(keys_of(rows), rows, strict=True)
        for messages in (tuple(_messages(row, system_prompt)),)
        for sample in sample_keys(key, samples)
    ]


def _messages(row: Labelled, system_prompt: str) -> list[Message]:
    lead = [Message(role="system", content=system_prompt)] if system_prompt and not row.system else []
    return [*lead, *row.prompt()]
