"""The frame of a Ray job's program: `python -m MODULE --job URI`, where URI names the job file."""

import argparse
import signal
from collections.abc import Callable

from components.launch.hand_back.report import failures_recorded
from components.shared.process.signals import sigterm_raises


def run_program(step: str, work: Callable[[str], None], description: str | None) -> None:
    """Run the job; the exit code is that of the error, if any.

    Args:
        step: the step's name in the log.
        work: does the assignment at a URI, and writes the result.
        description: of the program, for `--help`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--job", required=True, help="URI of the assignment")
    uri: str = parser.parse_args().job
    # SIGTERM leaves through all the `finally`s: a Ray that was started for the job ends with it.
    with sigterm_raises(lambda: SystemExit(128 + signal.SIGTERM)), failures_recorded(uri, step):
        work(uri)
