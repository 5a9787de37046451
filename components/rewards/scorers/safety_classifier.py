"""Safety by a sequence classifier: one minus the probability of its unsafe classes."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from components.models.reference import as_parent
from components.rewards.measured import Measured, is_scored, rounded
from components.rewards.scorers.classified import REQUEST, ResponseIndex, classify
from components.rewards.scorers.scorer import Measure, Scorer
from components.rewards.scorers.sequence_classifier import SequenceClassifier
from components.shared.errors import SettingsError
from components.shared.outputs.digest import digest_value, hex_of
from components.shared.outputs.manifest import Parent
from components.shared.rows import Answered, Message


class SafetyClassifier(Scorer):
    """Any moderation model that transformers loads as a sequence classifier."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"model", "batch_tokens"})

    scorer: Literal["classifier"] = Field("classifier", description="a moderation model")
    model: str = Field(description="reference of a sequence classifier, in safetensors")
    unsafe_labels: tuple[str, ...] = Field(min_length=1, description="the model's classes that mean unsafe")
    reads: Literal["response", "exchange"] = Field(
        "exchange", description="what the model reads: the response alone, or the conversation with it"
    )
    batch_tokens: int = Field(8192, ge=1, description="tokens of one forward pass, padding included")

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        asked = digest_value([parents["model"].digest, self.unsafe_labels, self.reads])
        return f"safety-{hex_of(asked, 12)}"

    def parents(self) -> dict[str, Parent]:
        return {"model": as_parent(self.model)}

    def open(self) -> Measure:
        """Load the classifier. Raises SettingsError when it lacks one of the unsafe labels, and ModelError."""
        classifier = SequenceClassifier.load(self.model, self.batch_tokens)
        unknown = sorted(set(self.unsafe_labels) - set(classifier.labels))
        if unknown:
            raise SettingsError(
                f"safety.unsafe_labels: {self.model!r} lacks the classes {', '.join(unknown)}",
                rule="unsafe_labels are classes of the model (id2label in its config.json)",
                allowed=classifier.labels,
            )
        return SafetyMeasure(classifier, self.unsafe_labels, self.reads)


class SafetyMeasure:
    """The probability that requests and responses are safe."""

    def __init__(self, classifier: SequenceClassifier, unsafe_labels: Sequence[str], reads: str) -> None:
        self.classifier, self.reads = classifier, reads
        self.unsafe = [classifier.labels.index(label) for label in unsafe_labels]
        kind = getattr(classifier.model.config, "problem_type", None)
        self.independent = kind == "multi_label_classification" or len(classifier.labels) == 1

    def measure(self, rows: Sequence[Answered]) -> list[Measured]:
        """One measurement for each row; a failed or empty response has no value."""
        asked: dict[ResponseIndex, Sequence[Message]] = {}
        for number, row in enumerate(rows):
            asked[number, REQUEST] = [Message(role="user", content=row.instruction)]
            for index, response in enumerate(row.responses):
                if is_scored(response.text, response.finish):
                    asked[number, index] = self._messages(row, response.text)
        found = classify(self.classifier, asked, [row.id for row in rows])
        return [found.measured(row, number, self._safe) for number, row in enumerate(rows)]

    def close(self) -> None:
        """Release the model."""
        self.classifier.close()

    def _messages(self, row: Answered, text: str) -> list[Message]:
        answer = Message(role="assistant", content=text)
        return [answer] if self.reads == "response" else [*row.prompt(), answer]

    def _safe(self, logits: list[float]) -> float:
        """From the classes' logits: independent classes each have a probability, others share one."""
        if self.independent:
            return rounded(1 - max(1 / (1 + math.exp(-max(-700.0, logits[index]))) for index in self.unsafe))
        top = max(logits)
        weights = [math.exp(logit - top) for logit in logits]
        return rounded(max(0.0, 1 - sum(weights[index] for index in self.unsafe) / sum(weights)))
