"""The actor: answers chunks for an origin, and writes the replies to the store."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from components.models.generators.generator import Generator, Reply, Usage, open_generator
from components.shared.errors import TutelageError
from components.shared.rows import Labelled, Origin
from components.shared.store.open_store import open_store
from components.synthesize.chunks import requests_of
from components.synthesize.replies import ReplyShards
from components.synthesize.settings import Assignment

# After a kill, these many replies at most, or the replies of these many seconds, are asked for again.
PART_REPLIES = 32
PART_SECONDS = 2.0
EMPTY = "no answer: the reply is empty"


class ChunkDone(BaseModel):
    """A finished chunk: its answers, how many failed (and why the first did), and the actor's usage so far.

    An empty answer of the teacher counts as failed: nothing can be learnt from it. A student's answer may be empty.

    `refused` counts the answers to rows that the model's chat template refuses; `refusal` describes the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: Origin
    index: int
    answers: int
    failed: int
    reason: str
    usage: Usage
    refused: int = 0
    refusal: str = ""


class Answerer:
    """Answers chunks. Opens the model of the origin that it is asked for, and closes the one before it.

    Args:
        assignment: the job's Assignment as JSON.
        threads: CPU threads for local models.
    """

    def __init__(self, assignment: str, threads: int) -> None:
        self.assignment = Assignment.model_validate_json(assignment)
        self.store = open_store(self.assignment.root).at(self.assignment.address)
        self.threads = threads
        self._origin: Origin | None = None
        self._generator: Generator | None = None
        self._opening = threading.Lock()

    def answer_chunk(self, origin: Origin, index: int, rows: Sequence[Labelled]) -> ChunkDone:
        """Generate the replies that a chunk still lacks, and write all of them. Raises what open_generator raises."""
        settings = self.assignment.settings
        shards = ReplyShards(self.store, origin)
        requests = requests_of(rows, settings.system_prompt, settings.samples_of(origin))
        replies = shards.known(index)
        missing = [request for request in requests if request.key not in replies]
        generator = self._open(origin)
        # A local model answers the complete chunk again: equal batches give equal floating-point results.
        in_parts = settings.model_of(origin).is_remote
        asked = generator.answer(missing if in_parts else requests, settings.sampling_of(origin))
        replies |= {reply.key: reply for reply in (_stored(asked, shards, index) if in_parts else asked)}
        shards.finish(index, [replies[request.key] for request in requests])
        return self._done(origin, index, [replies[request.key] for request in requests], generator.usage())

    def close(self) -> None:
        """Close the model that is open, if any."""
        if self._generator is not None:
            self._generator.close()
        self._generator = None

    @staticmethod
    def _done(origin: Origin, index: int, replies: list[Reply], usage: Usage) -> ChunkDone:
        failed = [reply.text for reply in replies if reply.failed]
        failed += [EMPTY for reply in replies if origin == "teacher" and not reply.text.strip()]
        refused = [f"row {reply.key!r}: {reply.text}" for reply in replies if reply.refused]
        return ChunkDone(
            origin=origin,
            index=index,
            answers=len(replies),
            failed=len(failed),
            reason=next(iter(failed), ""),
            usage=usage,
            refused=len(refused),
            refusal=next(iter(refused), ""),
        )

    def _open(self, origin: Origin) -> Generator:
        """The generator of this origin. Several threads may answer chunks of one origin at once and share it."""
        with self._opening:
            if self._generator is None or self._origin != origin:
                self.close()
                self._set_threads()
                self._generator = open_generator(self.assignment.settings.model_of(origin))
                self._origin = origin
            return self._generator

    def _set_threads(self) -> None:
        if not all(self.assignment.settings.model_of(o).is_remote for o in self.assignment.settings.asked):
            import torch

            torch.set_num_threads(self.threads)


def _stored(replies: Iterable[Reply], shards: ReplyShards, index: int) -> Iterator[Reply]:
    """Pass on replies, and write the good ones to the store, some at a time."""
    waiting: list[Reply] = []
    stored_at = time.monotonic()
    try:
        for reply in replies:
            yield reply
            if reply.finish != "error":
                waiting.append(reply)
            if len(waiting) >= PART_REPLIES or (waiting and time.monotonic() - stored_at > PART_SECONDS):
                shards.append(index, waiting)
                waiting, stored_at = [], time.monotonic()
    except TutelageError:
        if waiting:
            shards.append(index, waiting)
        raise
