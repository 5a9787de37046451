"""The rows that steps hand to one another. Each kind carries its name and version in `content`."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["system", "user", "assistant"]
Origin = Literal["original", "teacher", "student"]


class Row(BaseModel):
    """One line of a shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: ClassVar[str]


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    content: str


class Check(BaseModel):
    """How an answer can be checked.

    `math` compares values, `exact` compares text (case and outer space aside), `choice` compares the letter,
    `code` runs `tests` (Python source) after the answer; `entry_point` names the function under test.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["math", "exact", "choice", "code"]
    answer: str = ""
    tests: str = ""
    entry_point: str = ""


class Instruction(Row):
    """A normalised instruction with the response it came with (empty if none).

    `source` is the source's name and file, `line` the line (JSONL) or record (JSON, CSV, Parquet) in it, from 1.
    `desirable` is the label that the response came with: whether somebody found it good; None for none.
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

    `reasoning` is what was thought before the answer; `text` never holds it.
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

    `perplexity` is the raw perplexity (lower is better), `safety` and `quality` lie in [0, 1], `checked` is the
    verdict of the answer's check, `total` the formula's result in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    perplexity: float | None = None
    safety: float | None = None
    quality: float | None = None
    checked: bool | None = None
    total: float = 0.0


class Verdict(Row):
    """Every response of one instruction with its scores, and which were chosen (index into `responses`)."""

    content: ClassVar[str] = "verdict/1"

    id: str
    source: str
    line: int
    origins: tuple[Origin, ...]
    scores: tuple[Scores, ...]
    best: int | None
    worst: int | None
    flags: tuple[str, ...] = ()


class SftRow(Row):
    """One demonstration: prompt messages and the completion to learn."""

    content: ClassVar[str] = "sft/1"

    id: str
    prompt: tuple[Message, ...]
    completion: str
    origin: Origin
    scores: Scores


class KtoRow(Row):
    """One completion marked desirable or undesirable."""

    content: ClassVar[str] = "kto/1"

    id: str
    prompt: tuple[Message, ...]
    completion: str
    label: bool
    origin: Origin
    scores: Scores


class Question(Row):
    """One question of an evaluation set.

    `split` is `test` (asked) or `dev` (few-shot examples). `answer` is the gold answer: a letter where there are
    choices, the final number for GSM8K, the canonical solution for HumanEval (whose tests are in `extra`).
    """

    content: ClassVar[str] = "question/1"

    benchmark: str
    subject: str = ""
    split: Literal["test", "dev"] = "test"
    id: str
    question: str
    choices: tuple[str, ...] = ()
    answer: str
    extra: dict[str, str] = {}


class Sample(Row):
    """One model's answer to one question, and its score (1 right, 0 wrong, fractions where a metric has them)."""

    content: ClassVar[str] = "sample/1"

    benchmark: str
    id: str
    output: str
    score: float


class Score(BaseModel):
    """A model's mean score on one benchmark in [0, 1], with its standard error over `count` questions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: str
    metric: str
    value: float
    standard_error: float
    count: int


class Comparison(BaseModel):
    """One model against the base on the same questions.

    `difference` is model minus base, `standard_error` that of the paired difference, `p_value` two-sided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    `confirmation`, since the score by which a model was chosen flatters it.
    `readings` are scores of the same replies by other rules of reading, which a benchmark's protocol names: shown only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reference: str
    digest: str
    scores: tuple[Score, ...]
    readings: tuple[Score, ...] = ()
    against_base: tuple[Comparison, ...] = ()
    selection: PartScores | None = None
    confirmation: PartScores | None = None


class ComparisonTable(BaseModel):
    """All variants on all benchmarks; content `comparison/1`, file `comparison.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    variants: tuple[Variant, ...]
