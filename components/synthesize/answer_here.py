"""Answers few rows in this process, one chunk after the other: to start Ray for them would take longer than they do."""

import time

from components.launch.hand_back.files import JobResult
from components.shared.errors import GenerationError
from components.shared.log import Progress, say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.shards import count_rows
from components.shared.rows import Labelled, Origin
from components.shared.store.open_store import open_store
from components.synthesize.answerer import Answerer
from components.synthesize.chunks import slices
from components.synthesize.combine import combine
from components.synthesize.effort import AttemptEffort, AttemptFile, Effort, effort_of
from components.synthesize.replies import ReplyShards
from components.synthesize.settings import Assignment


def answer_here(assignment: Assignment, dataset: Manifest) -> JobResult:
    """Do what the job does: answer the missing chunks, join them with their rows, and return the result.

    Raises:
        GenerationError: a model cannot be reached, or too many of its answers failed.
        ModelError: a local model cannot be loaded.
        EmptyDataError: no row has a response, because chat templates refuse them.
    """
    store = open_store(assignment.root).at(assignment.address)
    began = time.monotonic()
    efforts = {origin: _answer(assignment, dataset, origin) for origin in assignment.settings.asked}
    AttemptFile(store).write(AttemptEffort(seconds=time.monotonic() - began, efforts=efforts))
    return combine(assignment, dataset)


def _answer(assignment: Assignment, dataset: Manifest, origin: Origin) -> Effort:
    """Answer the missing chunks of one origin; returns what it took, without loading the model."""
    settings, store = assignment.settings, open_store(assignment.root).at(assignment.address)
    shards, answerer = ReplyShards(store, origin), Answerer(assignment.model_dump_json(), settings.cpus_per_actor)
    progress = Progress("synthesize", f"answers of the {origin}", count_rows(dataset))
    done, usage, failed, reason, answers = shards.done(), None, 0, "", 0
    try:
        for index, rows in slices(Library(assignment.root).read_rows(dataset, Labelled), settings.rows_per_shard):
            if index not in done:
                chunk = answerer.answer_chunk(origin, index, rows)
                usage, reason, failed = chunk.usage, reason or chunk.reason, failed + chunk.failed
            answers += len(shards.read(index))
            progress.advance(len(rows))
    finally:
        answerer.close()
    progress.finish()
    _require_few_failed(origin, failed, answers, settings.failed_share, reason)
    return effort_of([usage] if usage else [], usage.wall_seconds if usage else 0.0)


def _require_few_failed(origin: Origin, failed: int, answers: int, allowed: float, reason: str) -> None:
    """Raises GenerationError when too many answers failed."""
    if failed > allowed * answers:
        raise GenerationError(
            f"{failed} of {answers} answers of the {origin} failed; the first: {reason}",
            rule=f"at most {allowed:.1%} may fail",
            remedy="fix what the message names and run again: good answers are kept",
        )
    if failed:
        say("synthesize", f"{failed} of {answers} answers of the {origin} failed; the first: {reason}")
