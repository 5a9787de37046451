"""Grades free text by its likeness to a reference: chrF, the F-score of character n-grams.

Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015, https://aclanthology.org/W15-3049; the
implementation is sacreBLEU's (Post, "A call for clarity in reporting BLEU scores", arXiv 1804.08771) with its defaults,
signature nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no: n-grams of 1 to 6 characters, recall with twice the weight of
precision, case counts, white space does not.
"""

from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from components.rewards.checks.checker import Checker
from components.shared.errors import SettingsError
from components.shared.rows import Check
from components.shared.thought import answer_of

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF

DECIMALS = 6


class ChrfChecker(Checker):
    """The chrF of a response against the reference, from 0 to 1: 1 is the same text, 0 has no character of it.

    Raises:
        SettingsError: sacrebleu is not installed.
    """

    is_graded: ClassVar[bool] = True
    metric = "chrf"

    def __init__(self) -> None:
        if find_spec("sacrebleu") is None:
            raise SettingsError(
                "checks of kind 'chrf' need the package sacrebleu",
                remedy="install tutelage[select], or collect the data without checks",
            )

    @cached_property
    def _metric(self) -> "CHRF":
        from sacrebleu.metrics.chrf import CHRF

        return CHRF()

    def score(self, check: Check, text: str, question: str = "") -> float:
        """chrF of a single response, divided by 100; n-grams longer than either text are left out."""
        found = self._metric.sentence_score(answer_of(text).strip(), [check.answer.strip()])
        return round(found.score / 100, DECIMALS)

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether the response has the characters of the reference, white space aside."""
        return self.score(check, text, question) == 1.0

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses are equal, white space aside."""
        return answer_of(first).split() == answer_of(second).split() != []
