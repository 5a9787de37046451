"""The rollouts of one model with one sampling, at an address of their own: `PLACE/KEY/FIRST-LAST-NAME.jsonl.gz`.

Every step that asks this model with this sampling adds to them and uses them, whatever its problems or checks are: a
rollout depends on the model, the sampling, the conversation and its number, and its verdict is not kept, since checks
are corrected. A file holds the rollouts of problems whose keys are between FIRST and LAST, so a slice of problems reads
few of them. Nothing is overwritten; where a rollout was drawn twice, by two steps at once, the first file has it.
"""

import gzip
import uuid
import zlib
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.models.rollouts.problems import KEY_LENGTH
from components.shared.log import say
from components.shared.outputs.shards import SUFFIX, pack_rows
from components.shared.store.store import Store


class DrawnRollout(BaseModel):
    """What the model wrote in one rollout, its reasoning in tags, not yet checked; `key` is that of its request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    finish: Literal["stop", "length"] = "stop"


class KeptRollouts:
    """The kept rollouts in the store at their address."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, first: str, last: str) -> dict[str, DrawnRollout]:
        """The rollouts of problems with keys from `first` to `last`, by the keys of their requests."""
        found: dict[str, DrawnRollout] = {}
        for name in sorted(entry.key for entry in self._store.list()):
            if _overlaps(name, first, last):
                found = {rollout.key: rollout for rollout in self._read(name)} | found
        return found

    def append(self, rollouts: Iterable[DrawnRollout]) -> None:
        """Add rollouts, if there are any; one object, so that they are stored together or not at all."""
        ordered = sorted(rollouts, key=lambda rollout: rollout.key)
        if ordered:
            first, last = (rollout.key[:KEY_LENGTH] for rollout in (ordered[0], ordered[-1]))
            self._store.write(f"{first}-{last}-{uuid.uuid4().hex}{SUFFIX}", pack_rows(ordered)[0])

    def _read(self, name: str) -> list[DrawnRollout]:
        """The rollouts of one object; a damaged one counts as none, so that they are drawn again."""
        try:
            lines = gzip.decompress(self._store.read(name)).splitlines()
            return [DrawnRollout.model_validate_json(line) for line in lines]
        except (OSError, EOFError, zlib.error, ValidationError) as error:
            say("rollouts", f"{self._store.uri}/{name} is damaged; its rollouts are drawn again: {error}")
            return []


def _overlaps(name: str, first: str, last: str) -> bool:
    own_first, own_last = name[:KEY_LENGTH], name[KEY_LENGTH + 1 : 2 * KEY_LENGTH + 1]
    return name.endswith(SUFFIX) and own_first <= last and first <= own_last
