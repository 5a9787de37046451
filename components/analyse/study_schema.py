"""The documented schema of study.json (`tutelage schema study/1` prints it as JSON schema).

Scores and differences are fractions of 1, times are in seconds. What a study lacks is null or
empty; what failed is named in `missing`.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

STUDY_CONTENT = "study/1"
"""Content of a study: `study.json` and `report.html`."""

Bounds = tuple[float, float]
Judged = Literal["better", "worse", "unclear"]


class StudyPart(BaseModel):
    """The base of everything in a study."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MeanFacts(StudyPart):
    """A mean over seeds and questions: of an arm's scores, or of its paired differences."""

    benchmark: str
    seeds: tuple[int, ...] = Field(description="seeds that it is a mean of; empty for the base, which has none")
    questions: int
    mean: float
    deviation: float | None = Field(description="standard deviation over the seeds; null with one of them")
    by_seed: tuple[float, ...] = Field(description="the mean of each seed, in their order")
    standard_error: float = Field(description="from both, noise of seeds and of questions")
    interval: Bounds = Field(description="the interval that is reported, at the level 1 - alpha")
    method: Literal["two-way", "beta"] = Field(
        description="how it is made. two-way: from the variance between seeds and between questions, with t quantiles; "
        "beta: a Beta posterior, for 0/1 scores of fewer than 300 questions"
    )
    bootstrap: Bounds = Field(
        description="percentile interval of the hierarchical bootstrap (seeds, then questions), for comparison: it is "
        "too wide where single answers vary most, and too narrow where seeds do"
    )
    seed_share: float = Field(description="share of the mean's variance that comes from the seeds")


class DifferenceFacts(MeanFacts):
    """An arm minus another one, paired by seed and question."""

    against: str = Field(description="the base, or the best single-stage arm")
    exact_p_value: float = Field(
        description="sign flips by question, all seeds together: whether these trained models differ over questions"
    )
    p_value: float = Field(
        description="the larger of the exact one and that of the interval, which includes the noise of training"
    )
    family: str | None = Field(description="family of tests that it belongs to; null: shown, not tested")
    corrected_p_value: float | None = Field(description="after Holm's correction within the family")
    smallest: float = Field(description="smallest true difference that one test would find, at the study's power")
    smallest_in_family: float | None = Field(description="the same at the level alpha / tests, Holm's first step")
    verdict: Judged = Field(description="whether it exceeds the noise: corrected p-value below alpha")


class SweepFacts(StudyPart):
    """One learning rate of an arm on the validation part."""

    rate: str
    by_seed: dict[int, float] = Field(description="mean score of each seed that was evaluated")
    mean: float | None = Field(description="null where no seed was evaluated, and where one diverged")
    diverged: tuple[int, ...] = Field(
        (), description="seeds whose training diverged (a loss, weight or logit that is not finite): the rate is out"
    )
    chosen: bool


class ComputeFacts(StudyPart):
    """What one model of an arm cost from the base on, a mean over its seeds; shared stages count in full."""

    stages: int
    steps: float = Field(description="optimizer steps")
    tokens: float = Field(description="tokens trained on, prompt and response, padding aside")
    reference_tokens: float = Field(description="tokens of the passes of a reference model")
    mismatched_tokens: float = Field(
        0.0, description="tokens of KTO's mismatched responses, which are read without gradients"
    )
    flops: float = Field(description="model FLOPs; components/analyse/study/compute.py has the formula")
    seconds: float = Field(description="of the trainings, as their outputs record them")
    peak_memory_mib: float = Field(description="highest of a process, in any stage; of the GPU where there is one")
    parameters: float = Field(description="of the model, adapters included")
    parameters_trained: float = Field(description="in the last stage")


class ArmFacts(StudyPart):
    """One arm."""

    name: str
    does: str
    stages: tuple[str, ...]
    lora_rank: int | None
    status: Literal["complete", "partial", "failed"] = Field(
        description="failed: no seed was evaluated on test, or one diverged there"
    )
    missing: tuple[str, ...] = Field(description="keys of its evaluations that failed or were not made")
    diverged_on_test: tuple[int, ...] = Field(
        (), description="seeds whose chosen model has logits that are not finite on test: the arm has no score"
    )
    rate: str | None = Field(description="the learning rate that was chosen on validation and tested")
    sweep: tuple[SweepFacts, ...]
    compute: ComputeFacts | None = Field(description="null where the models were not trained in this store")
    score: MeanFacts | None = Field(description="on the primary benchmark's test part")
    forgetting: tuple[MeanFacts, ...] = Field(description="on the other benchmarks' test parts")
    against_base: DifferenceFacts | None
    forgetting_against_base: tuple[DifferenceFacts, ...]
    against_best: DifferenceFacts | None = Field(description="null for the best single-stage arm itself")


class FamilyFacts(StudyPart):
    """Tests whose p-values are corrected together."""

    name: str
    size: int = Field(description="number of tests")
    tests: tuple[tuple[str, str], ...] = Field(description="arm and what it is compared with, as in the table")


class TotalFacts(StudyPart):
    """What all models of the study cost; a stage that arms share counts once."""

    trainings: int
    tokens: float
    flops: float
    seconds: float


class Study(StudyPart):
    """Content `study/1`, file `study.json`."""

    format: Literal["study/1"] = "study/1"
    title: str
    run_name: str | None
    recipe_digest: str | None
    benchmark: str
    asked: str = Field(description="how the primary benchmark was asked")
    matched: str = Field(description="what of the arms' compute was matched")
    alpha: float
    power: float
    seeds: tuple[int, ...]
    base: MeanFacts
    base_validation: float | None = Field(description="the base's mean on the primary benchmark's validation part")
    base_forgetting: tuple[MeanFacts, ...]
    best_single_stage: str | None = Field(description="the single-stage arm that validation prefers")
    arms: tuple[ArmFacts, ...]
    families: tuple[FamilyFacts, ...]
    total: TotalFacts
    missing: tuple[str, ...] = Field(description="all evaluations that failed or were not made")
    warnings: tuple[str, ...]
    sentences: tuple[str, ...] = Field(description="for each arm of several stages: does its gain exceed the noise")
