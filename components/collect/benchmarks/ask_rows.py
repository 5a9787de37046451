"""The questions of an evaluation set of one's own: rows of a source, each with a check."""

from collections.abc import Iterator

from components.collect.files.records import BadRowError, Rejection
from components.collect.set_settings import CheckedSource
from components.collect.source_settings import NO_CHECK, ReadingLimits
from components.collect.sources.hold_out import question_of
from components.collect.sources.open_source import OpenSource
from components.collect.sources.read_source import ReadRow, name_in, read_source
from components.collect.sources.tally import SourceTally
from components.shared.rows import Question, Rejected


def read_questions(opened: OpenSource, limits: ReadingLimits, tally: SourceTally) -> Iterator[Question | Rejected]:
    """The questions of a set and its rejected records, in order; `tally` counts them.

    A record is rejected if a source's would be, or if its answer cannot be checked.

    Raises:
        InputError: a file is damaged.
    """
    source = opened.source
    assert isinstance(source, CheckedSource)
    for item in read_source(opened, limits, tally):
        made = item if isinstance(item, Rejected) else _question(item, source)
        if isinstance(made, Rejected):
            tally.reject(made)
        elif source.subjects and made.subject not in source.subjects:
            continue
        else:
            tally.ask()
        yield made


def _question(item: ReadRow, source: CheckedSource) -> Question | Rejected:
    row = item.row
    try:
        if row.check is None:
            raise BadRowError(Rejection.no_answer, _unchecked(source))
        name, subject = name_in(item.fields, source.id_field), name_in(item.fields, source.subject_field)
    except BadRowError as error:
        return Rejected(source=row.source, line=row.line, reason=error.reason, detail=error.detail)
    identity = name or f"{row.source}/{row.line}"
    return question_of(item, source.name, f"{identity}.{item.number}" if item.number else identity, subject)


def _unchecked(source: CheckedSource) -> str:
    if source.check.kind == NO_CHECK:
        return "the set has no `check`, and its rows have none of their own"
    return "no response to compare with, or one that is labelled bad; `check.field` names the field of the answer"
