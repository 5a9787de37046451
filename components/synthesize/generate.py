"""The job of the synthesize step: Ray actors answer the chunks that are missing.

`python -m components.synthesize.generate --job URI`, where URI names the assignment (`job.json` at the address).
"""

import argparse
import signal

from components.launch.hand_back.report import failures_recorded, read_job, write_result
from components.launch.ray.environment import set_ray_environment
from components.shared.outputs.library import Library
from components.shared.process.signals import sigterm_raises
from components.synthesize.combine import combine
from components.synthesize.settings import Assignment
from components.synthesize.step import STEP


def generate(uri: str) -> None:
    """Do the assignment at a URI: answer, combine, and write the result. Raises TutelageError."""
    assignment = read_job(uri, Assignment)
    dataset = Library(assignment.root).load(assignment.dataset)
    set_ray_environment()
    from components.launch.ray.session import ray_session
    from components.synthesize.drive import Work

    work = Work(assignment, dataset)
    if not work.complete:
        with ray_session(assignment.settings.actors * assignment.settings.cpus_per_actor):
            work.run()
        work.keep_attempt()
    write_result(uri, combine(assignment, dataset))


def main() -> None:
    """Run the job; the exit code is that of the error, if any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", required=True, help="URI of the assignment")
    uri: str = parser.parse_args().job
    # SIGTERM leaves through all the `finally`s: a Ray that was started for the job ends with it.
    with sigterm_raises(lambda: SystemExit(128 + signal.SIGTERM)), failures_recorded(uri, STEP.name):
        generate(uri)


if __name__ == "__main__":
    main()
