"""Checks code by running its tests in the sandbox."""

from typing import ClassVar, Self

from components.rewards.checks.checker import Checker
from components.rewards.programs.read_code import read_code
from components.rewards.programs.write_program import program_of
from components.shared.rows import Check
from components.shared.sandbox.run_python import SandboxLimits, run_python


class CodeChecker(Checker):
    """A response is right when the tests that follow its code complete.

    Args:
        limits: of one run.

    Raises:
        SandboxError: this machine cannot confine it, and the limits do not waive that.
    """

    has_reference: ClassVar[bool] = False
    metric = "pass@1"

    def __init__(self, limits: SandboxLimits) -> None:
        self.limits = limits
        run_python("", limits=limits)

    @classmethod
    def open(cls, limits: SandboxLimits) -> Self:
        return cls(limits)

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether the tests pass with the response's code."""
        source = program_of(text, check.tests, check.entry_point, question)
        return run_python(source, limits=self.limits).completed

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses contain the same source; whether two programs behave alike is undecidable."""
        return read_code(first).strip() == read_code(second).strip()
