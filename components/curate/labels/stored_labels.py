"""Labels in the store: appended in shards as they arrive, and read by a later run."""

import gzip
import json
import time
from dataclasses import dataclass, field

from components.curate.labels.label import Label, LabelRow
from components.shared.outputs.output import Output
from components.shared.outputs.shards import SUFFIX, parse_row

ROWS_AT_ONCE = 1_000
KEEP_SECONDS = 20.0


@dataclass
class Labels:
    """Labels by row id, and what getting them took.

    Attributes:
        found: the labels.
        missing: replies without a label, or why the request failed.
        refused: rows whose prompt the chat template refuses, and why.
        control_text: prompts whose text spells a control token of the teacher; it was encoded as text. Counted over
            all runs, except those that were killed.
        tokens_in: tokens of the prompts.
        tokens_out: tokens of the replies.
    """

    found: dict[str, Label] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    control_text: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def take(self, row: LabelRow) -> None:
        """Add a label."""
        # All rows of a label share one tuple: a million rows have a few hundred labels.
        self.found[row.id] = _SHARED.setdefault((row.primary, row.secondary), (row.primary, row.secondary))
        self.tokens_in += row.tokens_in
        self.tokens_out += row.tokens_out


_SHARED: dict[Label, Label] = {}


class StoredLabels:
    """The labels of an address; shards are only added, never changed."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.labels = Labels()
        self._shards = 0
        self._waiting: list[LabelRow] = []
        self._written = time.monotonic()
        for entry in output.store.list("labels/"):
            self._read(entry.key)
        self._counted = 0
        for entry in output.store.list("control_text/"):
            self.labels.control_text += int(json.loads(output.store.read(entry.key))["prompts"])
            self._counted += 1

    def _read(self, key: str) -> None:
        self._shards = max(self._shards, int(key.removeprefix("labels/").removesuffix(SUFFIX)) + 1)
        for line in gzip.decompress(self._output.store.read(key)).splitlines():
            self.labels.take(parse_row(line, LabelRow, where=f"{self._output.address}/{key}"))

    def add(self, row: LabelRow) -> None:
        """Add a label; it is stored after at most ROWS_AT_ONCE labels, or with the first one after KEEP_SECONDS."""
        self.labels.take(row)
        self._waiting.append(row)
        if len(self._waiting) >= ROWS_AT_ONCE or time.monotonic() - self._written > KEEP_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the buffered labels."""
        if self._waiting:
            self._output.write_rows(f"labels/{self._shards:06d}", self._waiting)
            self._shards += 1
        self._waiting, self._written = [], time.monotonic()

    def add_control_text(self, prompts: int) -> None:
        """Store how many prompts of this run spelled a control token."""
        if prompts:
            self.labels.control_text += prompts
            self._output.write_json(f"control_text/{self._counted:06d}.json", {"prompts": prompts})
            self._counted += 1
