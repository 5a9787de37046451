"""The program of the sandboxed process: confines itself, then runs the source. Standard library only; never imported.

stdin holds a line of JSON (see `run_python.py`), the source, and then what the source itself may read. The descriptor
named there takes two lines: `ready` and the mechanisms in force (or `refused` and why), and the token once the source
has run to its end.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import types
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
ROOT = str(Path(__file__).resolve().parents[3])
"""The folder of `components`; on the path only while this module imports its neighbours."""


def read_exactly(count: int) -> bytes:
    """Exactly `count` bytes from stdin: the rest belongs to the source."""
    parts = []
    while count and (part := os.read(0, count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_header() -> dict[str, Any]:
    """The first line of stdin: its length in eight digits, then JSON."""
    header: dict[str, Any] = json.loads(read_exactly(int(read_exactly(8))))
    return header


def set_limits(limits: dict[str, tuple[int, int]]) -> None:
    """Limit this process (setrlimit(2)); core files are never written."""
    for name, (soft, hard) in {"CORE": (0, 0), **limits}.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)  # noqa: PLW2901 - nobody may raise a hard limit
        resource.setrlimit(kind, (soft, hard))


def readable_paths() -> list[str]:
    """Python's library, the shared libraries it is linked with, and time zones."""
    library = [path for path in sys.path if path]
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"]
    return [*library, f"{sys.base_prefix}/lib", *system, "/usr/share/zoneinfo", "/etc/localtime"]


def confine(folder: str) -> list[str]:
    """Install Landlock where the kernel has it, and the filter. Returns the mechanisms in force. Raises OSError."""
    from components.shared.sandbox import landlock, system_calls

    version = landlock.landlock_version()
    if version:
        landlock.confine_files(readable_paths(), ["/dev/null"], folder)
    system_calls.install_filter(writing=version >= landlock.WRITING_VERSION)
    return ["rlimits", "seccomp", *(["landlock"] if version else [])]


def prepare(header: dict[str, Any]) -> bool:
    """Limit and confine this process, and report how; False when that fails."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != header["parent"]:
        return False
    report = header["report"]
    try:
        set_limits(header["limits"])
        mechanisms = confine(".") if header["confined"] else ["rlimits"]
    except (OSError, ValueError) as error:
        os.write(report, f"refused {error}\n".encode())
        return False
    os.write(report, f"ready {' '.join(mechanisms)}\n".encode())
    return True


def main() -> None:
    """Confine, run, and say that the end was reached."""
    header = read_header()
    source = read_exactly(header["source_bytes"]).decode("utf-8", "surrogatepass")
    sys.path.append(ROOT)
    ready = prepare(header)
    sys.path.remove(ROOT)
    if not ready:
        os._exit(70)
    os.environ.clear()
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    exec(compile(source, "program.py", "exec"), module.__dict__)  # noqa: S102 - this is what the sandbox is for
    os.write(header["report"], f"{header['token']}\n".encode())


if __name__ == "__main__":
    main()
