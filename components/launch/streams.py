"""Answers of the API server that go on: the lines of a log, the changes of a watch."""

import json
from collections.abc import Iterator
from typing import Any

from components.launch.kind import Object
from components.launch.refusals import Expired, Unreachable


def lines_of(answer: Any) -> Iterator[bytes]:
    """Lines of a stream as they come; the last one may lack its newline."""
    rest = b""
    for piece in answer.stream(None, decode_content=False):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def changes_of(lines: Iterator[bytes]) -> Iterator[tuple[str, Object]]:
    """The changes of a watch, as (ADDED | MODIFIED | DELETED, object). Raises Expired; Unreachable when it is cut."""
    for line in lines:
        if not line.endswith(b"\n"):
            raise Unreachable("the watch was cut within a line")
        change = json.loads(line)
        seen = change["object"]
        if change["type"] == "ERROR":
            if seen.get("code") == 410:
                raise Expired(seen.get("message", ""))
            raise Unreachable(f"watch: {seen.get('message', seen)}")
        if change["type"] != "BOOKMARK":
            yield change["type"], seen
