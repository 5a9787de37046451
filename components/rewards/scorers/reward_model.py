"""Quality by a reward model: a sequence classifier with one logit over the conversation and its response."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from components.models.reference import as_parent
from components.rewards.measured import Measured, is_scored, rounded
from components.rewards.scorers.classified import classify
from components.rewards.scorers.scorer import Measure, Scorer
from components.rewards.scorers.sequence_classifier import SequenceClassifier
from components.shared.errors import SettingsError
from components.shared.outputs.digest import hex_of
from components.shared.outputs.manifest import Parent
from components.shared.rows import Answered, Message


class RewardModel(Scorer):
    """Quality as the logistic function of the reward over `scale`.

    Under the Bradley-Terry model, on which such models are trained, that is the probability that the response is
    preferred to one of reward 0 (Ouyang et al., arXiv 2203.02155, section 3.5).
    """

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"model", "batch_tokens"})

    scorer: Literal["reward"] = Field("reward", description="logit of a reward model")
    model: str = Field(description="reference of a sequence classifier with one logit, in safetensors")
    scale: float = Field(
        1.0, gt=0, description="reward units that count as one logit; larger keeps scores from 0 and 1"
    )
    batch_tokens: int = Field(8192, ge=1, description="tokens of one forward pass, padding included")

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        return f"reward-{hex_of(parents['model'].digest, 12)}"

    def parents(self) -> dict[str, Parent]:
        return {"model": as_parent(self.model)}

    def open(self) -> Measure:
        classifier = SequenceClassifier.load(self.model, self.batch_tokens)
        if len(classifier.labels) != 1:
            raise SettingsError(
                f"quality.model {self.model!r} is a classifier with {len(classifier.labels)} classes",
                rule="a reward model has one logit",
                remedy="name a reward model, or use the classifier as the safety scorer",
            )
        return RewardMeasure(classifier)

    def value(self, measured: float | None) -> float | None:
        if measured is None:
            return None
        return rounded(1 / (1 + math.exp(max(-700.0, min(700.0, -measured / self.scale)))))


class RewardMeasure:
    """The reward of every response."""

    def __init__(self, classifier: SequenceClassifier) -> None:
        self.classifier = classifier

    def measure(self, rows: Sequence[Answered]) -> list[Measured]:
        """One measurement for each row; a failed or empty response has no value."""
        asked = {
            (number, index): [*row.prompt(), Message(role="assistant", content=response.text)]
            for number, row in enumerate(rows)
            for index, response in enumerate(row.responses)
            if is_scored(response.text, response.finish)
        }
        found = classify(self.classifier, asked, [row.id for row in rows])
        return [found.measured(row, number, lambda logits: rounded(logits[0])) for number, row in enumerate(rows)]

    def close(self) -> None:
        """Release the model."""
        self.classifier.close()
