"""The summary has words for whatever becomes of a critique."""

from components.critique.attempts import NO_ATTEMPT
from components.critique.combine import CONTINUATIONS, REASONS
from components.critique.mix import LEARNT
from components.critique.summarise import CONTINUED, FATES


def test_every_fate_has_words() -> None:
    assert FATES.keys() == {LEARNT, NO_ATTEMPT, *REASONS}
    assert CONTINUED.keys() == set(CONTINUATIONS)
