"""The scorers by score. A new one is a file beside this one and its name in the right line below."""

from typing import Annotated

from pydantic import Field

from components.select.scorers.judge import QualityJudge, SafetyJudge
from components.select.scorers.likelihood import Likelihood
from components.select.scorers.model_perplexity import ModelPerplexity
from components.select.scorers.no_scorer import NoScorer
from components.select.scorers.reward_model import RewardModel
from components.select.scorers.safety_classifier import SafetyClassifier
from components.select.scorers.safety_rules import SafetyRules
from components.select.scorers.verifier import Verifier

Perplexity = Annotated[ModelPerplexity | NoScorer, Field(discriminator="scorer")]
Safety = Annotated[SafetyRules | SafetyClassifier | SafetyJudge | NoScorer, Field(discriminator="scorer")]
Quality = Annotated[Likelihood | QualityJudge | RewardModel | Verifier | NoScorer, Field(discriminator="scorer")]
