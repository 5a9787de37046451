"""Joins instructions and replies, chunk by chunk, to Answered rows."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel

from components.launch.hand_back.files import JobResult
from components.models.conversation.chat_template import REMEDY
from components.models.generators.generator import Reply
from components.shared.errors import DamagedError, EmptyDataError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Shard
from components.shared.outputs.shards import SUFFIX, describe, pack_rows
from components.shared.rows import Answered, Dropped, Labelled, Origin, Response
from components.shared.store.open_store import open_store
from components.shared.store.store import Store
from components.shared.text.counted import counted
from components.shared.thought import split_thought
from components.synthesize.chunks import keys_of, sample_keys, slices
from components.synthesize.replies import ReplyShards
from components.synthesize.settings import Assignment

NO_RESPONSE = "no_response"


def combine(assignment: Assignment, dataset: Manifest) -> JobResult:
    """Write `rows/` (and `dropped/`, for rows without any response) from the finished replies.

    Raises:
        EmptyDataError: no row has a response, because chat templates refuse them.
        DamagedError: replies are missing.
    """
    settings = assignment.settings
    store = open_store(assignment.root).at(assignment.address)
    replies = {origin: ReplyShards(store, origin) for origin in settings.asked}
    shards: list[Shard] = []
    counts: Counter[str] = Counter()
    first = ""
    for index, rows in slices(Library(assignment.root).read_rows(dataset, Labelled), settings.rows_per_shard):
        by_origin = {
            origin: _read_complete(shard, index, rows, settings.samples_of(origin)) for origin, shard in replies.items()
        }
        answered, dropped = _join(rows, by_origin, settings.origins)
        _count(counts, answered, dropped, by_origin)
        first = first or next((row.evidence for row in dropped), "")
        shards += _write(store, f"rows/{index:05d}", answered) + _write(store, f"dropped/{index:05d}", dropped)
    if not counts["rows"] and any(counts[f"refused_{origin}"] for origin in replies):
        raise EmptyDataError(
            f"none of {counts['rows_without_response']} rows has a response, the first: {first}", remedy=REMEDY
        )
    return JobResult(shards=tuple(shards), counts=dict(counts))


def _read_complete(shards: ReplyShards, index: int, rows: Sequence[Labelled], samples: int) -> list[list[Reply]]:
    """The replies of one origin to each row, in their order; failed ones too. Raises DamagedError."""
    replies = shards.read(index)
    wanted = [sample_keys(key, samples) for key in keys_of(rows)]
    lost = [key for keys in wanted for key in keys if key not in replies]
    if lost:
        raise DamagedError(
            f"{counted(len(lost), 'missing reply', 'missing replies')} of the {shards.origin}, such as {lost[0]!r}",
            rule="a finished chunk has all replies to each of its rows",
            remedy="run again: only these are generated",
        )
    return [[replies[key] for key in keys] for keys in wanted]


def _join(
    rows: Sequence[Labelled], replies: dict[Origin, list[list[Reply]]], origins: Sequence[Origin]
) -> tuple[list[Answered], list[Dropped]]:
    answered, dropped = [], []
    for index, row in enumerate(rows):
        given = {origin: by_row[index] for origin, by_row in replies.items()}
        kept = tuple(response for origin in origins for response in _responses(origin, row, given))
        if kept:
            answered.append(Answered(**dict(row), responses=kept))
        else:
            reasons = "; ".join(f"{origin}: {samples[0].text}" for origin, samples in given.items())
            dropped.append(Dropped(id=row.id, source=row.source, line=row.line, reason=NO_RESPONSE, evidence=reasons))
    return answered, dropped


def _responses(origin: Origin, row: Labelled, given: dict[Origin, list[Reply]]) -> list[Response]:
    """One origin's responses: without those that failed, and without originals that are missing or only reasoning.

    A row that came as a pair has two originals, the preferred one first.
    """
    if origin == "original":
        parted = [split_thought(text) for text in (row.response, row.rejected)]
        return [Response(origin=origin, text=one.answer, reasoning=one.reasoning) for one in parted if one.answer]
    return [_response(origin, reply) for reply in given[origin] if reply.finish != "error"]


def _response(origin: Origin, reply: Reply) -> Response:
    facts = {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out, "finish": reply.finish}
    return Response(origin=origin, text=reply.text, reasoning=reply.reasoning, **facts)


def _count(
    counts: Counter[str],
    answered: Sequence[Answered],
    dropped: Sequence[Dropped],
    replies: dict[Origin, list[list[Reply]]],
) -> None:
    counts["rows"] += len(answered)
    counts["rows_without_response"] += len(dropped)
    originals = [response for row in answered for response in row.responses if response.origin == "original"]
    counts["responses_original"] += len(originals)
    counts["reasoned_original"] += sum(bool(response.reasoning) for response in originals)
    for origin, by_row in replies.items():
        _count_replies(counts, origin, by_row)


def _count_replies(counts: Counter[str], origin: Origin, by_row: list[list[Reply]]) -> None:
    replies = [reply for samples in by_row for reply in samples]
    good = [reply for reply in replies if reply.finish != "error"]
    counts[f"responses_{origin}"] += len(good)
    counts[f"failed_{origin}"] += sum(reply.failed for reply in replies)
    counts[f"refused_{origin}"] += sum(reply.refused for reply in replies)
    counts[f"empty_{origin}"] += sum(not reply.text.strip() for reply in good)
    counts[f"cut_short_{origin}"] += sum(reply.finish == "length" for reply in good)
    # Failed answers cost tokens too.
    counts[f"tokens_in_{origin}"] += sum(reply.tokens_in for reply in replies)
    counts[f"tokens_out_{origin}"] += sum(reply.tokens_out for reply in replies)
    counts[f"reasoned_{origin}"] += sum(bool(reply.reasoning) for reply in replies)
    counts[f"leaked_{origin}"] += sum(reply.leaked for reply in replies)
    counts[f"mended_{origin}"] += sum(reply.mended for reply in replies)
    if any(len(samples) > 1 for samples in by_row):
        failed = [sum(reply.failed for reply in samples) for samples in by_row]
        some = zip(failed, by_row, strict=True)
        counts[f"rows_lacking_samples_{origin}"] += sum(0 < lost < len(samples) for lost, samples in some)
        counts[f"repeated_{origin}"] += sum(len(texts) - len(set(texts)) for texts in map(_texts, by_row))


def _texts(samples: list[Reply]) -> list[str]:
    return [reply.text for reply in samples if reply.finish != "error"]


def _write(store: Store, name: str, rows: Sequence[BaseModel]) -> list[Shard]:
    if not rows:
        return []
    data, count = pack_rows(rows)
    store.write(name + SUFFIX, data)
    return [describe(name + SUFFIX, data, count)]
