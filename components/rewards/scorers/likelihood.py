"""The mean log-probability of each response under a model; as quality, a judgement without a prompt."""

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import ClassVar, Literal

from pydantic import Field

from components.models.conversation.chat_template import Refusal
from components.models.generators.local_model import Precision
from components.models.likelihood.likelihood import LikelihoodModel, LogProbability
from components.models.reference import as_parent
from components.rewards.measured import Measured, is_scored, rounded
from components.rewards.scorers.scorer import Measure, Scorer
from components.shared.outputs.digest import hex_of
from components.shared.outputs.manifest import Parent
from components.shared.rows import Answered


class ModelScorer(Scorer):
    """A scorer that computes log-probabilities with a local model."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"model", "batch_tokens"})
    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"precision"})
    gives_likelihood: ClassVar[bool] = True

    model: str = Field(description="reference of a local chat model: folder, package:FOLDER, store URI or hub id")
    precision: Precision = Field(
        "auto",
        description="type of weights and activations; auto: that of the model's files. bfloat16 is for GPUs and for "
        "CPUs with AVX512-BF16 or AMX; it changes log-probabilities by its rounding",
    )
    batch_tokens: int | None = Field(
        None, ge=1, description="tokens of one forward pass, none of them padding; none: chosen for the device"
    )

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        precision = "" if self.precision == "auto" else f"-{self.precision}"
        return f"log-probability-{hex_of(parents['model'].digest, 12)}{precision}"

    def parents(self) -> dict[str, Parent]:
        return {"model": as_parent(self.model)}

    def open(self) -> Measure:
        return LikelihoodMeasure(LikelihoodModel.load(self.model, self.batch_tokens, self.precision))


class Likelihood(ModelScorer):
    """Quality as the geometric mean probability of a response's tokens, exp(mean log-probability), in [0, 1].

    Only a large model rates responses well when it is prompted to; likelihoods are informative for small ones too. The
    measurement is shared with the perplexity scorer when both name the same model.
    """

    scorer: Literal["likelihood"] = Field("likelihood", description="mean token probability under the model")

    def value(self, measured: float | None) -> float | None:
        return None if measured is None else rounded(math.exp(min(measured, 0.0)))


class LikelihoodMeasure:
    """Mean log-probability in nats and number of tokens of every response."""

    def __init__(self, model: LikelihoodModel) -> None:
        self.model = model

    def measure(self, rows: Sequence[Answered]) -> list[Measured]:
        """One measurement for each row; a failed or empty response has no value and no tokens."""
        pairs = [(tuple(row.prompt()), response.text) for row in rows for response in row.responses]
        scored = [is_scored(response.text, response.finish) for row in rows for response in row.responses]
        names = [row.id for row in rows for _ in row.responses]
        found = iter(self.model.log_probabilities(list(compress(pairs, scored)), list(compress(names, scored))))
        each = iter([next(found) if one else None for one in scored])
        return [_measured(row, [next(each) for _ in row.responses]) for row in rows]

    def close(self) -> None:
        """Release the model."""
        self.model.close()


def _measured(row: Answered, found: Sequence[LogProbability | Refusal | None]) -> Measured:
    refused = next((one for one in found if isinstance(one, Refusal)), None)
    if refused is not None:
        return Measured.of_refused(row, refused)
    likely = [one for one in found if not isinstance(one, Refusal)]
    return Measured(
        id=row.id,
        values=tuple(None if one is None else rounded(one.mean) for one in likely),
        tokens=tuple(0 if one is None else one.tokens for one in likely),
        control_text=any(one is not None and one.control_text for one in likely),
    )
