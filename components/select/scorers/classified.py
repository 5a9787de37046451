"""What a sequence classifier says of rows: of their requests, and of their responses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from components.models.conversation.chat_template import Refusal
from components.select.measured import Measured
from components.select.scorers.sequence_classifier import SequenceClassifier
from components.shared.rows import Answered, Message

REQUEST = -1
"""In the place of a response's index: the request itself."""

Place = tuple[int, int]
"""The number of a row, and the index of its response."""


@dataclass(frozen=True)
class Classified:
    """Logits by place, the first refusal by row, and the rows whose text spells a control token."""

    logits: dict[Place, list[float]]
    refusals: dict[int, Refusal]
    control_text: frozenset[int]

    def measured(self, row: Answered, number: int, value: Callable[[list[float]], float]) -> Measured:
        """The row's measurements, each the `value` of its logits; a row that the chat template refuses has none."""
        if number in self.refusals:
            return Measured.of_refused(row, self.refusals[number])
        values = {index: value(logits) for (of, index), logits in self.logits.items() if of == number}
        return Measured(
            id=row.id,
            request=values.get(REQUEST),
            values=tuple(values.get(index) for index in range(len(row.responses))),
            control_text=number in self.control_text,
        )


def classify(classifier: SequenceClassifier, asked: Mapping[Place, Sequence[Message]]) -> Classified:
    """Classify conversations by their places."""
    encoded = dict(zip(asked, classifier.encode(list(asked.values())), strict=True))
    good = {place: one for place, one in encoded.items() if not isinstance(one, Refusal)}
    refusals: dict[int, Refusal] = {}
    for (number, _), one in encoded.items():
        if isinstance(one, Refusal):
            refusals.setdefault(number, one)
    logits = dict(zip(good, classifier.logits(list(good.values())), strict=True))
    return Classified(logits, refusals, frozenset(number for (number, _), one in good.items() if one.control_text))
