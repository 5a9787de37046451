"""Instructions and replies, chunk by chunk, into Answered rows."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from components.models.conversation.chat_template import REMEDY
from components.models.teacher import Reply
from components.shared.errors import DamagedError, EmptyDataError
from components.shared.manifest import Manifest, Shard
from components.shared.rows import Answered, Dropped, Labelled, Origin, Response
from components.shared.shards import SUFFIX, describe, pack_rows, read_rows
from components.shared.store import Store, open_store
from components.shared.thought import split_thought
from components.synthesize.assignment import Assignment
from components.synthesize.chunks import keys_of, slices
from components.synthesize.replies import ReplyShards

NO_RESPONSE = "no_response"


class Result(BaseModel):
    """What the job hands back to the step: the shards it wrote, and their counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: tuple[Shard, ...]
    counts: dict[str, int]


def combine(assignment: Assignment, dataset: Manifest) -> Result:
    """Write `rows/` (and `dropped/`, for rows without any response) from the finished replies.

    Raises:
        EmptyDataError: no row has a response, for chat templates refuse them.
        DamagedError: replies are gone.
    """
    settings = assignment.settings
    store = open_store(assignment.root).at(assignment.address)
    replies = {origin: ReplyShards(store, origin) for origin in settings.asked}
    shards: list[Shard] = []
    counts: Counter[str] = Counter()
    first = ""
    for index, rows in slices(read_rows(assignment.root, dataset, Labelled), settings.rows_per_shard):
        by_origin = {origin: _read_whole(shard, index, rows) for origin, shard in replies.items()}
        answered, dropped = _join(rows, by_origin, settings.origins)
        _count(counts, answered, dropped, by_origin)
        first = first or next((row.evidence for row in dropped), "")
        shards += _write(store, f"rows/{index:05d}", answered) + _write(store, f"dropped/{index:05d}", dropped)
    if not counts["rows"] and any(counts[f"refused_{origin}"] for origin in replies):
        raise EmptyDataError(
            f"none of {counts['rows_without_response']} rows has a response, the first: {first}", remedy=REMEDY
        )
    return Result(shards=tuple(shards), counts=dict(counts))


def _read_whole(shards: ReplyShards, index: int, rows: Sequence[Labelled]) -> dict[str, Reply]:
    replies = shards.read(index)
    lost = [key for key in keys_of(rows) if key not in replies]
    if lost:
        raise DamagedError(
            f"replies of the {shards.origin} to {len(lost)} rows are gone, such as {lost[0]!r}",
            rule="a finished chunk holds a reply to each of its rows",
            remedy="run again: only these are asked for",
        )
    return replies


def _join(
    rows: Sequence[Labelled], replies: dict[Origin, dict[str, Reply]], origins: Sequence[Origin]
) -> tuple[list[Answered], list[Dropped]]:
    answered, dropped = [], []
    for key, row in zip(keys_of(rows), rows, strict=True):
        given = {origin: by_key[key] for origin, by_key in replies.items()}
        responses = [_response(origin, row, given) for origin in origins]
        kept = tuple(response for response in responses if response is not None)
        if kept:
            answered.append(Answered(**dict(row), responses=kept))
        else:
            reasons = "; ".join(f"{origin}: {reply.text}" for origin, reply in given.items())
            dropped.append(Dropped(id=row.id, source=row.source, line=row.line, reason=NO_RESPONSE, evidence=reasons))
    return answered, dropped


def _response(origin: Origin, row: Labelled, given: dict[Origin, Reply]) -> Response | None:
    """One origin's response; None where it failed, where the instruction came without one, or with a thought alone."""
    if origin == "original":
        parted = split_thought(row.response)
        return Response(origin=origin, text=parted.answer, reasoning=parted.reasoning) if parted.answer else None
    reply = given[origin]
    if reply.finish == "error":
        return None
    facts = {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out, "finish": reply.finish}
    return Response(origin=origin, text=reply.text, reasoning=reply.reasoning, **facts)


def _count(
    counts: Counter[str],
    answered: Sequence[Answered],
    dropped: Sequence[Dropped],
    replies: dict[Origin, dict[str, Reply]],
) -> None:
    counts["rows"] += len(answered)
    counts["rows_without_response"] += len(dropped)
    originals = [response for row in answered for response in row.responses if response.origin == "original"]
    counts["responses_original"] += len(originals)
    counts["reasoned_original"] += sum(bool(response.reasoning) for response in originals)
    for origin, by_key in replies.items():
        good = [reply for reply in by_key.values() if reply.finish != "error"]
        counts[f"responses_{origin}"] += len(good)
        counts[f"failed_{origin}"] += sum(reply.failed for reply in by_key.values())
        counts[f"refused_{origin}"] += sum(reply.refused for reply in by_key.values())
        counts[f"empty_{origin}"] += sum(not reply.text.strip() for reply in good)
        counts[f"cut_short_{origin}"] += sum(reply.finish == "length" for reply in good)
        # Failed answers are paid for as well.
        counts[f"tokens_in_{origin}"] += sum(reply.tokens_in for reply in by_key.values())
        counts[f"tokens_out_{origin}"] += sum(reply.tokens_out for reply in by_key.values())
        counts[f"reasoned_{origin}"] += sum(bool(reply.reasoning) for reply in by_key.values())
        counts[f"leaked_{origin}"] += sum(reply.leaked for reply in by_key.values())
        counts[f"mended_{origin}"] += sum(reply.mended for reply in by_key.values())


def _write(store: Store, name: str, rows: Sequence[BaseModel]) -> list[Shard]:
    if not rows:
        return []
    data, count = pack_rows(rows)
    store.write(name + SUFFIX, data)
    return [describe(name + SUFFIX, data, count)]
