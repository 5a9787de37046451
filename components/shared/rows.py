"""The rows that steps exchange. Each kind has its name and version in `content`."""

import math
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.shared.text.counted import counted

SELECTION = "selection/1"
"""Content of what trainings read: rows to learn from in parts of their own (`sft`, `kto`, `pairs`).

Beside them, select has `Verdict` rows in `verdicts`, bridge `Bridged` rows in `bridged`, and critique `Critique` rows
in `critiques`: why these were chosen.
"""
EVALUATION = "evaluation/1"
"""Content of the evaluation of one model: `EvaluationFacts` in `evaluation.json`, `scores.json`, and `Sample` rows."""
COMPARISON = "comparison/1"
"""Content of a comparison: a `ComparisonTable` in `comparison.json`."""

Role = Literal["system", "user", "assistant"]
Origin = Literal["original", "teacher", "student"]
SftKind = Literal["", "trace", "replay", "diagnosis", "repair"]


class Row(BaseModel):
    """One line of a shard. Its numbers are finite: JSON would hold null for others, which means that there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    content: ClassVar[str]


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    content: str


class Check(BaseModel):
    """How an answer can be checked; `components/rewards/checks/registry.py` lists the kinds.

    `math` compares values, `exact` compares text (regardless of case if `ignore_case`, of punctuation around words if
    `ignore_punctuation`), `choice` compares the letter, `code` runs `tests` (Python source) after the answer;
    `entry_point` names the function under test.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    answer: str = ""
    tests: str = ""
    entry_point: str = ""
    ignore_case: bool = True
    ignore_punctuation: bool = False


class Instruction(Row):
    """A normalised instruction with the response it came with (empty if none).

    `source` is the source's name and file, `line` the line (JSONL) or record (JSON, CSV, Parquet) in it, from 1.
    `desirable` is the label that the response came with: whether it was rated good; None without a label.
    `rejected` is a second response, to which `response` was preferred; empty without one.
    """

    content: ClassVar[str] = "instruction/1"

    id: str
    source: str
    line: int
    system: str = ""
    history: tuple[Message, ...] = ()
    instruction: str
    response: str = ""
    check: Check | None = None
    desirable: bool | None = None
    rejected: str = ""

    def prompt(self) -> list[Message]:
        """The conversation up to the answer: system, history, instruction."""
        system = [Message(role="system", content=self.system)] if self.system else []
        return [*system, *self.history, Message(role="user", content=self.instruction)]


class Rejected(Row):
    """A row that could not be read or normalised."""

    content: ClassVar[str] = "rejected/1"

    source: str
    line: int
    reason: str
    detail: str = ""


class Labelled(Instruction):
    """A curated instruction: its type by rules, and the teacher's two-level label."""

    content: ClassVar[str] = "labelled/1"

    type: str
    primary: str
    secondary: str


class Dropped(Row):
    """An instruction that curation removed, why, and the evidence (matched passage, id of the row kept)."""

    content: ClassVar[str] = "dropped/1"

    id: str
    source: str
    line: int
    reason: str
    evidence: str = ""


class Response(BaseModel):
    """One response: who gave it, tokens of prompt and answer (0 where unknown), why it ended.

    `reasoning` is the reasoning before the answer; `text` never contains it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: Origin
    text: str
    reasoning: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    finish: Literal["stop", "length", "error"] = "stop"


class Answered(Labelled):
    """A curated instruction with its responses."""

    content: ClassVar[str] = "answered/1"

    responses: tuple[Response, ...]


class Scores(BaseModel):
    """Scores of one response; None where a scorer does not apply.

    `perplexity` is the raw perplexity (lower is better), `safety` and `quality` are in [0, 1], `checked` is the
    verdict of the answer's check, `total` the formula's result in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    perplexity: float | None = None
    safety: float | None = None
    quality: float | None = None
    checked: bool | None = None
    total: float = 0.0


class Verdict(Row):
    """Every response of one instruction with its scores, and which were chosen (index into `responses`).

    `no_pair` says why the row gives no pair to learn from; empty if it gives one.
    """

    content: ClassVar[str] = "verdict/1"

    id: str
    source: str
    line: int
    origins: tuple[Origin, ...]
    scores: tuple[Scores, ...]
    best: int | None
    worst: int | None
    flags: tuple[str, ...] = ()
    no_pair: str = ""


class SftRow(Row):
    """One demonstration: prompt messages and the completion to learn.

    `kind` is what it is for: a solution of the problem, an answer of the student's own so that it is not forgotten, the
    first wrong step of a solution, or a corrected solution; empty is a solution where critiques are not mixed in.
    """

    content: ClassVar[str] = "sft/1"

    id: str
    prompt: tuple[Message, ...]
    completion: str
    origin: Origin
    scores: Scores
    # Left out where it is empty, so that rows of one kind are stored as before.
    kind: SftKind = Field("", exclude_if=lambda kind: not kind)


class KtoRow(Row):
    """One completion marked desirable or undesirable."""

    content: ClassVar[str] = "kto/1"

    id: str
    prompt: tuple[Message, ...]
    completion: str
    label: bool
    origin: Origin
    scores: Scores


class Pair(Row):
    """Two completions of one prompt, of which the first is preferred.

    `margin` is the difference of the totals of their scores; it is negative where a label outranked them.
    """

    content: ClassVar[str] = "pair/1"

    id: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    chosen_origin: Origin
    rejected_origin: Origin
    chosen_scores: Scores
    rejected_scores: Scores
    margin: float


class Question(Row):
    """One question of an evaluation set.

    `split` is `test` (asked) or `dev` (few-shot examples). `answer` is the gold answer: a letter where there are
    choices, the final number for GSM8K, the canonical solution for HumanEval (whose tests are in `extra`).
    `system` and `history` are the conversation before the question. `check` says how a reply is checked; None where
    the benchmark's code scores it.
    """

    content: ClassVar[str] = "question/1"

    benchmark: str
    subject: str = ""
    split: Literal["test", "dev"] = "test"
    id: str
    system: str = ""
    history: tuple[Message, ...] = ()
    question: str
    choices: tuple[str, ...] = ()
    answer: str
    check: Check | None = None
    extra: dict[str, str] = {}


class Sample(Row):
    """One model's answers to one question, each with its score (1 right, 0 wrong, fractions where a metric has them).

    Samples of version 1 had one answer, in `output` and `score`; they are read as one of one.
    """

    content: ClassVar[str] = "sample/2"

    benchmark: str
    id: str
    outputs: tuple[str, ...] = Field(min_length=1)
    scores: tuple[float, ...] = Field(min_length=1)

    @property
    def score(self) -> float:
        """The mean score of the answers."""
        return math.fsum(self.scores) / len(self.scores)

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, data: Any) -> Any:
        if isinstance(data, dict) and {"output", "score"} <= data.keys():
            rest = {name: value for name, value in data.items() if name not in {"output", "score"}}
            return {**rest, "outputs": (data["output"],), "scores": (data["score"],)}
        return data


class Score(BaseModel):
    """A model's mean score on one benchmark in [0, 1], with its standard error over `count` questions."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    benchmark: str
    metric: str
    value: float
    standard_error: float
    count: int


class AskedBenchmark(BaseModel):
    """One benchmark of an evaluation: the metric that models are compared by, and how it was asked.

    `protocol` is one line, without the number of worked examples; `few_shot` is that number, `max_tokens` the longest
    answer, and `prompt` surrounds the question where the settings set one. `samples` answers were given to each
    question, at `temperature` (0: greedy) and `top_p`; of several, pass@k is reported for the k in `pass_at`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    metric: str
    protocol: str
    few_shot: int
    max_tokens: int
    prompt: str | None = None
    samples: int
    temperature: float
    top_p: float
    pass_at: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """The metric, and how it was asked, in one line."""
        prompt = f"; prompt {self.prompt!r}" if self.prompt else ""
        shots = counted(self.few_shot, "worked example") if self.few_shot else "zero-shot"
        return f"{self.metric}; {self.protocol}{prompt}; {shots}; {self._sampling} of at most {self.max_tokens} tokens"

    @property
    def _sampling(self) -> str:
        if self.temperature == 0:
            return "a greedy answer"
        nucleus = "" if self.top_p == 1 else f", top_p {self.top_p:g}"
        return f"{counted(self.samples, 'answer')} at temperature {self.temperature:g}{nucleus}"


class EvaluationFacts(BaseModel):
    """What was asked of one model; content `evaluation/1`, file `evaluation.json`.

    `endpoint`: the answers came from an endpoint, so there are no files of the model. `part`: which of each benchmark's
    questions were asked: all, or one of the parts that a hash decides (`question_parts.py`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmarks: tuple[AskedBenchmark, ...]
    endpoint: bool = False
    part: Literal["all", "validation", "test"] = "all"


class Comparison(BaseModel):
    """One model against the base on the same questions.

    `difference` is model minus base, `standard_error` that of the paired difference, `p_value` two-sided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    benchmark: str
    difference: float
    standard_error: float
    p_value: float


class PartScores(BaseModel):
    """A model on one part of each benchmark's questions: its scores there, and its differences to the base.

    p-values are those of single tests, without a correction for the number of models. A benchmark without questions in
    the part is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scores: tuple[Score, ...]
    against_base: tuple[Comparison, ...] = ()


class Variant(BaseModel):
    """A model in the comparison: its name, what it is, its scores, and its difference to the base.

    Each benchmark's questions are split once: the best of several models is chosen on `selection` and judged on
    `confirmation`, since the score by which a model was chosen is biased upwards.
    `readings` are scores of the same replies by other extraction rules of the benchmark's protocol, for display.
    An `endpoint` answers without files of its own: it is a row of the table, and never promoted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reference: str
    digest: str
    endpoint: bool = False
    scores: tuple[Score, ...]
    readings: tuple[Score, ...] = ()
    against_base: tuple[Comparison, ...] = ()
    selection: PartScores | None = None
    confirmation: PartScores | None = None


class ComparisonTable(BaseModel):
    """All variants on all benchmarks; content `comparison/1`, file `comparison.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    asked: tuple[AskedBenchmark, ...] = ()
    variants: tuple[Variant, ...]
