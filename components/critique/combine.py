"""Chooses what is learnt of the finished slices, writes it, and counts it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from components.critique.attempts import ChosenAttempts
from components.critique.critiqued_attempt import (
    NOT_CONTINUED,
    REFUSED,
    UNREPAIRED,
    WrittenCritiques,
)
from components.critique.diagnosis import DISAGREES, MENTIONS_REFERENCE, UNREADABLE, Diagnosis
from components.critique.mix import CAPPED, LEARNT, UNBALANCED, candidates, choose_mix, name_of
from components.critique.prompts import ATTEMPT, DIAGNOSIS, PROBLEM
from components.critique.results import SFT, CritiqueShards
from components.critique.settings import CritiqueAssignment, CritiqueSettings
from components.launch.hand_back.files import JobResult
from components.models.rollouts.fates import FAILED, NO_VERDICT, TRUNCATED, WRONG
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost
from components.shared.rollout_rows import Critique
from components.shared.rows import Dropped, Message, Scores, SftRow
from components.shared.text.fill import filled

REASONS = (
    *(CAPPED, UNBALANCED, NO_VERDICT, UNREPAIRED),
    *(DISAGREES, MENTIONS_REFERENCE, TRUNCATED, UNREADABLE, REFUSED, FAILED),
)
"""Fates of critiques that are not learnt, those that went furthest first: a problem is dropped for the first."""
CONTINUATIONS = ("chosen", "spare", WRONG, NO_VERDICT, TRUNCATED, NOT_CONTINUED, REFUSED, FAILED)
"""Fates of single continuations."""
KINDS = ("trace", "replay", "diagnosis", "repair")


class CritiqueTally:
    """Sums the slices."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        named = (*(f"{kind}_rows" for kind in KINDS), "right_diagnosis_rows", "wrong_diagnosis_rows")
        self.counts: Counter[str] = Counter(dict.fromkeys(("sft_rows", *named, "dropped_rows"), 0))
        self.counts.update(counts)

    def add(self, written: WrittenCritiques, rows: Sequence[Critique], lost: Dropped | None) -> None:
        """Count a problem with the final fates of its critiques."""
        self.counts.update(tokens_in=written.tokens_in, tokens_out=written.tokens_out)
        for row in rows:
            if row.kind == "diagnosis":
                self._add_diagnosis(row)
            else:
                self._add_repair(row)
        if lost is not None:
            self.add_dropped([lost])

    def add_dropped(self, rows: Iterable[Dropped]) -> None:
        """Count unsolved problems of which nothing is learnt but a trace, if there is one."""
        for row in rows:
            self.counts.update(["dropped_rows", f"dropped_{row.reason}"])

    def add_sft(self, kind: str, rows: int) -> None:
        """Count rows to learn."""
        self.counts.update({f"{kind}_rows": rows, "sft_rows": rows})

    def _add_diagnosis(self, row: Critique) -> None:
        self.counts.update(["diagnoses", f"diagnoses_{row.fate}"])
        if row.fate == DISAGREES:
            self.counts["right_called_wrong" if row.passed else "wrong_called_right"] += 1
        if row.fate == LEARNT:
            self.add_sft("diagnosis", 1)
            self.counts["right_diagnosis_rows" if row.passed else "wrong_diagnosis_rows"] += 1

    def _add_repair(self, row: Critique) -> None:
        self.counts.update(["repairs", f"repairs_{row.fate}"])
        self.counts.update(f"continuations_{repair.fate}" for repair in row.repairs)
        self.counts["continuations"] += len(row.repairs)
        self.add_sft("repair", row.fate == LEARNT)


def combine(assignment: CritiqueAssignment, chosen: ChosenAttempts, slices: int, seconds: float) -> JobResult:
    """Write what the finished slices give together with the traces.

    Raises:
        DamagedError: a slice, or an input, is damaged.
    """
    library, settings = Library(assignment.root), assignment.settings
    shards, tally = CritiqueShards(library.at(assignment.address)), CritiqueTally(chosen.counts)
    bridged = library.load(assignment.bridged)
    beside = Counter(row.kind or "trace" for row in library.read_rows(bridged, SftRow, SFT))
    found = candidates(row for index in range(slices) for one in shards.read_slice(index) for row in one.critiques)
    fates = choose_mix(found, beside.total(), settings)
    for index in range(slices):
        _write_slice(shards, index, fates, settings, tally)
    shards.add_dropped(slices, chosen.dropped)
    tally.add_dropped(chosen.dropped)
    shards.add_bridged(
        row.model_copy(update={"kind": row.kind or "trace"}) for row in library.read_rows(bridged, SftRow, SFT)
    )
    for kind, rows in beside.items():
        tally.add_sft(kind, rows)
    tokens = {name: int(tally.counts[name]) for name in ("tokens_in", "tokens_out")}
    return JobResult(
        shards=tuple(shards.shards),
        counts={name: float(count) for name, count in tally.counts.items()},
        cost=Cost(seconds=round(seconds, 3), **tokens),
    )


def _write_slice(
    shards: CritiqueShards, index: int, fates: Mapping[str, str], settings: CritiqueSettings, tally: CritiqueTally
) -> None:
    critiques, learnt, lost = list[Critique](), list[SftRow](), list[Dropped]()
    for written in shards.read_slice(index):
        rows = [row.model_copy(update={"fate": fates.get(name_of(row), row.fate)}) for row in written.critiques]
        drop = dropped(rows) if written.unsolved else None
        tally.add(written, rows, drop)
        critiques += rows
        learnt += sft_rows(written, rows, settings)
        lost += [drop] if drop else []
    shards.add_critiques(index, critiques)
    shards.add_sft(index, learnt)
    shards.add_dropped(index, lost)


def sft_rows(written: WrittenCritiques, rows: Iterable[Critique], settings: CritiqueSettings) -> Iterator[SftRow]:
    """The rows that a training reads, of the critiques that are learnt."""
    *before, _ = written.row.prompt()
    for row in rows:
        if row.fate != LEARNT:
            continue
        if row.kind == "diagnosis":
            task, completion = settings.diagnosis_task, Diagnosis(row.step, row.why).text
        else:
            assert row.chosen is not None  # what is learnt has a right continuation
            task, completion = settings.repair_task, row.repairs[row.chosen].text
        values = {PROBLEM: row.instruction, ATTEMPT: row.attempt, DIAGNOSIS: row.why}
        yield SftRow(
            id=name_of(row),
            prompt=(*before, Message(role="user", content=filled(task, values))),
            completion=completion,
            origin="teacher",
            scores=Scores(checked=True),
            kind=row.kind,
        )


def dropped(rows: Sequence[Critique]) -> Dropped | None:
    """The row of an unsolved problem without a critique to learn, with what became of them; None where it has one."""
    if any(row.fate == LEARNT for row in rows):
        return None
    fates = Counter(f"{row.kind} {row.fate}" for row in rows)
    evidence = ", ".join(f"{count} {what}" for what, count in sorted(fates.items()))
    reason = min((row.fate for row in rows), key=REASONS.index)
    return Dropped(id=rows[0].id, source=rows[0].source, line=rows[0].line, reason=reason, evidence=evidence)
