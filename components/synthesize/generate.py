"""The job of the synthesize step: Ray actors answer the chunks that are missing.

`python -m components.synthesize.generate --job URI`, where URI names the assignment (`job.json` at the address).
"""

import argparse
import json
import os
import secrets
import signal
import sys
import traceback
from types import FrameType

from components.shared.errors import TutelageError
from components.shared.log import say
from components.shared.manifest import load_manifest
from components.shared.step import DEBUG_VARIABLE
from components.shared.store import open_store
from components.synthesize.assignment import FAILURE, RESULT, Assignment
from components.synthesize.combine import combine

STEP = "synthesize"


def generate(uri: str) -> None:
    """Do the assignment at a URI: answer, combine, and write the result. Raises TutelageError."""
    root, name = uri.rsplit("/", 1)
    assignment = Assignment.model_validate_json(open_store(root).read(name))
    dataset = load_manifest(assignment.root, assignment.dataset)
    set_ray_environment()
    from components.synthesize.drive import Work
    from components.synthesize.ray_session import ray_session

    work = Work(assignment, dataset)
    if not work.complete:
        with ray_session(assignment.settings.actors * assignment.settings.cpus_per_actor):
            work.run()
        work.keep_attempt()
    open_store(root).write(RESULT, combine(assignment, dataset).model_dump_json().encode())


def set_ray_environment() -> None:
    """What Ray reads when it is imported: no telemetry, and for a local Ray a token of this run alone.

    Ray 2.60 wants a token by default and looks for it below HOME, which a pod may not have; this one is never on the
    disk.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not os.environ.get("RAY_ADDRESS") and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _stop(signal_number: int, _frame: FrameType | None) -> None:
    """Leave through all the `finally`s: Ray ends with its job."""
    signal.signal(signal_number, signal.SIG_IGN)
    raise SystemExit(128 + signal_number)


def _record(error: TutelageError, uri: str) -> None:
    """Leave the error for the step, and say it. Nothing more may fail here."""
    parts = ("problem", "rule", "remedy", "allowed", "temporary")
    failure = {"type": type(error).__name__, **{part: getattr(error, part) for part in parts}}
    root, _ = uri.rsplit("/", 1)
    try:
        open_store(root).write(FAILURE, json.dumps(failure).encode())
    except TutelageError as other:
        say(STEP, f"the failure could not be recorded: {other.problem}")
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error, file=sys.stderr)
    say(STEP, f"FAILED {error}")


def main() -> None:
    """Run the job; the exit code is that of the error, if any."""
    signal.signal(signal.SIGTERM, _stop)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", required=True, help="URI of the assignment")
    uri: str = parser.parse_args().job
    try:
        generate(uri)
    except TutelageError as error:
        _record(error, uri)
        sys.exit(error.job_exit_code)


if __name__ == "__main__":
    main()
