"""Streamed answers of the API server: the lines of a log, the changes of a watch."""

import json
from collections.abc import Iterator
from typing import Any

from components.launch.api.refusals import Expired, Unreachable
from components.launch.api.resources import Object


def lines_of(answer: Any) -> Iterator[bytes]:
    """The lines of a stream as they come; the last one may lack its newline."""
    rest = b""
    for piece in answer.stream(None, decode_content=False):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def changes_of(lines: Iterator[bytes]) -> Iterator[tuple[str, Object]]:
    """The changes of a watch, as (ADDED | MODIFIED | DELETED, object). Raises Expired; Unreachable when it breaks."""
    for line in lines:
        if not line.endswith(b"\n"):
            raise Unreachable("the watch broke off within a line")
        change = json.loads(line)
        changed = change["object"]
        if change["type"] == "ERROR":
            if changed.get("code") == 410:
                raise Expired(changed.get("message", ""))
            raise Unreachable(f"watch: {changed.get('message', changed)}")
        if change["type"] != "BOOKMARK":
            yield change["type"], changed
