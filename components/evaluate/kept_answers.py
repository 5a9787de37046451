"""Answers of an endpoint at the evaluation's address while a benchmark is being asked: `answers/NAME/00000.jsonl.gz`.

An endpoint that fails in the middle, or a killed step, does not lose them. A local model is asked again from the start
of the benchmark: that costs minutes, and its counts of unusual prompts stay right.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict, ValidationError

from components.shared.log import say
from components.shared.outputs.shards import SUFFIX, pack_rows
from components.shared.store.store import Store

ANSWERS_OF_A_FILE = 500


class Answer(BaseModel):
    """One answer of a model under evaluation, before it is scored; `key` is that of its request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    output: str
    tokens_in: int = 0
    tokens_out: int = 0


class KeptAnswers:
    """The answers to one benchmark in the store.

    Args:
        store: at the evaluation's address.
        benchmark: the name of the set of questions.
    """

    def __init__(self, store: Store, benchmark: str) -> None:
        self._store, self._prefix = store, f"answers/{benchmark}/"

    def read(self) -> dict[str, Answer]:
        """The answers of earlier attempts, by their keys."""
        return {answer.key: answer for name in self._names() for answer in self._read(name)}

    @contextmanager
    def keeping(self) -> Iterator[Callable[[Answer], None]]:
        """A function that keeps an answer; what is left is written when the block ends, however it ends."""
        pending: list[Answer] = []

        def keep(answer: Answer) -> None:
            pending.append(answer)
            if len(pending) >= ANSWERS_OF_A_FILE:
                self._write(pending)

        try:
            yield keep
        finally:
            if pending:
                self._write(pending)

    def delete(self) -> None:
        """Delete them: the benchmark is complete."""
        for name in self._names():
            self._store.delete(name)

    def _names(self) -> list[str]:
        return [entry.key for entry in self._store.list(self._prefix)]

    def _write(self, pending: list[Answer]) -> None:
        self._store.write(f"{self._prefix}{len(self._names()):05d}{SUFFIX}", pack_rows(pending)[0])
        pending.clear()

    def _read(self, name: str) -> list[Answer]:
        """The answers of one object; a damaged one counts as none, so that its questions are asked again."""
        try:
            return [Answer.model_validate_json(line) for line in gzip.decompress(self._store.read(name)).splitlines()]
        except (OSError, EOFError, zlib.error, ValidationError) as error:
            say("evaluate", f"{self._store.uri}/{name} is damaged; its questions are asked again: {error}")
            return []
