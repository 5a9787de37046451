"""Code checked by running its tests in the sandbox."""

from components.rewards.programs.read_code import read_code
from components.rewards.programs.write_program import program_of
from components.shared.rows import Check
from components.shared.sandbox import Limits, run_python


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

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether the tests pass after the response's code."""
        source = program_of(text, check.tests, check.entry_point, question)
        return run_python(source, limits=self.limits).completed

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses hold the same code; whether two programs do the same, nobody can tell."""
        return read_code(first).strip() == read_code(second).strip()

    def close(self) -> None:
        """Nothing is held."""
