"""Assigns the missing chunks to Ray actors, and counts what they return."""

# ruff: noqa: TID253 - imported by the job's own program only
import itertools
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from components.launch.ray.actors import WAIT_SECONDS, Make, actor_beside_driver, local_actors, maker, result_of
from components.models.generators.generator import Usage
from components.shared.errors import GenerationError
from components.shared.log import Progress, say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.shards import count_rows
from components.shared.rows import Labelled, Origin
from components.shared.store.open_store import open_store
from components.synthesize.answerer import Answerer, ChunkDone
from components.synthesize.chunks import slices
from components.synthesize.effort import AttemptEffort, AttemptFile, effort_of
from components.synthesize.replies import ReplyShards
from components.synthesize.settings import Assignment

WINDOWS_AHEAD = 3
# After this many replies, an origin is given up if most of its answers fail.
EARLY_REPLIES = 100

ChunkTask = tuple[Origin, int, list[Labelled]]


@dataclass(eq=False)
class Lane:
    """Actors that run the same tasks. `free` lists an actor once for each task that it can take.

    With `one_by_one`, all tasks of an origin end before those of the next origin start.
    """

    tasks: Iterator[ChunkTask]
    free: deque[Any]
    one_by_one: bool
    busy: int = 0
    origin: Origin | None = None
    ahead: ChunkTask | None = field(default=None)

    def take(self) -> ChunkTask | None:
        """The next task, if one may start now."""
        self.ahead = self.ahead or next(self.tasks, None)
        if self.ahead is None or not self.free:
            return None
        if self.one_by_one and self.busy and self.ahead[0] != self.origin:
            return None
        task, self.ahead = self.ahead, None
        self.origin = task[0]
        self.busy += 1
        return task


class Work:
    """The chunks of one assignment: which are missing, which actor answers them, and the totals."""

    def __init__(self, assignment: Assignment, dataset: Manifest) -> None:
        self.assignment, self.settings = assignment, assignment.settings
        self.store = open_store(assignment.root).at(assignment.address)
        self.dataset = dataset
        self.rows = count_rows(self.dataset)
        self.wanted = {origin: self.rows * self.settings.samples_of(origin) for origin in self.settings.asked}
        self.done = {origin: ReplyShards(self.store, origin).done() for origin in self.settings.asked}
        self.attempt_file = AttemptFile(self.store)
        self.began = time.monotonic()
        self.first: dict[Origin, float] = {}
        self.last: dict[Origin, float] = {}
        self.usages: dict[Origin, dict[Any, Usage]] = {origin: {} for origin in self.settings.asked}
        self.failed: dict[Origin, int] = dict.fromkeys(self.settings.asked, 0)
        self.refused: dict[Origin, int] = dict.fromkeys(self.settings.asked, 0)
        self.replies: dict[Origin, int] = dict.fromkeys(self.settings.asked, 0)
        self.reasons: dict[Origin, str] = {}
        self.progress: dict[Origin, Progress] = {}

    @property
    def complete(self) -> bool:
        """Whether no chunk is missing."""
        return all(len(done) == math.ceil(self.rows / self.settings.rows_per_shard) for done in self.done.values())

    def run(self) -> None:
        """Answer all missing chunks. Raises TutelageError."""
        lanes = self._lanes()
        in_flight: dict[Any, tuple[Lane, Any]] = {}
        while True:
            for lane in lanes:
                while (task := lane.take()) is not None:
                    actor = lane.free.popleft()
                    self.first.setdefault(task[0], time.monotonic())
                    in_flight[actor.answer_chunk.remote(*task)] = (lane, actor)
            if not in_flight:
                break
            # A bounded wait, so that signals are handled.
            ready, _ = ray.wait(list(in_flight), num_returns=1, timeout=WAIT_SECONDS)
            for reference in ready:
                lane, actor = in_flight.pop(reference)
                lane.busy -= 1
                lane.free.append(actor)
                self._note(actor, result_of(reference, "finished chunks are kept"))
        self._note_failures()

    def _lanes(self) -> list[Lane]:
        """One lane for local models, and one for each group of remote models that share no endpoint with another."""
        local = [origin for origin in self.settings.asked if not self.settings.model_of(origin).is_remote]
        lanes = [self._local_lane(local)] if local else []
        for origins in self._sharing_endpoints():
            windows = max(self.settings.model_of(origin).most_in_flight for origin in origins)
            tasks = math.ceil(WINDOWS_AHEAD * windows / self.settings.rows_per_shard) + 1
            lanes.append(Lane(self._tasks(origins), actor_beside_driver(self._make, tasks), one_by_one=True))
        return lanes

    def _local_lane(self, origins: Sequence[Origin]) -> Lane:
        settings = self.settings
        missing = sum(math.ceil(self.rows / settings.rows_per_shard) - len(self.done[origin]) for origin in origins)
        actors = local_actors("synthesize", self._make, settings, missing)
        return Lane(self._tasks(origins), actors, one_by_one=False)

    @property
    def _make(self) -> Make:
        return maker(Answerer, self.assignment.model_dump_json(), self.settings.cpus_per_actor)

    def _sharing_endpoints(self) -> list[list[Origin]]:
        remote = [origin for origin in self.settings.asked if self.settings.model_of(origin).is_remote]
        sets = [self.settings.model_of(origin).served_by for origin in remote]
        return [remote] if len(remote) == 2 and sets[0] & sets[1] else [[origin] for origin in remote]

    def _tasks(self, origins: Sequence[Origin]) -> Iterator[ChunkTask]:
        return itertools.chain.from_iterable(self._missing(origin) for origin in origins)

    def _missing(self, origin: Origin) -> Iterator[ChunkTask]:
        done, size = self.done[origin], self.settings.rows_per_shard
        already = sum(min(size, self.rows - index * size) for index in done)
        if already >= self.rows:
            return
        samples = self.settings.samples_of(origin)
        self.progress[origin] = Progress(
            "synthesize", f"answers of the {origin}", self.wanted[origin], already=already * samples
        )
        rows = Library(self.assignment.root).read_rows(self.dataset, Labelled)
        for index, chunk in slices(rows, size):
            if index not in done:
                yield origin, index, chunk

    def _note(self, actor: Any, chunk: ChunkDone) -> None:
        """Count a finished chunk. Raises GenerationError."""
        origin = chunk.origin
        self.last[origin] = time.monotonic()
        self.usages[origin][actor] = chunk.usage
        self.progress[origin].advance(chunk.answers)
        self.keep_attempt()
        self.failed[origin] += chunk.failed
        if chunk.refused and not self.refused[origin]:
            say(
                "synthesize",
                f"rows that the {origin}'s chat template refuses get no answer; the first: {chunk.refusal}",
            )
        self.refused[origin] += chunk.refused
        self.replies[origin] += chunk.answers
        if chunk.failed:
            self.reasons.setdefault(origin, chunk.reason)
        self._judge(origin)
        if self.progress[origin].complete:
            self.progress[origin].finish()

    def _judge(self, origin: Origin) -> None:
        """Raise GenerationError once too many answers have failed, or are very likely to."""
        failed, replies, wanted = self.failed[origin], self.replies[origin], self.wanted[origin]
        allowed = self.settings.failed_share
        hopeless = allowed < 1 and replies >= EARLY_REPLIES and failed > replies * (1 + allowed) / 2
        if failed <= allowed * wanted and not hopeless:
            return
        asked = f"the first {replies} of {wanted}" if replies < wanted else f"{wanted}"
        raise GenerationError(
            f"{failed} of {asked} answers of the {origin} failed; the first: {self.reasons[origin]}",
            rule=f"at most {allowed:.1%} may fail (failed_share)",
            remedy="fix what the message names and run again: good answers are kept; or raise failed_share",
        )

    def _note_failures(self) -> None:
        for origin, reason in self.reasons.items():
            say(
                "synthesize",
                f"{self.failed[origin]} of {self.wanted[origin]} answers of the {origin} failed; the first: {reason}",
            )

    def keep_attempt(self) -> None:
        """Write what this attempt has taken so far."""
        efforts = {
            origin: effort_of(list(self.usages[origin].values()), self.last[origin] - self.first[origin])
            for origin in self.last
        }
        self.attempt_file.write(AttemptEffort(seconds=time.monotonic() - self.began, efforts=efforts))
