"""Which files sandboxed code may touch, by Landlock (landlock(7), Linux 5.13; no privilege needed).

Raw system calls through ctypes: the calls have the same numbers on every architecture.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_FILE = 1 << 5, 1 << 8
TRUNCATE = 1 << 14
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Every right over files that a version of the interface knows; a right that is handled and not given is refused."""

WRITING_VERSION = 3
"""From this version on truncation is ruled on, so that writing can be confined (Linux 6.2)."""


def landlock_version() -> int:
    """The kernel's Landlock ABI version; 0 when it is missing, disabled or forbidden."""
    return max(0, int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _VERSION)))


def confine_files(readable: Iterable[str], writable: Iterable[str], folder: str) -> None:
    """Refuse this process every file but those below `readable`, those `writable`, and flat files in `folder`.

    Missing paths are skipped.

    Raises:
        OSError: the kernel refuses.
    """
    version = landlock_version()
    handled = _RIGHTS[max(known for known in _RIGHTS if known <= version)]
    libc = ctypes.CDLL(None, use_errno=True)
    ruleset = _checked(libc.syscall(_CREATE_RULESET, struct.pack("Q", handled), 8, 0))
    for path in readable:
        _permit(libc, ruleset, path, handled & (READ_FILE | READ_DIR))
    for path in writable:
        _permit(libc, ruleset, path, handled & (READ_FILE | WRITE_FILE | TRUNCATE))
    whole = READ_FILE | READ_DIR | WRITE_FILE | MAKE_FILE | REMOVE_FILE | TRUNCATE
    _permit(libc, ruleset, folder, handled & whole)
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _permit(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    if not Path(path).exists():
        return
    if not Path(path).is_dir():
        rights &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock refused: {os.strerror(code)}")
    return result
