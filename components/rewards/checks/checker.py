"""What every kind of check does."""

from typing import ClassVar, Self

from components.shared.errors import SandboxError
from components.shared.log import say
from components.shared.rows import Check
from components.shared.sandbox.run_python import SandboxLimits


class Checker:
    """Tells right answers from wrong ones, and equal answers from different ones. Called from several threads.

    `question` is the instruction, for checks whose reading depends on it: the choices that it lists, or the function
    that it begins. Reasoning in tags is not part of an answer, and a response that was truncated in its reasoning has
    none.
    """

    has_reference: ClassVar[bool] = True
    """Whether `Check.answer` is a reference answer, which can be compared with that of a response."""

    is_graded: ClassVar[bool] = False
    """Whether scores between 0 and 1 are usual: then no response is right or wrong, and its score is its quality."""

    metric: ClassVar[str]
    """The name of the mean score of replies: for checks that are not graded, the share of replies that pass."""

    @classmethod
    def open(cls, limits: SandboxLimits) -> Self:
        """A checker that is ready; `limits` are those of one run of code in the sandbox."""
        return cls()

    @classmethod
    def parse_reference(cls, answer: str) -> str:
        """A reference answer of a data set in the form that the check compares; empty when it is not one."""
        return answer

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether a response gives the right answer."""
        raise NotImplementedError

    def score(self, check: Check, text: str, question: str = "") -> float:
        """How good a response is by the check, in [0, 1]: 1 where it passes and 0 elsewhere, unless it is graded."""
        return float(self.passes(check, text, question))

    def verdict(self, check: Check, text: str, question: str = "") -> bool | None:
        """As `passes`, but None where the check itself fails: nothing is known about the response then."""
        try:
            return self.passes(check, text, question)
        except SandboxError as error:
            say("checks", f"no verdict: {error.problem}")
            return None

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses give the same answer, right or wrong."""
        raise NotImplementedError

    def close(self) -> None:
        """End the processes that it started, if any."""
