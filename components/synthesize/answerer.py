"""The actor: answers chunks as one origin or another, and keeps the replies in the store."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from components.models.teacher import Reply, Teacher, Usage, open_teacher
from components.shared.errors import TutelageError
from components.shared.rows import Labelled, Origin
from components.shared.store import open_store
from components.synthesize.assignment import Assignment
from components.synthesize.chunks import requests_of
from components.synthesize.replies import ReplyShards

# A killed run asks again for what was in flight and for at most so many replies, or so many seconds of them.
PART_REPLIES = 32
PART_SECONDS = 2.0
EMPTY = "no answer: the reply is empty"


class ChunkDone(BaseModel):
    """A finished chunk: its rows, how many failed (and why the first did), and the actor's usage until now.

    An empty answer of the teacher is a failed one: nothing can be learnt from it. A student may have nothing to say.

    `refused` counts the rows that the model's chat template refuses; `refusal` tells of the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: Origin
    index: int
    rows: int
    failed: int
    reason: str
    usage: Usage
    refused: int = 0
    refusal: str = ""


class Answerer:
    """Answers chunks. Opens the model it is asked to be, and closes the one before it.

    Args:
        assignment: the job's Assignment as JSON.
        threads: CPU threads for local models.
    """

    def __init__(self, assignment: str, threads: int) -> None:
        self.assignment = Assignment.model_validate_json(assignment)
        self.store = open_store(self.assignment.root).at(self.assignment.address)
        self.threads = threads
        self._origin: Origin | None = None
        self._teacher: Teacher | None = None
        self._opening = threading.Lock()

    def answer_chunk(self, origin: Origin, index: int, rows: Sequence[Labelled]) -> ChunkDone:
        """Ask for the replies that a chunk still lacks, and write all of them. Raises what open_teacher raises."""
        settings = self.assignment.settings
        shards = ReplyShards(self.store, origin)
        requests = requests_of(rows, settings.system_prompt)
        replies = shards.known(index)
        missing = [request for request in requests if request.key not in replies]
        teacher = self._open(origin)
        # A local model answers a chunk again as a whole: its batches, and with them the last bits, stay the same.
        in_parts = settings.model_of(origin).backend == "openai"
        asked = teacher.answer(missing if in_parts else requests, settings.sampling_of(origin))
        replies |= {reply.key: reply for reply in (_kept(asked, shards, index) if in_parts else asked)}
        shards.finish(index, [replies[request.key] for request in requests])
        return self._done(origin, index, [replies[request.key] for request in requests], teacher.usage())

    @staticmethod
    def _done(origin: Origin, index: int, replies: list[Reply], usage: Usage) -> ChunkDone:
        failed = [reply.text for reply in replies if reply.failed]
        failed += [EMPTY for reply in replies if origin == "teacher" and not reply.text.strip()]
        refused = [f"row {reply.key!r}: {reply.text}" for reply in replies if reply.refused]
        return ChunkDone(
            origin=origin,
            index=index,
            rows=len(replies),
            failed=len(failed),
            reason=next(iter(failed), ""),
            usage=usage,
            refused=len(refused),
            refusal=next(iter(refused), ""),
        )

    def _open(self, origin: Origin) -> Teacher:
        """The teacher of this origin. Chunks of one origin may run in several threads at once, which share it."""
        with self._opening:
            if self._teacher is None or self._origin != origin:
                if self._teacher is not None:
                    self._teacher.close()
                self._set_threads()
                self._teacher = open_teacher(self.assignment.settings.model_of(origin))
                self._origin = origin
            return self._teacher

    def _set_threads(self) -> None:
        if any(self.assignment.settings.model_of(o).backend != "openai" for o in self.assignment.settings.asked):
            import torch

            torch.set_num_threads(self.threads)


def _kept(replies: Iterable[Reply], shards: ReplyShards, index: int) -> Iterator[Reply]:
    """Pass on replies and keep good ones, some at a time."""
    waiting: list[Reply] = []
    kept_at = time.monotonic()
    try:
        for reply in replies:
            yield reply
            if reply.finish != "error":
                waiting.append(reply)
            if len(waiting) >= PART_REPLIES or (waiting and time.monotonic() - kept_at > PART_SECONDS):
                shards.append(index, waiting)
                waiting, kept_at = [], time.monotonic()
    except TutelageError:
        if waiting:
            shards.append(index, waiting)
        raise
