"""Probes few problems in this process, one slice after the other: to start Ray for them would take longer."""

import time

from components.models.rollouts.failed_rollouts import FailedRollouts
from components.models.rollouts.problems import kinds_of, problems_of, slices
from components.probe.drawer import Drawer
from components.probe.results import ProbedShards, ProbeResult, combine
from components.probe.settings import ProbeAssignment
from components.shared.log import Progress
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Labelled
from components.shared.store.open_store import open_store


def draw_here(assignment: ProbeAssignment, dataset: Manifest) -> ProbeResult:
    """Do what the job does: draw and check the missing slices, and return what all of them say.

    Raises what `Drawer`, `FailedRollouts` and `combine` raise.
    """
    settings, began = assignment.settings, time.monotonic()
    store = open_store(assignment.root).at(assignment.address)
    problems = problems_of(Library(assignment.root).read_rows(dataset, Labelled), settings.system_prompt)
    parts = list(slices(problems, settings.rows_per_shard))
    shards = ProbedShards(store)
    done, failures = shards.done(), FailedRollouts("probe", settings.failed_share, shards.discard)
    progress = Progress("probe", "problems", len(problems))
    drawer = Drawer(assignment.model_dump_json(), kinds_of(problems), settings.cpus_per_actor)
    try:
        for index, part in parts:
            if index not in done:
                drawn = drawer.draw_slice(index, part)
                failures.note(index, drawn.drawn + drawn.kept, drawn.failed, drawn.reason)
            progress.advance(len(part))
    finally:
        drawer.close()
    failures.judge()
    progress.finish()
    return combine(store, settings, len(parts), time.monotonic() - began)
