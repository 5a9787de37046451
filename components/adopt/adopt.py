"""Take a selection that is there as the data of a study, with the questions that its rows were cleared of.

It may be in the run's store or in another one, from which it is copied.
"""

import re
from typing import NamedTuple

from components.adopt.settings import AdoptSettings
from components.adopt.step import STEP
from components.shared.errors import EmptyDataError, InputError
from components.shared.log import say
from components.shared.outputs.copy_output import copy_output
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest, Parent
from components.shared.outputs.shards import count_rows
from components.shared.rows import Question
from components.shared.store.uri import absolute, is_address

SELECTION = STEP.inputs["selection"]
QUESTIONS = "benchmarks"
"""The input of curate that is the questions: what shares a text with them is left out of the rows."""
URI = r"(?P<root>(\w+://[^/]*)?[^:]*)/(?P<address>[^/:]+/[^/:]+)"


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
    """Find a selection and its questions, check that they have what is needed, and copy them from another store.

    What lies between the two in the lineage is copied too, so that the rows stay known as those of the questions.

    Args:
        library: where outputs are stored.
        settings: parts and benchmarks that must be there.
        selection: address (`select/KEY`) of the selection in this store, or its URI in any.

    Raises:
        NotFoundError: no complete output is there.
        InputError: it is not a selection, no questions are in its lineage, they lack a benchmark, or this store has
            another output at an address of theirs.
        EmptyDataError: a part that is needed holds no rows.
        DamagedError: a file in the other store differs from its manifest.
    """
    source, address = _place_of(library, selection)
    path = _checked_path(source, settings, address)
    # The questions first: where the selection is, all that it needs is.
    copied = [each.address for each in reversed(path) if source is not library and copy_output(source, library, each)]
    if copied:
        say(STEP.name, f"copied from {source.root}: {', '.join(copied)}")
    found = Adopted(path[0], path[-1])
    say(STEP.name, f"rows of {found.dataset.address}, questions of {found.benchmarks.address}")
    return found


def find_selection(library: Library, settings: AdoptSettings, selection: str) -> Adopted:
    """As `adopt_selection`, without copying anything."""
    source, address = _place_of(library, selection)
    path = _checked_path(source, settings, address)
    return Adopted(path[0], path[-1])


def _checked_path(library: Library, settings: AdoptSettings, address: str) -> tuple[Manifest, ...]:
    """The selection, what it was made from back to the questions, and these last."""
    dataset = library.load(address)
    if dataset.content != SELECTION:
        raise InputError(
            f"{dataset.address} holds {dataset.content}",
            rule="rows to train on are the output of the select step",
            allowed=[SELECTION],
            remedy="name a selection; the manifests of trained models name theirs, as the parent dataset",
        )
    _require_rows(settings, dataset)
    path = _path_to_questions(library, dataset)
    if not path:
        raise InputError(
            f"the questions that the rows of {dataset.address} were cleared of are not in {library.root}",
            rule="a study asks the questions of the run that made its rows: no other is known to share no text with "
            "them",
            remedy="name the selection by its URI in the store of that run, s3://BUCKET/PREFIX/select/KEY, so that all "
            "of it is copied from there",
        )
    _require_benchmarks(library, settings, Adopted(path[0], path[-1]))
    return path


def _place_of(library: Library, selection: str) -> tuple[Library, str]:
    """The store and the address that an address or a URI names; the store is `library` itself where it is the run's."""
    if is_address(selection):
        return library, selection
    named = re.fullmatch(URI, selection.rstrip("/"))
    if named is None:
        raise InputError(
            f"{selection!r} names no output",
            rule="an output is named by its address in the run's store, or by its URI: the store's and the address",
            allowed=["select/KEY", "s3://BUCKET/PREFIX/select/KEY", "/FOLDER/select/KEY"],
            remedy="correct `rows`",
        )
    root = named["root"] or "/"
    same = absolute(root) == absolute(library.root)
    return library if same else Library(root), named["address"]


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


def _path_to_questions(library: Library, manifest: Manifest) -> tuple[Manifest, ...]:
    """An output, what it was made from, and so on to the questions; empty where they are not in the store."""
    if questions := _parent_in(library, manifest.parents.get(QUESTIONS)):
        return manifest, questions
    for parent in manifest.parents.values():
        found = _parent_in(library, parent)
        if found and (path := _path_to_questions(library, found)):
            return manifest, *path
    return ()


def _parent_in(library: Library, parent: Parent | None) -> Manifest | None:
    """The manifest of a parent, where the store has the same output still."""
    found = library.find(parent.address) if parent and is_address(parent.address) else None
    return found if parent and found is not None and found.digest == parent.digest else None


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
