"""How many rows a training has, and how long they are: of a finished selection in the store, as given, or assumed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError

from components.shared.errors import TutelageError
from components.shared.log import say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import MANIFEST, Manifest
from components.shared.step import MODEL
from components.train.methods.registry import method_of
from components.train.settings import TrainSettings
from pipelines.placement.task import Task

ASSUMED_ROWS, ASSUMED_TOKENS = 10_000, 512
"""Where neither the store nor the command line has them: rows of an epoch, tokens of a prompt with one response."""
READ_ROWS, CHARACTERS = 200, 4
"""Rows of a selection that are read, and characters of a token of English: an assumption."""
ROWS = "dataset"
"""The input of a training that holds its rows."""
RESPONSES = ("completion", "chosen", "rejected")


@dataclass(frozen=True)
class RowCount:
    """Rows of an epoch, tokens of a row (of both responses of a pair), and where both are from."""

    rows: int
    tokens: int
    source: str


class RowCounter:
    """Counts the rows of a recipe's trainings.

    Args:
        store: the root of the recipe's store.
        tasks: of the recipe.
        rows: as given on the command line; None: those in the store.
        tokens: of a prompt with one response, as given; None: those in the store.
    """

    def __init__(self, store: str, tasks: Sequence[Task], rows: int | None, tokens: int | None) -> None:
        self._library, self._rows, self._tokens = Library(store), rows, tokens
        self._selection = None if rows is not None else self._found(tasks)

    def count(self, settings: TrainSettings) -> RowCount:
        """The rows that a training with these settings reads."""
        method, selection = method_of(settings), self._selection
        longest = settings.max_length * method.responses
        assumed = (self._tokens or min(ASSUMED_TOKENS, settings.max_length)) * method.responses
        word = "given" if self._tokens else "assumed"
        if selection is None:
            rows = ASSUMED_ROWS if self._rows is None else self._rows
            of = "assumed (--rows)" if self._rows is None else "given"
            return RowCount(
                rows, min(assumed, longest), f"rows {of}, tokens {word}{'' if self._tokens else ' (--tokens)'}"
            )
        shards = [shard for shard in selection.shards if shard.name.startswith(f"{method.part}/")]
        rows = sum(shard.rows for shard in shards)
        read = None if self._tokens else self._mean_tokens(selection, settings)
        tokens = min(assumed if read is None else read, longest)
        how = f"tokens {word}" if read is None else f"tokens by {CHARACTERS} characters each in its first rows"
        return RowCount(rows, max(tokens, 1), f"rows of {selection.address}, {how}")

    def _found(self, tasks: Sequence[Task]) -> Manifest | None:
        """The newest selection in the store that the recipe's own settings make; None without one."""
        made = {product.place: task for task in tasks for product in task.step.products if product.content != MODEL}
        try:
            fitting = [found for found in self._selections(tasks) if self._is_made_by(found, made)]
        except TutelageError as error:
            say("plan", f"the store {self._library.root} cannot be read, so rows are assumed: {error.problem}")
            return None
        return max(fitting, key=lambda manifest: manifest.created, default=None)

    def _selections(self, tasks: Sequence[Task]) -> Iterator[Manifest]:
        """All finished outputs in the store of what makes the trainings' rows."""
        wanted = {task.step.inputs.get(ROWS) for task in tasks if isinstance(task.settings, TrainSettings)}
        for product in {one for task in tasks for one in task.step.products if one.content in wanted}:
            for entry in self._library.at(product.place).list():
                key, _, name = entry.key.partition("/")
                if name == MANIFEST:
                    yield self._library.load(f"{product.place}/{key}")

    def _is_made_by(self, manifest: Manifest, made: Mapping[str, Task]) -> bool:
        """Whether an output and those that it was made from, models aside, have the settings of the recipe's tasks."""
        task = made.get(manifest.step)
        if task is None or task.settings is None or not _same(task.settings, manifest.settings):
            return False
        parents = [parent.address for parent in manifest.parents.values() if parent.address.split("/")[0] in made]
        return all(self._is_made_by(self._library.load(address), made) for address in parents)

    def _mean_tokens(self, selection: Manifest, settings: TrainSettings) -> int | None:
        """By the characters of the first rows; None for rows of another form."""
        method = method_of(settings)
        rows = list(islice(self._library.read_rows(selection, method.row_type, method.part), READ_ROWS))
        found = [_characters(row) for row in rows if hasattr(row, "prompt")]
        return -(-sum(found) // (CHARACTERS * len(found))) if found else None


def _same(settings: Any, recorded: Mapping[str, Any]) -> bool:
    """Whether recorded settings give the same output as these."""
    try:
        return bool(type(settings).model_validate(recorded).key_material() == settings.key_material())
    except ValidationError:
        return False


def _characters(row: Any) -> int:
    """Of the prompt with each response."""
    prompt = sum(len(message.content) for message in row.prompt)
    responses = [getattr(row, name) for name in RESPONSES if hasattr(row, name)]
    return sum(prompt + len(response) for response in responses)
