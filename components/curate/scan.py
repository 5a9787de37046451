"""The first pass: reads every instruction once and takes down what later passes need of it.

Length filters and evaluation overlap are decided here; type, simhash and guard are noted.
"""

from collections.abc import Iterable

from components.curate.columns import Columns, Reason
from components.curate.instruction_types import TypeRules
from components.curate.overlap import OverlapIndex
from components.curate.settings import CurateSettings
from components.curate.simhash import Fillers, guard, simhashes
from components.curate.tokens import TokenHasher, tokenise
from components.shared.rows import Instruction

# Tokens of instructions and responses in one batch; bounds the memory of a pass.
BATCH_TOKENS = 200_000


def asked_text(row: Instruction) -> str:
    """What is asked: the conversation up to the answer, without the system message."""
    return "\n".join([*(message.content for message in row.history), row.instruction])


def scan(rows: Iterable[Instruction], settings: CurateSettings, rules: TypeRules, index: OverlapIndex) -> Columns:
    """Take down all rows, in order."""
    scanner = _Scanner(settings, rules, index)
    for row in rows:
        scanner.take(row)
    scanner.flush()
    return scanner.columns


class _Scanner:
    def __init__(self, settings: CurateSettings, rules: TypeRules, index: OverlapIndex) -> None:
        self._settings, self._rules, self._index = settings, rules, index
        self._fillers = Fillers(settings.fillers)
        self._hasher = TokenHasher()
        self.columns = Columns()
        self._rows: list[int] = []
        self._searched: list[tuple[list[str], list[str]]] = []
        self._counted: list[list[str]] = []
        self._desirable: list[bool | None] = []
        self._tokens = 0

    def take(self, row: Instruction) -> None:
        """Read one row into the columns: its type, its simhash, and why it is dropped, if it is."""
        number = self.columns.add(row.id, self._rules.classify(row.instruction))
        text = asked_text(row)
        if len(text) > self._settings.maximum_characters:
            limit = f"{len(text)} characters, at most {self._settings.maximum_characters}"
            self.columns.drop(number, Reason.TOO_LONG, limit)
            return
        asked = tokenise(text)
        if len(asked) < self._settings.minimum_tokens:
            limit = f"{len(asked)} tokens, at least {self._settings.minimum_tokens}"
            self.columns.drop(number, Reason.TOO_SHORT, limit)
            return
        response = tokenise(row.response) if self._settings.overlap_responses and len(self._index) else []
        counted = self._fillers.strip(asked, text)
        if self._settings.system_counts and row.system:
            counted = [*tokenise(row.system), *counted]
        self._rows.append(number)
        self._searched.append((asked, response))
        self._counted.append(counted)
        self._desirable.append(row.desirable)
        self._tokens += len(asked) + len(response)
        if self._tokens >= BATCH_TOKENS:
            self.flush()

    def flush(self) -> None:
        found = self._index.search(self._searched) if self._rows else {}
        for place, overlap in found.items():
            self.columns.drop(self._rows[place], Reason.EVALUATION_OVERLAP, overlap.evidence)
        hashes = simhashes(self._hasher.batch(self._counted), self._settings.shingle)
        short, numbers = self._settings.short_tokens, self._settings.numbers_distinguish
        for row, value, tokens, label in zip(self._rows, hashes, self._counted, self._desirable, strict=True):
            self.columns.hashes[row] = int(value)
            self.columns.guards[row] = guard(tokens, short, numbers, label)
        self._rows, self._searched, self._counted, self._desirable, self._tokens = [], [], [], [], 0
