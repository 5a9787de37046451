"""Two-level labels from a teacher: one request for each instruction, stored as the replies arrive.

The labels have an address of their own, `curate-labels/KEY`, where KEY is the hash of the teacher, the prompt, the
sampling and the instructions. So a resumed run, or one with other settings of balancing, requests only missing labels.
Replies without a label are not stored: a later run asks again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from components.curate.labels.label import LABELS, LabelRow
from components.curate.labels.parse_label import parse_label
from components.curate.labels.settings import INSTRUCTION_PLACE, LabelSettings
from components.curate.labels.stored_labels import Labels, StoredLabels
from components.models.conversation.chat_template import REMEDY
from components.models.generators.changes import Changes
from components.models.generators.generator import ChatRequest, Generator, GeneratorSettings, Reply, Sampling
from components.models.generators.registry import AnyGeneratorSettings
from components.shared.errors import EmptyDataError, GenerationError
from components.shared.log import Progress, say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.rows import Instruction, Message
from components.shared.settings import Settings
from components.shared.text.counted import counted

# From this many replies on, the step fails early if most have no label.
EARLY_REPLIES = 100
REQUEST_FAILED = "request failed: "
SHOWN_REPLIES = 3
SHOWN_CHARACTERS = 200


class LabelInputs(Settings):
    """The part of the settings that determines the labels."""

    teacher: AnyGeneratorSettings
    sampling: Sampling
    template: str
    characters: int


def label_prompt(instruction: Instruction, template: str, characters: int) -> tuple[Message, ...]:
    """The messages that ask for an instruction's label; a long one is reduced to its start and end."""
    text = instruction.instruction
    if len(text) > characters:
        text = f"{text[: characters * 2 // 3]}\n[…]\n{text[-(characters // 3) :]}"
    return (Message(role="user", content=template.replace(INSTRUCTION_PLACE, text)),)


def ask_labels(
    library: Library,
    settings: LabelSettings,
    inputs: Mapping[str, Manifest | Parent],
    *,
    rows: Callable[[], Iterable[Instruction]],
    total: int,
    open_generator: Callable[[GeneratorSettings], Generator],
) -> Labels:
    """Labels of all rows; asks for those that no earlier run has stored.

    Args:
        library: where outputs are stored.
        settings: of the step; `settings.teacher` is set.
        inputs: the instructions, and the teacher if it has files.
        rows: returns a new stream of the rows to label on each call.
        total: their number.
        open_generator: loads or connects to the teacher; not called when no label is missing.

    Raises:
        GenerationError: the teacher is unreachable, or too many replies have no label.
        EmptyDataError: the teacher's chat template refuses all of them.
    """
    assert settings.teacher is not None
    key = LabelInputs(
        teacher=settings.teacher,
        sampling=settings.label_sampling,
        template=settings.label_template,
        characters=settings.label_characters,
    )
    output = Output(library, LABELS, key, inputs)
    with output.writing():
        kept = StoredLabels(output)
        labels = kept.labels
        known = sum(row.id in labels.found for row in rows())
        if known < total:
            say("curate", f"labels: {known} known, {total - known} to ask")
            teacher = open_generator(settings.teacher)
            try:
                asking = _Asking(kept, Progress("curate", "labels", total, already=known), settings.unlabelled_share)
                asking.ask(teacher, _requests(rows(), labels, key), settings.label_sampling)
            finally:
                teacher.close()
    return labels


def _requests(rows: Iterable[Instruction], labels: Labels, key: LabelInputs) -> Iterator[ChatRequest]:
    asked: set[str] = set()
    for row in rows:
        if row.id not in labels.found and row.id not in asked:
            asked.add(row.id)
            yield ChatRequest(key=row.id, messages=label_prompt(row, key.template, key.characters))


class _Asking:
    """Stores labels as replies arrive, and fails when too many have no label."""

    def __init__(self, kept: StoredLabels, progress: Progress, share: float) -> None:
        self._kept, self._progress, self._share = kept, progress, share
        self._total = progress.total or 0
        self._replies = 0
        self._changes = Changes()

    def ask(self, teacher: Generator, requests: Iterator[ChatRequest], sampling: Sampling) -> None:
        try:
            for reply in teacher.answer(requests, sampling):
                self._take(reply)
        finally:
            self._kept.flush()
            self._kept.add_control_text(teacher.usage().control_text)
            for line in self._changes.in_words():
                say("curate", f"labels: {line}")
        self._progress.finish()
        self._note_refused()

    def _note_refused(self) -> None:
        """Log how many rows the chat template refuses. Raises EmptyDataError if it refuses all of them."""
        labels = self._kept.labels
        if not labels.refused:
            return
        row, reason = next(iter(labels.refused.items()))
        said = f"{counted(len(labels.refused), 'row')} cannot be labelled, the first: row {row!r}: {reason}"
        say("curate", said)
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
            # The error of a failed request is shown in full: it includes the remedy.
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
        """Raises GenerationError once too many replies have no label, or will very likely."""
        missing = list(self._kept.labels.missing.values())
        hopeless = self._replies >= EARLY_REPLIES and len(missing) > self._replies * (1 + self._share) / 2
        if len(missing) <= self._share * self._total and not hopeless:
            return
        failed = sum(text.startswith(REQUEST_FAILED) for text in missing)
        raise GenerationError(
            f"{len(missing)} of {self._replies} replies to the label prompt have no label"
            + (f" ({failed} requests failed)" if failed else "")
            + ", such as\n"
            + "\n".join(f"    {text!r}" for text in missing[:SHOWN_REPLIES]),
            rule=f"at most {self._share:.0%} of the {self._total} replies may lack a line `PRIMARY / SECONDARY`",
            remedy="check that the teacher answers and follows label_template; raise label_sampling.max_tokens or "
            "unlabelled_share; the labels so far are stored",
        )
