"""Replies with code, as RL draws them: right, wrong, and such as a sandbox has to end."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from components.shared.rows import Check, Labelled

PROBLEM = Labelled(
    id="add",
    source="made up",
    line=1,
    instruction="Write a function add(a, b) that returns the sum of two integers.",
    check=Check(kind="code", tests="assert add(2, 3) == 5\nassert add(-1, 1) == 0", entry_point="add"),
    type="code",
    primary="functions",
    secondary="sums",
)
MARK = "tutelage-benchmark-leak"
"""Begins the names of all files that programs write."""
OUTSIDE = ("/tmp", "/var/tmp", "/dev/shm", "..")
SUM = "    return a + b\n"


@dataclass(frozen=True)
class Kind:
    """One kind of reply.

    Attributes:
        code: the function, with what it does besides.
        is_right: the verdict that it deserves.
        share: of a mixture, relative to the others.
    """

    code: str
    is_right: bool
    share: float


def _tries(body: str, then: str) -> str:
    """A function that does something that the sandbox may refuse, and what follows."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return f"import os, sys, time\ndef add(a, b):\n    try:\n{lines}    except OSError:\n        pass\n{then}"


WRITES = f"""\
for folder in (".", *{OUTSIDE!r}):
    try:
        with open(f"{{folder}}/{MARK}-{{a}}-{{b}}", "w") as file:
            file.write("x" * 1000)
    except OSError:
        pass"""
FILLS = f"""\
for number in range(1000):
    with open(f"{MARK}-{{number}}", "w") as file:
        file.write("x" * 100000)"""

KINDS: Mapping[str, Kind] = {
    "right": Kind(f"def add(a, b):\n{SUM}", True, 40),
    "wrong": Kind("def add(a, b):\n    return a - b\n", False, 40),
    "unfinished": Kind("def add(a, b):\n    return (a +\n", False, 5),
    "raises": Kind("def add(a, b):\n    raise ValueError(a)\n", False, 5),
    "forks": Kind(_tries("while True:\n    os.fork()", SUM), True, 2),
    "starts a program": Kind(
        _tries("import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)", SUM), True, 2
    ),
    "writes files": Kind(_tries(WRITES, SUM), True, 2),
    "fills its folder": Kind(_tries(FILLS, "    return 0\n"), False, 1),
    "takes memory": Kind(
        "def add(a, b):\n    held = []\n    while True:\n        held.append(bytearray(1 << 20))\n", False, 1
    ),
    "floods its output": Kind("def add(a, b):\n    while True:\n        print('x' * 10000)\n", False, 1),
    "loops": Kind("def add(a, b):\n    while True:\n        pass\n", False, 1),
    "sleeps": Kind("import time\ndef add(a, b):\n    time.sleep(600)\n", False, 0.25),
}


def reply_of(kind: str) -> str:
    """A reply of a kind, as a model writes it."""
    return f"Here is the function:\n```python\n{KINDS[kind].code}```\n"


def mixture(programs: int, seed: int) -> list[str]:
    """The kinds of a mixture in a drawn order: each by its share, at least one of each."""
    total = sum(kind.share for kind in KINDS.values())
    kinds = [name for name, kind in KINDS.items() for _ in range(max(1, round(programs * kind.share / total)))]
    random.Random(seed).shuffle(kinds)
    return kinds
