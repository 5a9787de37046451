"""The first pass: read every instruction once, and record what the later passes need.

It applies the length filters and the evaluation overlap; it records type, simhash and guard.
"""

from collections.abc import Iterable

from components.curate.columns import Columns, DropReason
from components.curate.duplicates.prints import Printer, asked_text
from components.curate.overlap.overlap_index import OverlapIndex
from components.curate.settings import CurateSettings
from components.curate.types.instruction_types import TypeRules
from components.shared.rows import Instruction
from components.shared.text.words import tokenise

# Tokens of instructions and responses in a batch; bounds the memory of the pass.
BATCH_TOKENS = 200_000


def scan(rows: Iterable[Instruction], settings: CurateSettings, rules: TypeRules, index: OverlapIndex) -> Columns:
    """Record all rows, in order."""
    scanner = _Scanner(settings, rules, index)
    for row in rows:
        scanner.take(row)
    scanner.flush()
    return scanner.columns


class _Scanner:
    def __init__(self, settings: CurateSettings, rules: TypeRules, index: OverlapIndex) -> None:
        self._settings, self._rules, self._index = settings, rules, index
        self._printer = Printer(settings)
        self.columns = Columns()
        self._rows: list[int] = []
        self._searched: list[tuple[list[str], list[str]]] = []
        self._counted: list[list[str]] = []
        self._desirable: list[bool | None] = []
        self._tokens = 0

    def take(self, row: Instruction) -> None:
        """Record one row: its type, its simhash, and why it is dropped, if it is."""
        number = self.columns.add(row.id, self._rules.classify(row.instruction))
        text = asked_text(row.history, row.instruction)
        if len(text) > self._settings.maximum_characters:
            limit = f"{len(text)} characters, at most {self._settings.maximum_characters}"
            self.columns.drop(number, DropReason.TOO_LONG, limit)
            return
        asked = tokenise(text)
        if len(asked) < self._settings.minimum_tokens:
            limit = f"{len(asked)} tokens, at least {self._settings.minimum_tokens}"
            self.columns.drop(number, DropReason.TOO_SHORT, limit)
            return
        responses = "\n".join(filter(None, (row.response, row.rejected)))
        response = tokenise(responses) if self._settings.overlap_responses and len(self._index) else []
        self._rows.append(number)
        self._searched.append((asked, response))
        self._counted.append(self._printer.counted(asked, text, row.system))
        self._desirable.append(row.desirable)
        self._tokens += len(asked) + len(response)
        if self._tokens >= BATCH_TOKENS:
            self.flush()

    def flush(self) -> None:
        found = self._index.search(self._searched) if self._rows else {}
        for place, overlap in found.items():
            self.columns.drop(self._rows[place], DropReason.EVALUATION_OVERLAP, overlap.evidence)
        hashes = self._printer.hashes(self._counted)
        for row, value, tokens, label in zip(self._rows, hashes, self._counted, self._desirable, strict=True):
            self.columns.hashes[row] = value
            self.columns.guards[row] = self._printer.guard(tokens, label)
        self._rows, self._searched, self._counted, self._desirable, self._tokens = [], [], [], [], 0
