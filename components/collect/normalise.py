"""Turn a record into instructions, or say why it cannot be one."""

import hashlib
import re
from collections import Counter
from dataclasses import replace

from components.collect.records import BadRowError, Reason, Record, undecodable
from components.collect.settings import Checking, Source
from components.collect.shapes.beyond_text import (
    MEDIA,
    WEIGHT,
    extra_fields,
    require_learnt,
    require_no_placeholder,
    require_text_alone,
)
from components.collect.shapes.labels import read_label
from components.collect.shapes.shape import Draft, Fields, Shape, require_instruction, text
from components.shared.manifest import canonical
from components.shared.rows import Check, Instruction

ID_LENGTH = 16
LETTER = re.compile(r"^\W*([A-Z])\W*$")


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
        source: where it comes from, and how its answers can be checked.
        place: the source's name and file.
        max_characters: characters that one row may have.
        ignored: counts the records in which a field says something that nothing reads.

    Raises:
        BadRowError: the record cannot be used. A record with several instructions is taken whole or not at all.
    """
    if shape is None:
        raise BadRowError(Reason.unknown_shape, _shapeless(record.fields))
    fields = record.fields
    require_text_alone(fields, "the row")
    if WEIGHT in fields:
        require_learnt({WEIGHT: fields[WEIGHT]})
    label, said_by = read_label(fields) if source.labels == "read" else (None, frozenset[str]())
    drafts = [_checked(draft, fields, source, label) for draft in shape.read(fields, source)]
    for draft in drafts:
        _require_usable(draft, source, max_characters)
        if not MEDIA.isdisjoint(fields):
            require_no_placeholder(_texts(draft))
    if ignored is not None:
        _count_ignored(ignored, extra_fields(fields, shape.fields), drafts, said_by | {source.check.field})
    return [_numbered(draft, place, record.line, number, label) for number, draft in enumerate(drafts)]


def _count_ignored(ignored: Counter[str], extra: list[str], drafts: list[Draft], read: frozenset[str]) -> None:
    for name in extra:
        if name not in read:
            ignored[name] += 1
    for draft in drafts:
        for name in draft.ignored:
            ignored[name] += 1


def _shapeless(fields: Fields) -> str:
    if {"chosen", "rejected"} <= fields.keys():
        return "pairs of a chosen and a rejected response: write each as a row with prompt, completion and label"
    return f"no known shape has the fields {', '.join(fields)}"


def _checked(draft: Draft, fields: Fields, source: Source, label: bool | None) -> Draft:
    """The draft with its check. A response that is labelled bad gives none: its answer is no reference."""
    if label is False and not source.check.field:
        return replace(draft, check=None)
    if source.check.kind == "none" or not (source.check.field or draft.response):
        return draft
    answer = find_answer(text(fields, source.check.field) if source.check.field else draft.response, source.check)
    return replace(draft, check=Check(kind=source.check.kind, answer=answer))


def find_answer(given: str, checking: Checking) -> str:
    """The right answer within a text. Raises BadRowError when it is not there."""
    _, mark, rest = given.rpartition(checking.after) if checking.after else ("", "-", given)
    answer = rest.strip()
    if not mark or not answer:
        raise BadRowError(Reason.no_answer, f"no answer after {checking.after!r}" if checking.after else "it is empty")
    if checking.kind == "choice":
        letter = LETTER.match(answer.upper())
        if letter is None:
            raise BadRowError(Reason.no_answer, f"{answer!r} is no letter of a choice")
        return letter[1]
    return answer


def _require_usable(draft: Draft, source: Source, max_characters: int) -> None:
    require_instruction(draft.instruction)
    if source.response_required and not draft.response.strip():
        raise BadRowError(Reason.empty_response)
    parts = _texts(draft)
    whole = "".join(parts)
    if len(whole) > max_characters:
        raise BadRowError(Reason.oversize, f"{len(whole)} characters, {max_characters} are allowed")
    try:
        whole.encode()
    except UnicodeEncodeError:
        for part in parts:
            _require_unicode(part)


def _texts(draft: Draft) -> list[str]:
    own = [draft.system, draft.instruction, draft.response, draft.check.answer if draft.check else ""]
    return own + [message.content for message in draft.history]


def _require_unicode(part: str) -> None:
    try:
        part.encode()
    except UnicodeEncodeError as error:
        # A byte of a CSV that is no UTF-8, or half a surrogate pair escaped in JSON.
        raise BadRowError(Reason.invalid_unicode, _undecodable(part, error)) from error


def _undecodable(part: str, error: UnicodeEncodeError) -> str:
    try:
        data = part.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return f"no UTF-8 at character {error.start}: {error.reason}"
    return undecodable(data, len(part[: error.start].encode()), "no UTF-8")


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
    )


def _identity(draft: Draft, place: str, line: int, place_in_record: int) -> str:
    """The same row at the same place has the same id in every run."""
    history = [[message.role, message.content] for message in draft.history]
    facts = [place, line, place_in_record, draft.system, history, draft.instruction, draft.response]
    return hashlib.sha256(canonical(facts)).hexdigest()[:ID_LENGTH]
