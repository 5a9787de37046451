"""Two-level labels from a teacher, asked once for each instruction and kept as they come.

The labels lie at an address of their own, `curate-labels/KEY`, KEY the hash of the teacher, the prompt, the sampling
and the instructions. So a killed run asks only for what is missing, and so does a run that balances otherwise.
Replies that hold no label are not kept: a later run asks again.
"""

import gzip
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from components.curate.settings import INSTRUCTION_PLACE, CurateSettings
from components.models.changes import Changes
from components.models.conversation.chat_template import REMEDY
from components.models.teacher import Reply, Request, Sampling, Teacher, TeacherSettings
from components.shared.errors import EmptyDataError, TeacherError
from components.shared.log import Progress, say
from components.shared.manifest import Manifest, Parent
from components.shared.output import Output
from components.shared.rows import Instruction, Message, Row
from components.shared.settings import Settings
from components.shared.shards import SUFFIX, parse_row

STEP = "curate"
LABEL_STEP = "curate-labels"
LABEL_VERSION = 2
ROWS_AT_ONCE = 1_000
KEEP_SECONDS = 20.0
# From this many replies on, a run in which most hold no label is given up.
EARLY_REPLIES = 100
REQUEST_FAILED = "request failed: "
SHOWN_REPLIES = 3
SHOWN_CHARACTERS = 200
READ_LINES = 20

LABEL_WORDS, LABEL_CHARACTERS = 5, 60
PREFIX = re.compile(r"^(?:[\s>#*_`\"'“”‘’.()\-•]|\d+[.)]|(?:labels?|categor(?:y|ies)|answer|output)\s*[:：])+", re.I)
SEPARATOR = re.compile(r"\s*(?:/|／|\||→|->|>)\s*")
NAMED = re.compile(
    r"primary[^\w]*(?:category|label)?\W*[:：=]\W*([^\n,;{}\"*]+).*?secondary[^\w]*(?:category|label)?\W*[:：=]\W*"
    r"([^\n,;{}\"*]+)",
    re.I | re.S,
)
EDGES = " \t\"'“”‘’`*_.,;:!。，：；[]()<>#"

Label = tuple[str, str]


class LabelRow(Row):
    """One instruction's label, and the tokens it took."""

    content: ClassVar[str] = "label/1"

    id: str
    primary: str
    secondary: str
    tokens_in: int = 0
    tokens_out: int = 0


class LabelKey(Settings):
    """What makes the labels."""

    teacher: TeacherSettings
    sampling: Sampling
    template: str
    characters: int


def parse_label(text: str) -> Label | None:
    """Primary and secondary label of a reply, in lower case: its first line of the form `PRIMARY / SECONDARY`.

    Markdown, quotation marks, numbering and a leading `Label:` are passed over; `Primary: … Secondary: …` (JSON too) is
    understood. A label has a letter, and at most LABEL_WORDS words and LABEL_CHARACTERS characters.
    """
    for line in text.strip().splitlines()[:READ_LINES]:
        parts = SEPARATOR.split(PREFIX.sub("", line).strip(EDGES))
        if 2 <= len(parts) <= 3:
            label = _label(parts[0], parts[1])
            if label is not None:
                return label
    named = NAMED.search(text[:2000])
    return _label(named[1], named[2]) if named else None


def _label(primary: str, secondary: str) -> Label | None:
    names = [" ".join(name.strip(EDGES).lower().split()) for name in (primary, secondary)]
    good = all(
        len(name) <= LABEL_CHARACTERS and len(name.split()) <= LABEL_WORDS and any(map(str.isalpha, name))
        for name in names
    )
    return (names[0], names[1]) if good else None


def label_prompt(instruction: Instruction, template: str, characters: int) -> tuple[Message, ...]:
    """The messages that ask for an instruction's label; of a long one the start and the end are shown."""
    text = instruction.instruction
    if len(text) > characters:
        text = f"{text[: characters * 2 // 3]}\n[…]\n{text[-(characters // 3) :]}"
    return (Message(role="user", content=template.replace(INSTRUCTION_PLACE, text)),)


@dataclass
class Labels:
    """Labels by row id, what the teacher said where there is none, and what all of it took.

    `refused` has the rows whose prompt the teacher's chat template refuses, and why.
    """

    found: dict[str, Label] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    tokens_in: int = 0
    tokens_out: int = 0

    def take(self, row: LabelRow) -> None:
        """Add a label."""
        # One tuple for all rows of a label: a million rows share a few hundred.
        self.found[row.id] = _SHARED.setdefault((row.primary, row.secondary), (row.primary, row.secondary))
        self.tokens_in += row.tokens_in
        self.tokens_out += row.tokens_out


_SHARED: dict[Label, Label] = {}


def ask_labels(
    root: str,
    settings: CurateSettings,
    inputs: Mapping[str, Manifest | Parent],
    *,
    rows: Callable[[], Iterable[Instruction]],
    total: int,
    open_teacher: Callable[[TeacherSettings], Teacher],
) -> Labels:
    """Labels of all rows; asks for those that no earlier run has kept.

    Args:
        root: the store's root.
        settings: of the step; `settings.teacher` is set.
        inputs: what the labels are of: the instructions, and the teacher where its files are known.
        rows: streams the rows to label, as often as it is called.
        total: their number.
        open_teacher: loads or connects to the teacher; not called when nothing has to be asked.

    Raises:
        TeacherError: the teacher can't be reached, or too many replies hold no label.
        EmptyDataError: the teacher's chat template refuses all of them.
    """
    assert settings.teacher is not None
    key = LabelKey(
        teacher=settings.teacher,
        sampling=settings.label_sampling,
        template=settings.label_template,
        characters=settings.label_characters,
    )
    output = Output(root, LABEL_STEP, LABEL_VERSION, key, inputs)
    with output.writing():
        kept = _Kept(output)
        labels = kept.labels
        known = sum(row.id in labels.found for row in rows())
        if known < total:
            say(STEP, f"labels: {known} known, {total - known} to ask")
            teacher = open_teacher(settings.teacher)
            try:
                asking = _Asking(kept, Progress(STEP, "labels", total, already=known), settings.unlabelled_share)
                asking.ask(teacher, _requests(rows(), labels, key), settings.label_sampling)
            finally:
                teacher.close()
    return labels


class _Kept:
    """Labels in the store, in shards that are only ever added."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.labels = Labels()
        self._shards = 0
        self._waiting: list[LabelRow] = []
        self._written = time.monotonic()
        for entry in output.store.list("labels/"):
            self._read(entry.key)

    def _read(self, key: str) -> None:
        self._shards = max(self._shards, int(key.removeprefix("labels/").removesuffix(SUFFIX)) + 1)
        for line in gzip.decompress(self._output.store.read(key)).splitlines():
            self.labels.take(parse_row(line, LabelRow, where=f"{self._output.address}/{key}"))

    def add(self, row: LabelRow) -> None:
        """Keep a label; it is in the store within ROWS_AT_ONCE labels or KEEP_SECONDS."""
        self.labels.take(row)
        self._waiting.append(row)
        if len(self._waiting) >= ROWS_AT_ONCE or time.monotonic() - self._written > KEEP_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._output.write_rows(f"labels/{self._shards:06d}", self._waiting)
            self._shards += 1
        self._waiting, self._written = [], time.monotonic()


def _requests(rows: Iterable[Instruction], labels: Labels, key: LabelKey) -> Iterator[Request]:
    asked: set[str] = set()
    for row in rows:
        if row.id not in labels.found and row.id not in asked:
            asked.add(row.id)
            yield Request(key=row.id, messages=label_prompt(row, key.template, key.characters))


class _Asking:
    """Takes replies as they come, and gives up when too many hold no label."""

    def __init__(self, kept: _Kept, progress: Progress, share: float) -> None:
        self._kept, self._progress, self._share = kept, progress, share
        self._total = progress.total or 0
        self._replies = 0
        self._changes = Changes()

    def ask(self, teacher: Teacher, requests: Iterator[Request], sampling: Sampling) -> None:
        try:
            for reply in teacher.answer(requests, sampling):
                self._take(reply)
        finally:
            self._kept.flush()
            for line in self._changes.in_words():
                say(STEP, f"labels: {line}")
        self._progress.finish()
        self._note_refused()

    def _note_refused(self) -> None:
        """Say how many rows the teacher's chat template refuses. Raises EmptyDataError when that is all of them."""
        labels = self._kept.labels
        if not labels.refused:
            return
        row, reason = next(iter(labels.refused.items()))
        said = f"{len(labels.refused)} rows cannot be labelled, the first: row {row!r}: {reason}"
        say(STEP, said)
        if not labels.found and not labels.missing:
            raise EmptyDataError(said, remedy=REMEDY)

    def _take(self, reply: Reply) -> None:
        if reply.refused:
            self._kept.labels.refused[reply.key] = reply.text
            self._progress.advance()
            return
        self._replies += 1
        self._changes.take(reply)
        label = parse_label(reply.text) if reply.finish != "error" else None
        if label is None:
            failed = reply.finish == "error"
            # Why a request failed, and what to do, is shown in full.
            shown = REQUEST_FAILED + reply.text if failed else reply.text[:SHOWN_CHARACTERS]
            self._kept.labels.missing[reply.key] = " ".join(shown.split())
            self._judge()
        else:
            self._kept.add(
                LabelRow(
                    id=reply.key,
                    primary=label[0],
                    secondary=label[1],
                    tokens_in=reply.tokens_in,
                    tokens_out=reply.tokens_out,
                )
            )
        self._progress.advance()

    def _judge(self) -> None:
        """Raise TeacherError once the share of replies without a label is sure, or very likely, to be too large."""
        missing = list(self._kept.labels.missing.values())
        hopeless = self._replies >= EARLY_REPLIES and len(missing) > self._replies * (1 + self._share) / 2
        if len(missing) <= self._share * self._total and not hopeless:
            return
        failed = sum(text.startswith(REQUEST_FAILED) for text in missing)
        raise TeacherError(
            f"{len(missing)} of {self._replies} replies to the label prompt hold no label"
            + (f" ({failed} requests failed)" if failed else "")
            + ", such as\n"
            + "\n".join(f"    {text!r}" for text in missing[:SHOWN_REPLIES]),
            rule=f"at most {self._share:.0%} of the {self._total} replies may lack a line `PRIMARY / SECONDARY`",
            remedy="check that label_template suits the teacher and that the teacher answers; "
            "raise label_sampling.max_tokens or unlabelled_share; labels got so far are kept",
        )
