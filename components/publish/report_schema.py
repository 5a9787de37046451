"""The documented schema of report.json (`tutelage schema report` prints it as JSON schema).

What a run lacks is null or empty. Scores are fractions of 1, times are in seconds, sizes in bytes.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.publish.settings import Gate
from components.shared.outputs.manifest import Cost
from components.shared.rows import AskedBenchmark, Comparison, PartScores, Score


class ReportPart(BaseModel):
    """The base of everything in the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunFacts(ReportPart):
    """Which run this is."""

    title: str = Field(description="title of the page")
    name: str | None = Field(description="name of the run")
    recipe_digest: str | None = Field(description="SHA-256 of the recipe")
    comparison: str = Field(description="address of the comparison that was judged")
    base: str = Field(description="name of the variant that the others are measured against")
    benchmark: str = Field(description="benchmark that decides")
    correction: str | None = Field(description="how compare corrected p-values for the number of variants: holm, none")


class VariantFacts(ReportPart):
    """One model of the comparison."""

    name: str
    kind: Literal["base", "trained", "merged", "outside", "endpoint"] = Field(
        description="outside: not made in this store; endpoint: answers without files of its own, never promoted"
    )
    method: str | None = Field(description="training or merge method")
    made_from: tuple[str, ...] = Field(description="variants (or references) that it starts from or merges")
    reference: str = Field(description="address or reference of the model")
    digest: str = Field(description="SHA-256 of the model's content")
    scores: tuple[Score, ...] = Field(description="mean scores in [0, 1] with standard errors")
    readings: tuple[Score, ...] = Field(
        (), description="scores of the same replies by the benchmark's other extraction rules; not used by the gate"
    )
    against_base: tuple[Comparison, ...] = Field(description="paired differences to the base")
    confirmation: PartScores | None = Field(description="the same on the questions that decide and did not choose")


class PartFacts(ReportPart):
    """A variant on one part of the deciding benchmark's questions."""

    questions: int
    score: float
    difference: float = Field(description="score minus the base's on the same questions")
    interval: tuple[float, float] = Field(description="95 % interval of the difference, by its standard error")
    p_value: float = Field(description="of the difference, two-sided and paired, of this test alone")


class LossFacts(ReportPart):
    """A non-inferiority test on the confirmation part of a benchmark that the gate guards."""

    benchmark: str
    margin: float = Field(description="the largest loss that is accepted")
    questions: int
    difference: float = Field(description="score minus the base's")
    lower_bound: float = Field(description="of the difference, one-sided, at the level 1 - loss_alpha")
    passed: bool = Field(description="whether the lower bound is above minus the margin")


class VariantVerdict(ReportPart):
    """The gate's verdict on one variant."""

    variant: str
    chosen: bool = Field(description="whether it was chosen on the selection part; only then can it pass")
    passed: bool
    gain: float | None = Field(description="score minus the base's on the deciding benchmark's confirmation part")
    p_value: float | None = Field(description="of that gain, two-sided and paired; one variant is tested, uncorrected")
    selection: PartFacts | None = Field(description="on the deciding benchmark's questions that choose")
    confirmation: PartFacts | None = Field(description="on those that decide")
    losses: tuple[LossFacts, ...] = Field(description="on each benchmark with a margin")
    reasons: tuple[str, ...] = Field(description="why it did not pass; empty when it did")


class GateFacts(ReportPart):
    """The gate's rule and its verdicts."""

    rule: Gate
    benchmark: str
    verdicts: tuple[VariantVerdict, ...]
    chosen: str | None = Field(description="the variant that was chosen on the selection part")
    winner: str | None = Field(description="the variant that was promoted: the chosen one, if it passed")
    sentence: str = Field(description="the outcome in one sentence, in numbers of the confirmation part")


class ReleaseFacts(ReportPart):
    """The promoted model."""

    name: str
    version: str
    address: str = Field(description="models/NAME/VERSION below the store's root")
    digest: str = Field(description="SHA-256 of the winner's content")
    files: int
    bytes: int


class PlantedFacts(ReportPart):
    """One kind of planted defect against what was caught.

    recall = caught / planted; reached_recall = caught / (planted - removed_earlier);
    precision = (flagged - false_alarms) / flagged. Each is null where its denominator is 0.
    """

    kind: str
    step: str = Field(description="the step whose output records the catch")
    planted: int
    caught: int = Field(description="planted rows that the kind's own check caught")
    missed: int = Field(description="planted rows that reached the check and passed it")
    removed_earlier: int = Field(description="planted rows that something else had removed before the check")
    flagged: int = Field(description="all rows that the check caught, planted or not")
    false_alarms: int = Field(description="rows that the check caught though nothing of the kind was planted there")
    recall: float | None
    reached_recall: float | None
    precision: float | None


class StepFacts(ReportPart):
    """One output that led to the comparison."""

    task: str = Field(description="the step, with the variant where there are several: train sft")
    step: str
    address: str
    digest: str
    content: str
    created: str
    counts: dict[str, float]
    cost: Cost = Field(description="what making the output took, when it was made")
    settings: dict[str, Any]


class NotRead(ReportPart):
    """What was not read of one source: fields with the number of records that have them, files with the reason."""

    fields: dict[str, int]
    files: dict[str, str]


class DataFacts(ReportPart):
    """What happened to the data. Each part is null when the run has no such step, or the step does not report it."""

    labels_before: dict[str, int] | None = Field(description="rows by primary label before rare ones were dropped")
    labels_after: dict[str, int] | None = Field(description="rows by primary label in the curated data")
    rejected: dict[str, int] | None = Field(description="rows that could not be read, by reason")
    not_read: dict[str, NotRead] = Field({}, description="fields and files that were not read, by source")
    drops: dict[str, int] | None = Field(description="rows that curation dropped, by reason")
    diversity_before: dict[str, float] | None = Field(description="label entropy, distinct-n, … before curation")
    diversity_after: dict[str, float] | None = Field(description="the same after curation")
    chosen_origins: dict[str, int] | None = Field(description="best responses by who gave them")
    check_pass_rates: dict[str, float] | None = Field(
        description="by who gave a response: the share of right answers among those that could be checked"
    )


class LossPoint(ReportPart):
    """One logged loss, or the mean of neighbouring ones where a curve had too many points."""

    step: float
    loss: float


class LossCurve(ReportPart):
    """Training loss of one model."""

    task: str
    points: tuple[LossPoint, ...]


class RewardCurve(ReportPart):
    """What became of the rollouts of one training by RL, step by step."""

    task: str
    steps: tuple[float, ...] = Field(description="optimizer steps; of neighbours that were averaged, the last")
    values: dict[str, tuple[float | None, ...]] = Field(
        description="by name, at each of the steps: reward, useful_groups (share of groups whose rewards differ), "
        "entropy (nats), response_tokens, truncated_share and clip_share; null where the step has none"
    )


class PassAt(ReportPart):
    """The probability that at least one of k tries at a problem passes, a mean over problems."""

    k: int
    value: float
    standard_error: float


class ProbeFacts(ReportPart):
    """What one model could solve before it was trained further."""

    task: str
    model: str = Field(description="the variant that was probed, or its reference")
    after: str | None = Field(description="task of the probe before it, of a model that this one comes from")
    problems: int
    pools: dict[str, int] = Field(description="problems by pool: hard, mixed, easy")
    rates: dict[str, int] = Field(description="problems by pass rate")
    pass_at: tuple[PassAt, ...] = Field(description="by k, smallest first")


class RouteFacts(ReportPart):
    """Where the problems of one probe went."""

    task: str
    probe: str = Field(description="task of the probe")
    policy: str
    pools: dict[str, dict[str, int]] = Field(description="by pool: problems, and how many of them in sft, rl, dropped")


class TaughtFacts(ReportPart):
    """What one supervised training learnt from."""

    task: str = Field(description="of the training")
    rows: dict[str, int] = Field(
        description="by kind: trace (a solution), replay (the student's own right answer), diagnosis, repair"
    )


class ExampleFacts(ReportPart):
    """One row that a teacher wrote for a problem, to be read by a person."""

    task: str
    kind: Literal["trace", "diagnosis", "repair"] = Field(
        description="trace: a solution of the problem; diagnosis: the first wrong step; repair: a corrected solution"
    )
    id: str
    problem: str
    failed: str | None = Field(description="a wrong answer of the student; null: none is known")
    teacher: str = Field(description="the teacher's text; of several that are not learnt, the first; empty without any")
    learnt: bool
    note: str = Field(description="why it was chosen, or why not")
    is_reference: bool = Field(False, description="whether `teacher` is the solution that the problem came with")


class BaselineFacts(ReportPart):
    """A variant that was trained with the compute of others."""

    variant: str
    tokens: int = Field(description="compute of its trainings: tokens forward and backward, and generated tokens")
    score: float
    difference: float = Field(description="the curriculum's score minus this one's")
    interval: tuple[float, float] = Field(
        description="95 % interval of the difference, as of independent scores (Newcombe)"
    )


class EqualComputeFacts(ReportPart):
    """Whether the curriculum was better than trainings with the same compute."""

    benchmark: str
    variant: str = Field(description="the curriculum's last model")
    tokens: int = Field(description="compute of the trainings that led to it")
    probe_tokens: int = Field(0, description="generated by the probes that it comes from, and not in its compute")
    score: float
    baselines: tuple[BaselineFacts, ...]
    sentence: str = Field(description="whether it helped against the best baseline, in numbers")


class HandedOnFacts(ReportPart):
    """Trainings that had nothing left to learn, and the model that they handed on as it was."""

    variants: tuple[str, ...]
    model: str = Field(description="the variant whose model it is")


class CurriculumFacts(ReportPart):
    """What a run learnt from problems of graded difficulty. What it has none of is empty."""

    probes: tuple[ProbeFacts, ...] = Field(description="in the order in which models come from one another")
    routes: tuple[RouteFacts, ...] = Field(description="in the order of their probes")
    taught: tuple[TaughtFacts, ...] = Field((), description="trainings on texts, in their order")
    rewards: tuple[RewardCurve, ...]
    examples: tuple[ExampleFacts, ...] = Field(description="a few, drawn by a fixed seed")
    equal_compute: EqualComputeFacts | None = Field(description="null without a variant that had a budget")
    handed_on: tuple[HandedOnFacts, ...] = Field((), description="models that trainings without rows handed on")


class LineageNode(ReportPart):
    """One output or outside reference."""

    address: str
    digest: str
    task: str
    inside: bool = Field(description="whether it is stored in this store")
    winning: bool = Field(description="whether the promoted model comes from it")


class LineageEdge(ReportPart):
    """`source` is an input, called `name`, of `target`; both are addresses."""

    source: str
    target: str
    name: str


class LineageFacts(ReportPart):
    """Everything that the comparison comes from."""

    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]


class MachineFacts(ReportPart):
    """The machine that wrote the report."""

    system: str
    python: str
    cores: int | None
    memory_bytes: int | None


class CostFacts(ReportPart):
    """Sums over the steps."""

    seconds: float = Field(description="wall-clock seconds, summed over the outputs")
    tokens_in: int
    tokens_out: int
    price: dict[str, float] = Field(description="by currency, by the recipe's price list")


class Report(ReportPart):
    """Everything the report says."""

    format: Literal["report/1"] = "report/1"
    run: RunFacts
    asked: tuple[AskedBenchmark, ...] = Field((), description="the benchmarks, and how each was asked")
    variants: tuple[VariantFacts, ...]
    gate: GateFacts
    release: ReleaseFacts | None = Field(description="null when nothing was promoted")
    planted: tuple[PlantedFacts, ...] | None = Field(description="null when no planted truth was given")
    data: DataFacts
    losses: tuple[LossCurve, ...]
    curriculum: CurriculumFacts | None = Field(None, description="null when no problem was probed")
    steps: tuple[StepFacts, ...]
    cost: CostFacts
    lineage: LineageFacts
    versions: dict[str, tuple[str, ...]] = Field(description="versions that the steps recorded, by package")
    machine: MachineFacts
