"""Collects a few rows that a teacher wrote for a student's problems, as a person reads them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from components.publish.lineage.lineage import Lineage
from components.publish.report_schema import ExampleFacts
from components.shared.outputs.digest import seed_of
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rollout_rows import Bridged, Critique, Probed
from components.shared.rows import SELECTION
from components.shared.text.counted import counted

BRIDGED, CRITIQUES = "bridged", "critiques"
"""Parts beside the rows to learn, with what the teacher wrote (`components/shared/rows.py`)."""
LEARNT = "learnt"
"""The fate of a critique that is a row to learn."""
SEED = 20
EXAMPLES = 2
"""Of each kind that is learnt, and as many of all that are not."""
MOST_CHARACTERS = 3000

SomeRow = TypeVar("SomeRow", Bridged, Critique)
Found = tuple[Manifest, SomeRow]


def gather_examples(library: Library, lineage: Lineage, names: Mapping[str, str]) -> tuple[ExampleFacts, ...]:
    """Traces, diagnoses and repairs of all rounds together; the same run gives the same ones.

    Raises:
        DamagedError: a file is not what its manifest promises.
        InputError: rows are not what this version expects.
    """
    made = lineage.holding(SELECTION)
    return (*_traces(library, made, names), *_critiques(library, made, names))


def _traces(library: Library, made: Sequence[Manifest], names: Mapping[str, str]) -> Iterator[ExampleFacts]:
    for manifest, row in _drawn(_rows(library, made, Bridged, BRIDGED), lambda row: row.chosen is None):
        yield _trace(names[manifest.address], row, _failed_rollout(library, manifest, row.id))


def _critiques(library: Library, made: Sequence[Manifest], names: Mapping[str, str]) -> Iterator[ExampleFacts]:
    for manifest, row in _drawn(_rows(library, made, Critique, CRITIQUES), _critique_group):
        yield _critique(names[manifest.address], row)


def _critique_group(row: Critique) -> tuple[bool, str]:
    is_learnt = row.fate == LEARNT
    return not is_learnt, row.kind if is_learnt else ""


def _rows(library: Library, made: Iterable[Manifest], row_type: type[SomeRow], part: str) -> Iterator[Found[SomeRow]]:
    """All rows of a part, with the output that holds them."""
    for manifest in made:
        if any(shard.name.startswith(f"{part}/") for shard in manifest.shards):
            yield from ((manifest, row) for row in library.read_rows(manifest, row_type, part))


def _drawn(found: Iterable[Found[SomeRow]], group_of: Callable[[SomeRow], Any]) -> list[Found[SomeRow]]:
    """A few of each group, in the groups' order; which ones depends on the rows alone."""
    drawn: dict[Any, list[tuple[int, Found[SomeRow]]]] = defaultdict(list)
    for manifest, row in found:
        group = drawn[group_of(row)]
        group.append((seed_of(f"{SEED}:{manifest.address}:{row.source}:{row.line}:{row.id}"), (manifest, row)))
        group.sort(key=lambda one: one[0])
        del group[EXAMPLES:]
    return [one for group in sorted(drawn) for _, one in drawn[group]]


def _failed_rollout(library: Library, manifest: Manifest, problem: str) -> str | None:
    """A wrong answer of the student to a problem, from the probe among the inputs."""
    inputs = (library.find(parent.address) for parent in manifest.parents.values() if _is_address(parent.address))
    probes = [found for found in inputs if found is not None and found.content == Probed.content]
    rows = (row for probe in probes for row in library.read_rows(probe, Probed) if row.id == problem)
    return next((rollout.text for row in rows for rollout in row.rollouts if rollout.passed is False), None)


def _is_address(place: str) -> bool:
    return ":" not in place and not place.startswith(("/", "."))


def _trace(task: str, row: Bridged, failed: str | None) -> ExampleFacts:
    written = counted(len(row.texts), "text")
    is_reference = row.chosen is not None and row.texts[row.chosen].origin == "reference"
    if row.chosen is None:
        text, note = "", f"none of {written} is learnt: {_plain(row.reason)}"
        if row.texts:
            text, note = row.texts[0].text, f"{note}; the first is shown: {_plain(row.texts[0].fate)}"
    else:
        chosen = row.texts[row.chosen]
        measured = "" if chosen.rsr is None else f", {chosen.tokens} tokens, rank-surprisal ratio {chosen.rsr:.3g}"
        text, note = chosen.text, f"{chosen.origin}, chosen of {written}{measured}"
    learnt = row.chosen is not None
    return _example(
        task, "trace", row, failed=failed, teacher=text, learnt=learnt, note=note, is_reference=is_reference
    )


def _critique(task: str, row: Critique) -> ExampleFacts:
    verdict = _verdict(row)
    diagnosis = f"{row.why}\n\n{verdict[0].upper()}{verdict[1:]}" if row.why else verdict
    repair = row.repairs[row.chosen].text if row.chosen is not None else ""
    answer = "right" if row.passed else "wrong"
    note = f"of a {answer} answer; {verdict}; " + (
        "learnt" if row.fate == LEARNT else f"not learnt: {_plain(row.fate)}"
    )
    return _example(
        task,
        row.kind,
        row,
        failed=row.attempt,
        teacher=repair if row.kind == "repair" else diagnosis,
        learnt=row.fate == LEARNT,
        note=note,
    )


def _verdict(row: Critique) -> str:
    """What a diagnosis found. Without a step and a reason nothing was read of the teacher's reply."""
    if row.step is not None:
        return f"first wrong step: {row.step}"
    return "no wrong step" if row.why else "nothing that could be read"


def _example(
    task: str,
    kind: str,
    row: Bridged | Critique,
    *,
    failed: str | None,
    teacher: str,
    learnt: bool,
    note: str,
    is_reference: bool = False,
) -> ExampleFacts:
    return ExampleFacts.model_validate(
        {
            "task": task,
            "kind": kind,
            "id": row.id,
            "problem": _shortened(row.instruction),
            "failed": None if failed is None else _shortened(failed),
            "teacher": _shortened(teacher),
            "learnt": learnt,
            "note": note,
            "is_reference": is_reference,
        }
    )


def _plain(reason: str) -> str:
    return reason.replace("_", " ")


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + " …"
