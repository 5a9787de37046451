"""The job of the probe: Ray actors draw and check the rollouts that are missing.

`python -m components.probe.draw --job URI`, where URI names the assignment (`job.json` at the address).
"""

import argparse
import signal
import time

from components.launch.hand_back.report import failures_recorded, read_job, write_result
from components.launch.ray.environment import set_ray_environment
from components.probe.problems import problems_of, slices
from components.probe.results import ProbedShards, combine
from components.probe.settings import ProbeAssignment
from components.probe.step import STEP
from components.shared.outputs.library import Library
from components.shared.process.signals import sigterm_raises
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
        with ray_session(settings.actors * settings.cpus_per_actor):
            Drive(assignment, missing, shards).run()
    write_result(uri, combine(store, settings, len(parts), time.monotonic() - began))


def main() -> None:
    """Run the job; the exit code is that of the error, if any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", required=True, help="URI of the assignment")
    uri: str = parser.parse_args().job
    # SIGTERM leaves through all the `finally`s: a Ray that was started for the job ends with it.
    with sigterm_raises(lambda: SystemExit(128 + signal.SIGTERM)), failures_recorded(uri, STEP.name):
        draw(uri)


if __name__ == "__main__":
    main()
