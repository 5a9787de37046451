"""The job of the synthesize step: Ray actors answer the chunks that are missing.

`python -m components.synthesize.generate --job URI`, where URI names the assignment (`job.json` at the address).
"""

from components.launch.hand_back.report import read_job, write_result
from components.launch.ray.environment import set_ray_environment
from components.launch.ray.program import run_program
from components.shared.outputs.library import Library
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
        with ray_session(assignment.settings.cores):
            work.run()
        work.keep_attempt()
    write_result(uri, combine(assignment, dataset))


if __name__ == "__main__":
    run_program(STEP.name, generate, __doc__)
