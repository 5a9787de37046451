"""Fixed slices of the input: the same rows in the same order, however many actors there are."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from components.models.teacher import Request
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
    """A key for each row: its id; a repeated id gets its position behind it."""
    seen: set[str] = set()
    keys = []
    for position, row in enumerate(rows):
        keys.append(f"{row.id}#{position}" if row.id in seen else row.id)
        seen.add(row.id)
    return keys


def requests_of(rows: Sequence[Labelled], system_prompt: str) -> list[Request]:
    """One request for each row; `system_prompt` stands in where a row has no system message."""
    return [
        Request(key=key, messages=tuple(_messages(row, system_prompt)))
        for key, row in zip(keys_of(rows), rows, strict=True)
    ]


def _messages(row: Labelled, system_prompt: str) -> list[Message]:
    lead = [Message(role="system", content=system_prompt)] if system_prompt and not row.system else []
    return [*lead, *row.prompt()]
