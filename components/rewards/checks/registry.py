"""The kinds of checks, as `Check.kind` names them. To add one, write a file beside this one and add a line."""

from components.rewards.checks.checker import Checker
from components.rewards.checks.choice_check import ChoiceChecker
from components.rewards.checks.chrf_check import ChrfChecker
from components.rewards.checks.code_check import CodeChecker
from components.rewards.checks.exact_check import ExactChecker
from components.rewards.checks.math_check import MathChecker
from components.shared.errors import InputError
from components.shared.sandbox.run_python import SandboxLimits

CHECKERS: dict[str, type[Checker]] = {
    "math": MathChecker,
    "exact": ExactChecker,
    "choice": ChoiceChecker,
    "chrf": ChrfChecker,
    "code": CodeChecker,
}


def open_checker(kind: str, limits: SandboxLimits) -> Checker:
    """The checker of a kind, ready; `limits` are those of one run of code. Raises InputError for an unknown kind."""
    if kind not in CHECKERS:
        raise InputError(
            f"a row has a check of kind {kind!r}",
            rule="the kind of a check is one that components/rewards/checks/registry.py lists",
            allowed=sorted(CHECKERS),
            remedy="collect the data again, with the version of Tutelage that scores it",
        )
    return CHECKERS[kind].open(limits)


def comparing_checks() -> list[str]:
    """The kinds that compare a response with a reference answer, such as a data set has."""
    return [kind for kind, checker in CHECKERS.items() if checker.has_reference]
