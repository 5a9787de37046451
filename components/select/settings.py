"""Settings of select: how responses are scored, and which are chosen."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from components.rewards.scorers.registry import Perplexity, Quality, Safety
from components.rewards.scorers.safety_rules import SafetyRules
from components.rewards.scorers.scorer import Scorer
from components.select.formula import FORMULAS
from components.shared.rows import Origin
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.settings import Settings, known

FormulaName = Annotated[str, known(FORMULAS, "formula")]


class Formula(Settings):
    """How the scores of a response become its total (formula.py has the equation)."""

    name: FormulaName = Field("weighted/1", description="the formula, with its version")
    perplexity_weight: float = Field(0.2, ge=0, description="weight of the perplexity term")
    quality_weight: float = Field(0.5, ge=0, description="weight of the quality term")
    check_weight: float = Field(1.0, ge=0, description="weight of the answer's check")
    perplexity_scale: float = Field(
        2.0, gt=0, description="nats of mean negative log-probability at which the perplexity term is 1/e"
    )


class Reference(Settings):
    """How far the reference answer of a row is trusted, and when it counts as contradicted.

    Of several answers of the teacher, the one that more than half of them give is the teacher's answer.
    A reference is contradicted when the teacher's answer differs from it by value, and a model finds the teacher's
    response more likely than the original one by `contradiction_nats`. The model is that of the quality scorer if it is
    `likelihood` (preferably the teacher itself), else that of the perplexity scorer; without either, no reference is
    contradicted. For direct answers this compares the answers. For longer ones it mostly compares wording, so a further
    response, of another origin, must give the teacher's answer too.
    """

    trust: Literal["vote", "gold"] = Field(
        "vote", description="vote: the teacher's answer replaces a contradicted reference; gold: it is only flagged"
    )
    contradiction_nats: float = Field(
        3.0, ge=0, description="difference of the summed log-probabilities, in nats (3: 20 times as likely)"
    )
    direct_tokens: int = Field(
        32, ge=0, description="longest response that counts as a direct answer, in tokens of the scoring model"
    )


class KtoChoice(Settings):
    """Which two responses of a row become KTO rows and a pair."""

    margin: float = Field(
        0.1,
        ge=0,
        le=1,
        description="smallest difference of the totals of best and worst, unless the worst is unsafe or wrong",
    )
    spare_right: bool = Field(True, description="a safe response whose check passes is never undesirable")


class SelectSettings(Settings):
    """Settings of select. The models and files of scorers are inputs, identified by their content."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"check_threads"})

    perplexity: Perplexity = Field(description="scorer of perplexity: model, none")
    safety: Safety = Field(SafetyRules(), description="scorer of safety: rules, classifier, judge, none")
    quality: Quality = Field(description="scorer of quality: likelihood, judge, reward, verifier, none")
    formula: Formula = Field(Formula(), description="how the scores are combined")
    safe_from: float = Field(0.5, ge=0, le=1, description="lowest safety score that counts as safe")
    unsafe: Literal["keep-refusals", "drop"] = Field(
        "keep-refusals", description="rows with an unsafe request: keep those whose best response is safe, or drop all"
    )
    minimum_total: float = Field(0.3, ge=0, le=1, description="lowest total of a response that is learnt from")
    truncated: Literal["refuse", "allow"] = Field(
        "refuse",
        description="whether a response that hit the token limit may be the best or the worst one; refuse: neither, "
        "but an unsafe one may still be the worst",
    )
    learn_reasoning: bool = Field(
        False,
        description="whether the reasoning of a chosen response is learnt too, written before it as <think>…</think>; "
        "it is never scored or checked",
    )
    ties: tuple[Origin, ...] = Field(
        ("teacher", "original", "student"), description="which origin wins among equal totals, first to last"
    )
    reference: Reference = Field(Reference(), description="trust in reference answers")
    kto: KtoChoice = Field(KtoChoice(), description="what is learnt by contrast: KTO rows and pairs")
    code_limits: SandboxLimits = Field(SandboxLimits(), description="limits of one run of code in the sandbox")
    check_threads: int | None = Field(None, ge=1, description="rows checked at a time; default: one for each core")

    @property
    def scorers(self) -> dict[str, Scorer]:
        """The scorers by score."""
        return {"perplexity": self.perplexity, "safety": self.safety, "quality": self.quality}

    @field_validator("ties")
    @classmethod
    def _names_all(cls, ties: tuple[Origin, ...]) -> tuple[Origin, ...]:
        if sorted(ties) != ["original", "student", "teacher"]:
            raise ValueError("ties must name each of teacher, original, student exactly once")
        return ties
