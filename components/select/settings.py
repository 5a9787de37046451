"""Settings of select: how responses are scored, and which are chosen."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from components.select.formula import FORMULAS
from components.select.scorers.registry import Perplexity, Quality, Safety
from components.select.scorers.safety_rules import SafetyRules
from components.select.scorers.scorer import Scorer
from components.shared.rows import Origin
from components.shared.sandbox import Limits
from components.shared.settings import Settings, known

FormulaName = Annotated[str, known(FORMULAS, "formula"), Field(json_schema_extra={"enum": list(FORMULAS)})]


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
    """How far a row's reference answer is trusted, and when it counts as contradicted.

    A reference is contradicted when the teacher's answer differs from it by value, and a model finds the teacher's
    response likelier than the original one by `contradiction_nats`: the model of the quality scorer where that is
    `likelihood` (best the teacher's own), else that of the perplexity scorer; with neither, none is contradicted. For
    direct answers that is a comparison of the answers. In longer ones it is mostly one of wording, so there a further
    response has to give the teacher's answer too.
    """

    trust: Literal["vote", "gold"] = Field(
        "vote", description="vote: the teacher's answer replaces a contradicted reference; gold: it is only flagged"
    )
    contradiction_nats: float = Field(
        3.0, ge=0, description="difference of the summed log-probabilities, in nats (3: 20 times likelier)"
    )
    direct_tokens: int = Field(
        32, ge=0, description="longest response, in tokens of the scoring model, that is a direct answer"
    )


class Kto(Settings):
    """Which pairs of responses become KTO rows."""

    margin: float = Field(
        0.1,
        ge=0,
        le=1,
        description="smallest difference of the totals of best and worst, unless the worst is unsafe or wrong",
    )
    spare_right: bool = Field(True, description="a safe response whose check passes is never undesirable")


class SelectSettings(Settings):
    """Settings of select. The scorers' models and files are inputs, known by their content."""

    apart_from_key: ClassVar[frozenset[str]] = frozenset({"check_threads"})

    perplexity: Perplexity = Field(description="scorer of perplexity: model, none")
    safety: Safety = Field(SafetyRules(), description="scorer of safety: rules, classifier, judge, none")
    quality: Quality = Field(description="scorer of quality: likelihood, judge, reward, verifier, none")
    formula: Formula = Field(Formula(), description="how the scores combine")
    safe_from: float = Field(0.5, ge=0, le=1, description="lowest safety score that counts as safe")
    unsafe: Literal["keep-refusals", "drop"] = Field(
        "keep-refusals", description="rows with an unsafe request: keep those whose best response is safe, or drop all"
    )
    minimum_total: float = Field(0.3, ge=0, le=1, description="lowest total of a response that is learnt from")
    cut_off: Literal["refuse", "allow"] = Field(
        "refuse", description="whether a response that hit the token limit may be the best one"
    )
    learn_reasoning: bool = Field(
        False,
        description="whether a chosen response's reasoning is learnt too, written in front of it as <think>…</think>; "
        "it is never scored or checked",
    )
    ties: tuple[Origin, ...] = Field(
        ("teacher", "original", "student"), description="who wins among equal totals, first to last"
    )
    reference: Reference = Field(Reference(), description="trust in reference answers")
    kto: Kto = Field(Kto(), description="pairs for KTO")
    code_limits: Limits = Field(Limits(), description="of one run of code in the sandbox")
    check_threads: int | None = Field(None, ge=1, description="rows checked at a time; none: one for each core")

    @property
    def scorers(self) -> dict[str, Scorer]:
        """The scorers by score."""
        return {"perplexity": self.perplexity, "safety": self.safety, "quality": self.quality}

    @field_validator("ties")
    @classmethod
    def _names_all(cls, ties: tuple[Origin, ...]) -> tuple[Origin, ...]:
        if sorted(ties) != ["original", "student", "teacher"]:
            raise ValueError("ties names each of teacher, original, student once")
        return ties
