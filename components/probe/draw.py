"""The job of the probe: Ray actors draw and check the rollouts that are missing.

`python -m components.probe.draw --job URI`, where URI names the assignment (`job.json` at the address).
"""

import time

from components.launch.hand_back.report import read_job, write_result
from components.launch.ray.environment import set_ray_environment
from components.launch.ray.program import run_program
from components.models.rollouts.problems import problems_of, slices
from components.probe.results import ProbedShards, combine
from components.probe.settings import ProbeAssignment
from components.probe.step import STEP
from components.shared.outputs.library import Library
from components.shared.rows import Labelled
from components.shared.store.open_store import open_store


def draw(uri: str) -> None:
    """Do the assignment at a URI: draw, check, combine, and write the result. Raises TutelageError."""
    began = time.monotonic()
    assignment = read_job(uri, ProbeAssignment)
    settings, library = assignment.settings, Library(assignment.root)
    rows = library.read_rows(library.load(assignment.problems), Labelled)
    parts = list(slices(problems_of(rows, settings.system_prompt), settings.rows_per_shard))
    store = open_store(assignment.root).at(assignment.address)
    shards = ProbedShards(store)
    done = shards.done()
    missing = [part for part in parts if part[0] not in done]
    set_ray_environment()
    from components.launch.ray.session import ray_session
    from components.probe.drive import Drive

    if missing:
        with ray_session(settings.cores):
            Drive(assignment, missing, shards).run()
    write_result(uri, combine(store, settings, len(parts), time.monotonic() - began))


if __name__ == "__main__":
    run_program(STEP.name, draw, __doc__)
