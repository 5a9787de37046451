"""A process ends with the one that started it, also when that one ended before the process could ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.launch.here.follow_parent import PARENT_VARIABLE, parent_variable

ROOT = Path(__file__).parents[3]
STAYS = "from components.launch.here.follow_parent import die_with_parent\ndie_with_parent({})\nprint('stays')"
GONE = 2**22 + 1
"""A process id that Linux never assigns: PID_MAX_LIMIT is 2^22."""


def program(arguments: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", STAYS.format(arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    "started",
    [(f"parent={GONE}", {}), ("", {PARENT_VARIABLE: str(GONE)})],
    ids=["argument", "environment"],
)
def test_a_program_whose_parent_has_ended_already_ends_at_once(started: tuple[str, dict[str, str]]) -> None:
    arguments, environment = started
    ended = program(arguments, **environment)
    assert (ended.returncode, ended.stdout) == (-9, "")


def test_a_program_of_a_living_parent_stays() -> None:
    assert program(**parent_variable()).stdout == "stays\n"
    assert program().stdout == "stays\n"
