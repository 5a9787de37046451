"""What a pipeline declares as its preview: which work it does on a few rows, and how the result is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.shared.outputs.library import Library
from components.shared.process.perform import Result
from pipelines.preview.document import PreviewDocument

FOLDER = "preview"
"""Below the recipe's store: the outputs of previews, at addresses of their own."""


@dataclass(frozen=True)
class PreviewTask:
    """One task of a preview.

    Attributes:
        name: as it is shown: a step's name, with a suffix where it has several tasks.
        work: makes its output, or finds it, from the results of the tasks before it, by their names.
    """

    name: str
    work: Callable[[Library, Mapping[str, Any]], Result]


@dataclass(frozen=True)
class Preview:
    """A preview of one recipe.

    Attributes:
        tasks: in the order in which they run.
        gather: the document, from the results of the tasks by name, and the names of those that were reused.
    """

    tasks: tuple[PreviewTask, ...]
    gather: Callable[[Library, Mapping[str, Any], frozenset[str]], PreviewDocument]

    @property
    def names(self) -> list[str]:
        """The tasks' names."""
        return [task.name for task in self.tasks]
