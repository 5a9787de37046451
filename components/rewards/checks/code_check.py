"""Code checked by running its tests in the sandbox."""

import re

from components.shared.rows import Check
from components.shared.sandbox import Limits, run_python

_FENCE = re.compile(r"```[ \t]*(?:python|python3|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


class CodeChecker:
    """Right is code after which the tests run to their end.

    Args:
        limits: of one run.

    Raises:
        SandboxError: this machine cannot confine it, and the limits do not waive that.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        run_python("", limits=limits)

    def passes(self, check: Check, text: str) -> bool:
        """Whether the tests pass after the response's code."""
        return run_python(program_of(check, text), limits=self.limits).completed

    def same(self, first: str, second: str) -> bool:
        """Whether two responses hold the same code; whether two programs do the same, nobody can tell."""
        return read_code(first).strip() == read_code(second).strip()

    def close(self) -> None:
        """Nothing is held."""


def read_code(text: str) -> str:
    """The longest fenced block of a response, or all of it where there is none."""
    blocks = _FENCE.findall(text)
    return str(max(blocks, key=len)) if blocks else text


def program_of(check: Check, text: str) -> str:
    """The response's code, the tests, and the call of HumanEval's `check` where the tests define one."""
    call = f"check({check.entry_point})" if check.entry_point and "def check(" in check.tests else ""
    return f"{read_code(text)}\n\n{check.tests}\n\n{call}\n"
