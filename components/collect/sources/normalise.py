"""Turn a record into instructions, or reject it with a reason."""

from collections import Counter
from dataclasses import replace

from components.collect.files.records import BadRowError, Record, Rejection, undecodable
from components.collect.shapes.beyond_text import (
    MEDIA,
    WEIGHT,
    extra_fields,
    require_learnt,
    require_no_placeholder,
    require_text_alone,
)
from components.collect.shapes.labels import read_label
from components.collect.shapes.preference import REJECTED
from components.collect.shapes.shape import Draft, RecordFields, Shape, require_instruction, text
from components.collect.source_settings import NO_CHECK, Checking, Source
from components.rewards.checks.registry import CHECKERS
from components.shared.outputs.digest import digest_value, hex_of
from components.shared.rows import Check, Instruction

ID_LENGTH = 16


def normalise(
    record: Record,
    shape: Shape | None,
    source: Source,
    place: str,
    max_characters: int,
    *,
    ignored: Counter[str] | None = None,
) -> list[Instruction]:
    """The record's instructions.

    Args:
        record: the record.
        shape: its shape, or None when no shape recognises the source's rows.
        source: its source, which says how answers can be checked.
        place: the source's name and file.
        max_characters: the largest number of characters of a row.
        ignored: counts, by field, the records with a value that nothing reads.

    Raises:
        BadRowError: the record cannot be used. A record with several instructions is accepted or rejected as one.
    """
    if shape is None:
        raise BadRowError(Rejection.unknown_shape, _shapeless(record.fields))
    fields = record.fields
    require_text_alone(fields, "the row")
    if WEIGHT in fields:
        require_learnt({WEIGHT: fields[WEIGHT]})
    drafts = [_without_labels(draft, source) for draft in shape.read(fields, source)]
    label, said_by = _label(fields, source, drafts)
    drafts = [_checked(draft, fields, source, label) for draft in drafts]
    for draft in drafts:
        _require_usable(draft, source, max_characters)
        if not MEDIA.isdisjoint(fields):
            require_no_placeholder(_texts(draft))
    if ignored is not None:
        _count_ignored(ignored, extra_fields(fields, shape.fields), drafts, said_by | source.fields_read)
    return [_numbered(draft, place, record.line, number, label) for number, draft in enumerate(drafts)]


def _count_ignored(ignored: Counter[str], extra: list[str], drafts: list[Draft], read: frozenset[str]) -> None:
    for name in extra:
        if name not in read:
            ignored[name] += 1
    for draft in drafts:
        for name in draft.ignored:
            ignored[name] += 1


def _shapeless(fields: RecordFields) -> str:
    return f"no known shape matches the fields {', '.join(fields)}"


def _without_labels(draft: Draft, source: Source) -> Draft:
    """The draft without its second response, where labels are ignored: which one is preferred is a label."""
    if source.labels == "read" or not draft.rejected:
        return draft
    return replace(draft, rejected="", ignored=draft.ignored | {REJECTED})


def _label(fields: RecordFields, source: Source, drafts: list[Draft]) -> tuple[bool | None, frozenset[str]]:
    """The label of the record's responses, and the fields with it. Of a preference, the response is the better one."""
    if source.labels != "read":
        return None, frozenset()
    return (True, frozenset()) if any(draft.rejected for draft in drafts) else read_label(fields)


def _checked(draft: Draft, fields: RecordFields, source: Source, label: bool | None) -> Draft:
    """The draft with its check. A response that is labelled bad gives none: its answer is not a reference."""
    if label is False and not source.check.field:
        return replace(draft, check=None)
    if source.check.kind == NO_CHECK or not (source.check.field or draft.response):
        return draft
    answer = find_answer(text(fields, source.check.field) if source.check.field else draft.response, source.check)
    ignored = {"ignore_case": source.check.ignore_case, "ignore_punctuation": source.check.ignore_punctuation}
    return replace(draft, check=Check(kind=source.check.kind, answer=answer, **ignored))


def find_answer(given: str, checking: Checking) -> str:
    """The right answer within a text. Raises BadRowError when there is none."""
    _, mark, rest = given.rpartition(checking.after) if checking.after else ("", "-", given)
    answer = rest.strip()
    if not mark or not answer:
        raise BadRowError(
            Rejection.no_answer, f"no answer after {checking.after!r}" if checking.after else "the answer is empty"
        )
    reference = CHECKERS[checking.kind].parse_reference(answer)
    if not reference:
        raise BadRowError(Rejection.no_answer, f"{answer!r} is not an answer for the check {checking.kind!r}")
    return reference


def _require_usable(draft: Draft, source: Source, max_characters: int) -> None:
    require_instruction(draft.instruction)
    if source.response_required and not draft.response.strip():
        raise BadRowError(Rejection.empty_response)
    parts = _texts(draft)
    whole = "".join(parts)
    if len(whole) > max_characters:
        raise BadRowError(Rejection.oversize, f"{len(whole)} characters, at most {max_characters} are allowed")
    try:
        whole.encode()
    except UnicodeEncodeError:
        for part in parts:
            _require_unicode(part)


def _texts(draft: Draft) -> list[str]:
    own = [draft.system, draft.instruction, draft.response, draft.rejected, draft.check.answer if draft.check else ""]
    return own + [message.content for message in draft.history]


def _require_unicode(part: str) -> None:
    try:
        part.encode()
    except UnicodeEncodeError as error:
        # An invalid UTF-8 byte of a CSV, or half a surrogate pair escaped in JSON.
        raise BadRowError(Rejection.invalid_unicode, _undecodable(part, error)) from error


def _undecodable(part: str, error: UnicodeEncodeError) -> str:
    try:
        data = part.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return f"not valid UTF-8 at character {error.start}: {error.reason}"
    return undecodable(data, len(part[: error.start].encode()), "not valid UTF-8")


def _numbered(draft: Draft, place: str, line: int, place_in_record: int, label: bool | None) -> Instruction:
    return Instruction(
        id=_identity(draft, place, line, place_in_record),
        source=place,
        line=line,
        system=draft.system,
        history=draft.history,
        instruction=draft.instruction,
        response=draft.response,
        check=draft.check,
        desirable=label if draft.response else None,
        rejected=draft.rejected,
    )


def _identity(draft: Draft, place: str, line: int, place_in_record: int) -> str:
    """The same row at the same place has the same id in every run."""
    history = [[message.role, message.content] for message in draft.history]
    facts = [place, line, place_in_record, draft.system, history, draft.instruction, draft.response]
    facts += [draft.rejected] if draft.rejected else []
    return hex_of(digest_value(facts), ID_LENGTH)
