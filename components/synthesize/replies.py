"""Replies at the output's address while the job is in progress.

replies/ORIGIN/00007.jsonl.gz         the good replies to chunk 7
failed/ORIGIN/00007.jsonl.gz          its failed replies, if any: another run generates these again
parts/ORIGIN/00007/NAME.jsonl.gz      good replies to a chunk in progress, a few in each file
"""

import gzip
import uuid
import zlib
from collections.abc import Iterable

from pydantic import ValidationError

from components.models.generators.generator import Reply
from components.shared.errors import NotFoundError
from components.shared.log import say
from components.shared.outputs.shards import SUFFIX, pack_rows
from components.shared.rows import Origin
from components.shared.store.store import Store


class ReplyShards:
    """The replies of one origin, by chunk."""

    def __init__(self, store: Store, origin: Origin) -> None:
        self.store, self.origin = store, origin

    def done(self) -> set[int]:
        """Chunks with all their replies, none of them failed."""
        whole, failed = (
            {_number(entry.key) for entry in self.store.list(f"{part}/{self.origin}/")}
            for part in ("replies", "failed")
        )
        return whole - failed

    def known(self, index: int) -> dict[str, Reply]:
        """Good replies to a chunk, which need not be generated again."""
        replies = self._read(self._name("replies", index))
        for entry in list(self.store.list(f"parts/{self.origin}/{index:05d}/")):
            replies += self._read(entry.key)
        return {reply.key: reply for reply in replies}

    def append(self, index: int, replies: Iterable[Reply]) -> None:
        """Write some good replies to a chunk in progress."""
        name = f"parts/{self.origin}/{index:05d}/{uuid.uuid4().hex}{SUFFIX}"
        self.store.write(name, pack_rows(replies)[0])

    def finish(self, index: int, replies: Iterable[Reply]) -> None:
        """Write all replies to a chunk, in the order of its rows; failed ones separately.

        The chat template refuses a conversation every time, so such a reply does not count as failed.
        """
        replies = list(replies)
        failed = [reply for reply in replies if reply.failed]
        # Failed replies first: once the good ones are stored, the chunk counts as done.
        if failed:
            self.store.write(self._name("failed", index), pack_rows(failed)[0])
        good = [reply for reply in replies if not reply.failed]
        self.store.write(self._name("replies", index), pack_rows(good)[0])
        if not failed:
            self.store.delete(self._name("failed", index))
        for entry in list(self.store.list(f"parts/{self.origin}/{index:05d}/")):
            self.store.delete(entry.key)

    def read(self, index: int) -> dict[str, Reply]:
        """All replies to a finished chunk, failed ones too."""
        replies = [*self._read(self._name("replies", index)), *self._read(self._name("failed", index))]
        return {reply.key: reply for reply in replies}

    def _name(self, part: str, index: int) -> str:
        return f"{part}/{self.origin}/{index:05d}{SUFFIX}"

    def _read(self, name: str) -> list[Reply]:
        """The replies of one object; a damaged one counts as none, so that its rows are asked again."""
        try:
            lines = gzip.decompress(self.store.read(name)).splitlines()
            return [Reply.model_validate_json(line) for line in lines]
        except NotFoundError:
            return []
        except (OSError, EOFError, zlib.error, ValidationError) as error:
            say("synthesize", f"{self.store.uri}/{name} is damaged and set aside: {error}")
            self.store.delete(name)
            return []


def _number(key: str) -> int:
    return int(key.rsplit("/", 1)[1].removesuffix(SUFFIX))
