"""Runs the job that standard input describes, as a step would: `python -m tests.cluster.run_job < JOB.json`."""

import sys

from components.launch.job import Job, run_job
from components.shared.errors import TutelageError


def main() -> None:
    """Exit as a step does: 0, or the error's code with its text."""
    try:
        run_job(Job.model_validate_json(sys.stdin.read()))
    except TutelageError as error:
        print(f"FAILED {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
