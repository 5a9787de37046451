"""The kinds of checks. A new one is a file beside this one, a line below, and its name in `rows.Check`."""

from collections.abc import Callable

from components.rewards.checks.checker import Checker
from components.rewards.checks.choice_check import ChoiceChecker
from components.rewards.checks.code_check import CodeChecker
from components.rewards.checks.exact_check import ExactChecker
from components.rewards.checks.math_check import MathChecker
from components.shared.sandbox import Limits

CHECKERS: dict[str, Callable[[Limits], Checker]] = {
    "math": lambda _: MathChecker(),
    "exact": lambda _: ExactChecker(),
    "choice": lambda _: ChoiceChecker(),
    "code": CodeChecker,
}
