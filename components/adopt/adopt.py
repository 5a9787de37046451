"""Take a selection that is there as the data of a study, with the questions that its rows were cleared of."""

from collections.abc import Iterator
from typing import NamedTuple

from components.adopt.settings import AdoptSettings
from components.adopt.step import STEP
from components.shared.errors import EmptyDataError, InputError
from components.shared.log import say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest
from components.shared.outputs.shards import count_rows
from components.shared.rows import Question
from components.shared.store.uri import join

SELECTION = STEP.inputs["selection"]
QUESTIONS = "benchmarks"
"""The input of curate that is the questions: what shares a text with them is left out of the rows."""


class Adopted(NamedTuple):
    """The manifests of the rows and of the questions, which other runs made."""

    dataset: Manifest
    benchmarks: Manifest

    @property
    def address(self) -> str:
        """Where the rows are stored."""
        return self.dataset.address

    @property
    def cost(self) -> Cost:
        """Nothing is made."""
        return Cost()


def adopt_selection(library: Library, settings: AdoptSettings, selection: str) -> Adopted:
    """Find a selection and its questions, and check that they have what is needed.

    Args:
        library: where outputs are stored, the selection among them.
        settings: parts and benchmarks that must be there.
        selection: address (`select/KEY`) or URI of the selection.

    Raises:
        NotFoundError: no complete output is there.
        InputError: it is not a selection, it is in another store, no questions are in its lineage, or they lack a
            benchmark.
        EmptyDataError: a part that is needed holds no rows.
    """
    dataset = library.load(_address_of(library, selection))
    if dataset.content != SELECTION:
        raise InputError(
            f"{dataset.address} holds {dataset.content}",
            rule="rows to train on are the output of the select step",
            allowed=[SELECTION],
            remedy="name a selection; the manifests of trained models name theirs, as the parent dataset",
        )
    _require_rows(settings, dataset)
    found = Adopted(dataset, _questions_of(library, dataset))
    _require_benchmarks(library, settings, found)
    say(STEP.name, f"rows of {found.dataset.address}, questions of {found.benchmarks.address}")
    return found


def _address_of(library: Library, selection: str) -> str:
    """The address of an address or URI. Raises InputError for one of another store."""
    is_uri = selection.startswith((join(library.root, ""), "/", ".")) or "://" in selection
    return library.address_of(selection) if is_uri else selection


def _require_rows(settings: AdoptSettings, dataset: Manifest) -> None:
    for part, readers in settings.parts.items():
        if readers and not count_rows(dataset, part):
            raise EmptyDataError(
                f"{dataset.address} has no {part} rows",
                rule=f"{', '.join(readers)} read the part {part}/ of a selection",
                allowed=[name for name in settings.parts if count_rows(dataset, name)],
                remedy="leave out the arms that read them, or take a selection with such rows: pairs come from rows "
                "with a preferred and a rejected response, or with several responses",
            )


def _questions_of(library: Library, dataset: Manifest) -> Manifest:
    """The questions in the lineage of a selection. Raises InputError."""
    for ancestor in _lineage(library, dataset):
        questions = ancestor.parents.get(QUESTIONS)
        manifest = library.find(questions.address) if questions else None
        if questions and manifest is not None and manifest.digest == questions.digest:
            return manifest
    raise InputError(
        f"the questions that the rows of {dataset.address} were cleared of are not in {library.root}",
        rule="a study asks the questions of the run that made its rows: no other is known to share no text with them",
        remedy="copy the outputs of that run too: collect-benchmarks, collect, curate, synthesize and select",
    )


def _lineage(library: Library, manifest: Manifest) -> Iterator[Manifest]:
    """An output, and what it was made from, as far as it is in the store."""
    yield manifest
    for parent in manifest.parents.values():
        found = library.find(parent.address) if _is_address(parent.address) else None
        if found is not None and found.digest == parent.digest:
            yield from _lineage(library, found)


def _is_address(text: str) -> bool:
    """Whether a parent is in the store: models and files from elsewhere have references."""
    return ":" not in text and text.count("/") == 1 and not text.startswith(("/", "."))


def _require_benchmarks(library: Library, settings: AdoptSettings, found: Adopted) -> None:
    there = dict.fromkeys(row.benchmark for row in library.read_rows(found.benchmarks, Question))
    if missing := [name for name in settings.benchmarks if name not in there]:
        raise InputError(
            f"{found.benchmarks.address} has no questions of {', '.join(missing)}",
            rule="a study with given rows asks the questions of the run that made them",
            allowed=list(there),
            remedy="evaluate on these, or prepare the data again with that benchmark in collect.benchmarks",
        )


def counts_of(settings: AdoptSettings, found: Adopted) -> dict[str, float]:
    """The rows of each part, and the questions."""
    rows = {f"{part}_rows": float(count_rows(found.dataset, part)) for part in settings.parts}
    return rows | {"questions": float(count_rows(found.benchmarks, "rows"))}


def summarise(settings: AdoptSettings, found: Adopted) -> str:
    """What was taken from where, as Markdown."""
    lines = [f"| {name.replace('_', ' ')} | {count:,.0f} |" for name, count in counts_of(settings, found).items()]
    return "\n".join(
        [
            "# Rows that are there",
            "",
            f"Rows of `{found.dataset.address}`, questions of `{found.benchmarks.address}`.",
            "",
            "| | |",
            "|---|---:|",
            *lines,
            "",
        ]
    )
