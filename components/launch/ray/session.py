"""Ray for the duration of one job: the cluster that RAY_ADDRESS names, or a local one."""

# ruff: noqa: TID253 - imported by the job's own program only
import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ray

from components.shared.errors import JobError
from components.shared.log import say

# Chunks of rows are all that passes through the object store.
OBJECT_STORE_BYTES = 200 * 2**20


@contextlib.contextmanager
def ray_session(cpus: int) -> Iterator[None]:
    """Connect to a cluster, or start Ray here and remove everything of it at the end.

    Args:
        cpus: cores that the actors request; a local Ray advertises this many, whatever the machine has.
    """
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.ERROR)
        try:
            yield
        finally:
            ray.shutdown()
        return
    with _session_folder() as folder:
        try:
            _start(folder, cpus)
            yield
        finally:
            ray.shutdown()


def _start(folder: Path, cpus: int) -> None:
    """Start Ray here, with a second attempt: its start times out after 30 s, which is short on a busy machine."""
    for attempts_left in (1, 0):
        try:
            ray.init(
                address="local",
                num_cpus=max(cpus, 1),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                logging_level=logging.ERROR,
                _temp_dir=str(folder),
            )
            return
        except Exception as error:  # Ray raises a plain Exception for a node that starts too slowly
            ray.shutdown()
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            if not attempts_left:
                raise JobError(
                    f"Ray did not start: {reason}",
                    rule="Ray's processes start within half a minute",
                    remedy="check that memory, CPU, /tmp and /dev/shm are not exhausted, then run again",
                    temporary=True,
                ) from error
            say("ray", f"Ray did not start ({reason}); starting it again")


@contextlib.contextmanager
def _session_folder() -> Iterator[Path]:
    """A folder with a short path: it holds Ray's sockets, and the path of a Unix socket is limited to 107 bytes."""
    prefix = f"tutelage-ray-{os.getuid()}-"
    _remove_left(prefix)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(prefix: str) -> None:
    """Remove the folders that killed jobs of this user left."""
    for folder in Path("/tmp").glob(f"{prefix}*"):  # noqa: S108 - see _session_folder
        process = folder.name.removeprefix(prefix).split("-", 1)[0]
        if not Path(f"/proc/{process}").exists():
            shutil.rmtree(folder, ignore_errors=True)
