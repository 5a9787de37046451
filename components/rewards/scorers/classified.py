"""Sequence classification of rows: of their requests and of their responses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from components.models.conversation.chat_template import Refusal
from components.models.not_finite import require_finite
from components.rewards.measured import Measured
from components.rewards.scorers.sequence_classifier import SequenceClassifier
from components.shared.rows import Answered, Message

REQUEST = -1
"""Used instead of the index of a response: the request itself."""

ResponseIndex = tuple[int, int]
"""The number of a row, and the index of its response."""


@dataclass(frozen=True)
class Classified:
    """Logits by row and response, the first refusal by row, and the rows whose text spells a control token."""

    logits: dict[ResponseIndex, list[float]]
    refusals: dict[int, Refusal]
    control_text: frozenset[int]

    def measured(self, row: Answered, number: int, value: Callable[[list[float]], float]) -> Measured:
        """The measurements of a row, each the `value` of its logits; none for a row that the chat template refuses."""
        if number in self.refusals:
            return Measured.of_refused(row, self.refusals[number])
        values = {index: value(logits) for (of, index), logits in self.logits.items() if of == number}
        return Measured(
            id=row.id,
            request=values.get(REQUEST),
            values=tuple(values.get(index) for index in range(len(row.responses))),
            control_text=number in self.control_text,
        )


def classify(
    classifier: SequenceClassifier, asked: Mapping[ResponseIndex, Sequence[Message]], names: Sequence[str]
) -> Classified:
    """Classify conversations.

    Args:
        classifier: the model.
        asked: the conversations, each known by its row and response.
        names: of the rows by number, for messages.

    Raises:
        NotFiniteError: a logit is infinite or NaN.
    """
    encoded = dict(zip(asked, classifier.encode(list(asked.values())), strict=True))
    good = {place: one for place, one in encoded.items() if not isinstance(one, Refusal)}
    refusals: dict[int, Refusal] = {}
    for (number, _), one in encoded.items():
        if isinstance(one, Refusal):
            refusals.setdefault(number, one)
    values = classifier.logits(list(good.values()))
    # Sums are not finite if one of their parts is not.
    require_finite(classifier.reference, "logits", [sum(row) for row in values], [names[number] for number, _ in good])
    return Classified(
        dict(zip(good, values, strict=True)),
        refusals,
        frozenset(number for (number, _), one in good.items() if one.control_text),
    )
