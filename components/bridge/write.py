"""The job of bridge: Ray actors ask the teacher, and then the student, for what is missing.

`python -m components.bridge.write --job URI`, where URI names the assignment (`job.json` at the address).
"""

import time

from components.bridge.combine import combine
from components.bridge.results import SFT, BridgeShards
from components.bridge.settings import BridgeAssignment
from components.bridge.step import STEP
from components.launch.hand_back.report import read_job, write_result
from components.launch.ray.environment import set_ray_environment
from components.launch.ray.program import run_program
from components.models.rollouts.problems import Problem, problems_of, slices
from components.shared.outputs.library import Library
from components.shared.rollout_rows import Routed
from components.shared.store.open_store import open_store


def write(uri: str) -> None:
    """Do the assignment at a URI: ask, check, measure, choose, and write the result. Raises TutelageError."""
    began = time.monotonic()
    assignment = read_job(uri, BridgeAssignment)
    parts = slices_of(assignment)
    shards = BridgeShards(open_store(assignment.root).at(assignment.address))
    set_ray_environment()
    from components.bridge.drive import BridgeDrive
    from components.launch.ray.session import ray_session

    if len(shards.done() & shards.written()) < len(parts):
        with ray_session(assignment.settings.cores):
            BridgeDrive(assignment, parts, shards).run()
    write_result(uri, combine(assignment, len(parts), time.monotonic() - began))


def slices_of(assignment: BridgeAssignment) -> list[tuple[int, list[Problem]]]:
    """The problems to teach, in slices with their numbers."""
    library, settings = Library(assignment.root), assignment.settings
    rows = library.read_rows(library.load(assignment.routed), Routed, SFT)
    return list(slices(problems_of(rows, settings.system_prompt), settings.rows_per_shard))


if __name__ == "__main__":
    run_program(STEP.name, write, __doc__)
