"""What a preview shows: `preview.json`, from which the terminal and the page are drawn."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.shared.rows import Message, Origin, Scores


class PreviewPart(BaseModel):
    """A part of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ShownResponse(PreviewPart):
    """One response.

    Attributes:
        role: best, worst, or empty.
        learnt: the training sets that it goes into.
        why: the reason for it, or for nothing.
        scores: None where the row was dropped before it was scored.
    """

    origin: Origin
    text: str
    reasoning: str = ""
    finish: str
    tokens_in: int = 0
    tokens_out: int = 0
    scores: Scores | None = None
    role: str = ""
    learnt: tuple[str, ...] = ()
    why: str = ""


class ShownFlag(PreviewPart):
    """A flag of a verdict, and what it means."""

    name: str
    meaning: str


class ShownRow(PreviewPart):
    """One row on its way through the steps.

    Attributes:
        labels: primary and secondary; empty without any.
        check: how its answers are checked, and the right one; empty without a check.
        dropped: by which step and why; empty for a row that is learnt from.
    """

    id: str
    source: str
    line: int
    type: str = ""
    labels: tuple[str, ...] = ()
    system: str = ""
    history: tuple[Message, ...] = ()
    instruction: str
    check: str = ""
    responses: tuple[ShownResponse, ...] = ()
    flags: tuple[ShownFlag, ...] = ()
    dropped: str = ""


class ShownSource(PreviewPart):
    """A source: how much of it was considered.

    Attributes:
        records: those in the source; None where they were not counted.
        exact: False: there are more, which were not counted.
        considered: records that were read for the preview, from the start.
        usable: rows that they gave.
    """

    name: str
    records: int | None
    exact: bool
    considered: int
    usable: int


class ShownDrop(PreviewPart):
    """Rows that a step dropped for one reason, with the first of them as an example."""

    step: str
    reason: str
    rows: int
    of: int
    example: str = ""


class ShownStep(PreviewPart):
    """One step: where its output is stored, and what it took when it was made."""

    task: str
    address: str
    reused: bool
    seconds: float
    rows: int
    tokens_in: int = 0
    tokens_out: int = 0


class ShownEstimate(PreviewPart):
    """One kind of request in the complete run.

    Attributes:
        requests: in the preview.
        full: in the complete run.
        currency: of the prices; empty without a price list.
        seconds: of the complete run at the preview's rate; None where no rate was measured.
    """

    what: str
    requests: int
    tokens_in: int
    tokens_out: int
    price: float
    full: int
    full_tokens_in: int
    full_tokens_out: int
    full_price: float
    currency: str = ""
    seconds: float | None = None


class PreviewDocument(PreviewPart):
    """A preview of a run.

    Attributes:
        at_least: whether the estimates are lower bounds, since a source has more records than were counted.
        warnings: what a complete run would refuse.
        notes: what the figures include, and what they leave out.
    """

    format: Literal["preview/1"] = "preview/1"
    name: str
    title: str
    store: str
    rows: tuple[ShownRow, ...]
    sources: tuple[ShownSource, ...]
    drops: tuple[ShownDrop, ...]
    steps: tuple[ShownStep, ...]
    estimates: tuple[ShownEstimate, ...]
    full_rows: int
    at_least: bool
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def learnt(self) -> int:
        """Rows that are learnt from."""
        return sum(not row.dropped for row in self.rows)

    @property
    def priced(self) -> bool:
        """Whether anything has a price."""
        return any(estimate.currency for estimate in self.estimates)
