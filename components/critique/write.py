"""The job of critique: Ray actors ask the teacher for what is missing.

`python -m components.critique.write --job URI`, where URI names the assignment (`job.json` at the address).
"""

import time

from components.critique.assigned import assigned
from components.critique.combine import combine
from components.critique.settings import CritiqueAssignment
from components.critique.step import STEP
from components.launch.hand_back.report import read_job, write_result
from components.launch.ray.environment import set_ray_environment
from components.launch.ray.program import run_program


def write(uri: str) -> None:
    """Do the assignment at a URI: ask, check, choose, and write the result. Raises TutelageError."""
    began = time.monotonic()
    assignment = read_job(uri, CritiqueAssignment)
    work = assigned(assignment)
    set_ray_environment()
    from components.critique.drive import critique_slices
    from components.launch.ray.session import ray_session

    if missing := work.missing():
        with ray_session(assignment.settings.cores):
            critique_slices(assignment, missing, work.shards)
    write_result(uri, combine(assignment, work.chosen, len(work.parts), time.monotonic() - began))


if __name__ == "__main__":
    run_program(STEP.name, write, __doc__)
