"""What curation holds in memory of every row: its id and a few numbers, never its text."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from components.curate.labels.label import Label
from components.curate.text.token_hashes import Hashes, Mask, Positions


class DropReason(StrEnum):
    """Why a row was dropped, in the order of the passes."""

    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    EVALUATION_OVERLAP = "evaluation-overlap"
    EVALUATION_DUPLICATE = "evaluation-duplicate"
    NEAR_DUPLICATE = "near-duplicate"
    REFUSED = "template-refused"
    UNLABELLED = "unlabelled"
    RARE_LABEL = "rare-label"
    OVER_CAP = "over-cap"
    OVER_MAXIMUM = "over-maximum"


REASONS = tuple(DropReason)
KEPT = len(REASONS)


@dataclass
class Columns:
    """One entry for each instruction, in the order in which they were collected.

    `fates` holds KEPT or the index of a DropReason; `hashes` and `guards` are compared for near-duplicates; `evidence`
    has a text for some of the dropped rows.
    """

    ids: list[str] = field(default_factory=list)
    types: "array[int]" = field(default_factory=lambda: array("B"))
    fates: "array[int]" = field(default_factory=lambda: array("B"))
    hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    guards: "array[int]" = field(default_factory=lambda: array("Q"))
    evidence: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, row_id: str, kind: int) -> int:
        """Add a row, not yet dropped. Returns its index."""
        self.ids.append(row_id)
        self.types.append(kind)
        self.fates.append(KEPT)
        self.hashes.append(0)
        self.guards.append(0)
        return len(self.ids) - 1

    def drop(self, row: int, reason: DropReason, evidence: str = "") -> None:
        """Drop one row."""
        self.fates[row] = REASONS.index(reason)
        if evidence:
            self.evidence[row] = evidence

    def drop_all(self, rows: Positions, reason: DropReason) -> None:
        """Drop many rows."""
        np.frombuffer(self.fates, np.uint8)[rows] = REASONS.index(reason)

    def alive(self) -> Positions:
        """The indices of the rows that are not dropped, ascending."""
        return np.flatnonzero(self.kept())

    def kept(self) -> Mask:
        """[rows] Whether a row is not dropped."""
        return np.frombuffer(self.fates, np.uint8) == KEPT

    def prints(self, rows: Positions) -> tuple[Hashes, Hashes]:
        """Simhashes and guards of some rows."""
        return np.frombuffer(self.hashes, np.uint64)[rows], np.frombuffer(self.guards, np.uint64)[rows]

    def drops(self) -> dict[str, int]:
        """The number of dropped rows for every reason."""
        counts = Counter(self.fates)
        return {reason.value: counts[number] for number, reason in enumerate(REASONS)}

    def reason(self, row: int) -> str | None:
        """Why a row was dropped, None if it was not."""
        fate = self.fates[row]
        return None if fate == KEPT else REASONS[fate].value


@dataclass
class LabelColumn:
    """Each row's label as an index into `names`; -1 without a label."""

    numbers: npt.NDArray[np.int32]
    names: list[Label] = field(default_factory=list)
    _known: dict[Label, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: int) -> "LabelColumn":
        """A column without labels."""
        return cls(numbers=np.full(rows, -1, np.int32))

    def put(self, row: int, label: Label) -> None:
        """Label a row."""
        number = self._known.setdefault(label, len(self.names))
        if number == len(self.names):
            self.names.append(label)
        self.numbers[row] = number

    def get(self, row: int) -> Label:
        """A labelled row's label."""
        return self.names[self.numbers[row]]

    def primaries(self) -> Positions:
        """[names] The index of each label's primary label."""
        firsts = {primary: number for number, primary in enumerate(dict.fromkeys(name for name, _ in self.names))}
        return np.array([firsts[name] for name, _ in self.names], np.int64)

    def counts(self, rows: Mask) -> Iterator[tuple[Label, int]]:
        """Labels and their number of rows, most frequent first."""
        numbers = self.numbers[rows]
        found = np.bincount(numbers[numbers >= 0], minlength=len(self.names)).tolist()
        yield from sorted(zip(self.names, found, strict=True), key=lambda item: (-item[1], item[0]))
