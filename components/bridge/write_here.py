"""Teaches few problems in this process, one slice after the other: to start Ray for them would take longer."""

import time

from components.bridge.combine import BridgeResult, combine
from components.bridge.results import BridgeShards
from components.bridge.settings import BridgeAssignment
from components.bridge.trace_scorer import TraceScorer
from components.bridge.trace_writer import TraceWriter
from components.bridge.write import slices_of
from components.models.rollouts.failed_rollouts import FailedRollouts
from components.models.rollouts.problems import kinds_of
from components.shared.store.open_store import open_store


def write_here(assignment: BridgeAssignment) -> BridgeResult:
    """Do what the job does: make the missing slices, and return what all of them say.

    Raises what `TraceWriter`, `TraceScorer`, `FailedRollouts` and `combine` raise.
    """
    settings, began = assignment.settings, time.monotonic()
    shards = BridgeShards(open_store(assignment.root).at(assignment.address))
    parts = slices_of(assignment)
    kinds = kinds_of(problem for _, part in parts for problem in part)
    arguments = (assignment.model_dump_json(), kinds, settings.cpus_per_actor)
    missing = [part for part in parts if part[0] not in shards.written()]
    writer, failures = TraceWriter(*arguments), FailedRollouts("bridge", settings.failed_share, shards.discard)
    try:
        for part in missing:
            done = writer.write_slice(*part)
            failures.note(done.index, done.asked, done.failed, done.reason)
    finally:
        writer.close()
    failures.judge()
    finished = shards.done() - {index for index, _ in missing}
    scorer = TraceScorer(*arguments)
    try:
        for index, _ in parts:
            if index not in finished:
                scorer.score_slice(index)
    finally:
        scorer.close()
    return combine(assignment, len(parts), time.monotonic() - began)
