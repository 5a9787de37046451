"""Matching the compute of arms: epochs that follow from a budget, and what a chain costs.

A parameter takes 6 floating-point operations a token in training: 2 in the forward and 4 in the backward pass (Kaplan
and others, arXiv 2001.08361, section 2.1). With adapters the gradients of the frozen weights, 2 of them, are left out.
A method with a reference computes that model's log-probs once: 2 a token of one epoch. KTO reads mismatched responses
besides, 2 a token, in every epoch and once under the reference. All arms train the same model,
so the number of parameters cancels, and costs are in units of tokens or of operations a parameter.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from components.shared.settings import Settings
from pipelines.study.arms import Point
from pipelines.study.chains import ChainStage

FORWARD = 2.0
TRAINED = {"all": 6.0, "lora": 4.0}
"""Operations a parameter and token of an optimizer step, by the kind of weights."""


class Compute(Settings):
    """What is equal between arms. All measures are shown for every arm, whatever is matched."""

    match: Literal["none", "tokens", "flops"] = Field(
        "none",
        description="what every arm spends alike, over all its stages. tokens: optimizer steps times the tokens of a "
        "step; flops: floating-point operations, with the reference's forward passes; none: as the chains say",
    )
    arm: str = Field("", description="the arm whose compute the others match; needed unless match is none")
    tokens_per_epoch: dict[str, float] = Field(
        {},
        description="tokens of one epoch by method; only their ratios matter. A pair has two responses, so an epoch of "
        "dpo takes about twice the tokens of one of sft on as many rows. The trained models' manifests have the counts",
    )
    other_tokens_per_epoch: dict[str, float] = Field(
        {},
        description="tokens that one epoch of a method reads without gradients, beside those above: `kl_tokens` in the "
        "manifest of a KTO training. Needed for kto where match is flops",
    )
    tolerance: float = Field(
        0.05, ge=0, le=1, description="largest deviation of an arm from the compute that it matches, as a share of it"
    )

    def cost(self, point: Point, references: Mapping[str, bool]) -> float:
        """What a point costs, from the student on, in tokens or operations a parameter.

        Args:
            point: with the epochs of every stage.
            references: whether each method has a reference.
        """
        return sum(self.stage_cost(stage, point.kind, references[stage.method]) for stage in point.chain.stages)

    def stage_cost(self, stage: ChainStage, kind: str, has_reference: bool) -> float:
        """What one stage costs."""
        assert stage.epochs is not None
        tokens = self.tokens_per_epoch[stage.method]
        if self.match == "tokens":
            return stage.epochs * tokens
        others, scored = self.other_tokens_per_epoch.get(stage.method, 0.0), int(has_reference)
        return tokens * (stage.epochs * TRAINED[kind] + FORWARD * scored) + FORWARD * others * (stage.epochs + scored)

    def matched(self, point: Point, budget: float, references: Mapping[str, bool]) -> Point:
        """The point with as many epochs of its last stage as come nearest to a budget, at least one."""
        one, two = (self.cost(point.ending_after(epochs), references) for epochs in (1, 2))
        return point.ending_after(1 + max(0, round((budget - one) / (two - one))))
