"""Hold rows with a check out of training: they become the questions of an evaluation set."""

from collections.abc import Iterator

from components.collect.settings import DatasetSettings, Holdout
from components.collect.sources.open_source import OpenSource
from components.collect.sources.read_source import ReadRow, read_source
from components.collect.sources.tally import SourceTally
from components.collect.sources.templates import Frames
from components.collect.step import STEP
from components.shared.log import track
from components.shared.outputs.digest import digest_value, hash_text, hex_of
from components.shared.rows import Question
from components.shared.text.words import tokenise

HELD_OUT = "held_out"
"""The part of the dataset with the questions."""
ID_LENGTH = 16


class Holding:
    """Decides for each row of one source whether it is held out.

    The hash of a row's template (or of its instruction's words, where it is from none) decides, so the choice depends
    neither on the order of the rows nor on other sources, and equal instructions of several sources are on one side.

    Args:
        settings: the share, and what is held out as one.
        source: the source's name.
        frames: those of the source; None: templates are named by the record, or instructions are held out one by one.
    """

    def __init__(self, settings: Holdout, source: str, frames: Frames | None) -> None:
        self._settings, self._source, self._frames = settings, source, frames
        self._asked: set[str] = set()

    def takes(self, item: ReadRow) -> bool:
        """Whether a row is held out: it has a check, and its hash is within the share."""
        if item.row.check is None:
            return False
        place = hash_text(f"{self._settings.seed} {self._unit(item)}", order="big")
        return place < self._settings.share * 2**64

    def question(self, item: ReadRow) -> Question | None:
        """The question of a row that is held out; None when the source has asked the same one before."""
        row = item.row
        assert row.check is not None
        history = [[message.role, message.content] for message in row.history]
        facts = [self._source, row.system, history, row.instruction, row.check.answer]
        identity = hex_of(digest_value(facts), ID_LENGTH)
        if identity in self._asked:
            return None
        self._asked.add(identity)
        return question_of(item, self._settings.name, identity, self._source)

    def _unit(self, item: ReadRow) -> str:
        template = item.template
        if self._settings.unit == "template" and not template and self._frames is not None:
            template = self._frames.template(item.row.instruction)
        if self._settings.unit == "template" and template:
            return f"template {template}"
        return f"instruction {' '.join(tokenise(item.row.instruction))}"


def open_holdout(settings: DatasetSettings, opened: OpenSource) -> Holding | None:
    """What is held out of a source; None for nothing. Reads the source once where templates have to be recognised.

    Raises:
        InputError: a file is damaged.
    """
    source, holdout = opened.source, settings.holdout
    if holdout is None or (holdout.sources and source.name not in holdout.sources):
        return None
    if holdout.unit == "instruction" or source.template_field:
        return Holding(holdout, source.name, None)
    return Holding(holdout, source.name, Frames(_instructions(settings, opened)))


def question_of(item: ReadRow, benchmark: str, identity: str, subject: str) -> Question:
    """The question of a row that has a check."""
    row = item.row
    assert row.check is not None
    return Question(
        benchmark=benchmark,
        subject=subject,
        id=identity,
        system=row.system,
        history=row.history,
        question=row.instruction,
        answer=row.check.answer,
        check=row.check,
    )


def _instructions(settings: DatasetSettings, opened: OpenSource) -> Iterator[str]:
    tally = SourceTally(opened.source.name)  # of the second reading, which is reported
    rows = read_source(opened, settings, tally, opened.source.limit)
    for item in track(rows, STEP.name, f"templates of {opened.source.name}", unit="instructions"):
        if isinstance(item, ReadRow):
            yield item.row.instruction
