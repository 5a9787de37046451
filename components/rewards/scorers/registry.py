"""The scorers by score and name. To add one, write a file beside this one and add its class to its score's line."""

from collections.abc import Sequence
from typing import Annotated

from components.rewards.scorers.judge import QualityJudge, SafetyJudge
from components.rewards.scorers.likelihood import Likelihood
from components.rewards.scorers.model_perplexity import ModelPerplexity
from components.rewards.scorers.no_scorer import NoScorer
from components.rewards.scorers.reward_model import RewardModel
from components.rewards.scorers.safety_classifier import SafetyClassifier
from components.rewards.scorers.safety_rules import SafetyRules
from components.rewards.scorers.scorer import Scorer
from components.rewards.scorers.verifier import Verifier
from components.shared.settings_union import SettingsUnion


def _by_name(scorers: Sequence[type[Scorer]]) -> dict[str, type[Scorer]]:
    return {scorer.model_fields["scorer"].default: scorer for scorer in scorers}


PERPLEXITY = _by_name([ModelPerplexity, NoScorer])
SAFETY = _by_name([SafetyRules, SafetyClassifier, SafetyJudge, NoScorer])
QUALITY = _by_name([Likelihood, QualityJudge, RewardModel, Verifier, NoScorer])

Perplexity = Annotated[Scorer, SettingsUnion("scorer", PERPLEXITY, "scorer of perplexity")]
Safety = Annotated[Scorer, SettingsUnion("scorer", SAFETY, "scorer of safety")]
Quality = Annotated[Scorer, SettingsUnion("scorer", QUALITY, "scorer of quality")]
