"""What `tutelage doctor` looks at, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass

from components.shared.errors import TutelageError


@dataclass(frozen=True)
class Finding:
    """What was checked, and whether it is as a run needs it; `warning`: a run works, but the text matters."""

    what: str
    good: bool
    text: str
    remedy: str = ""
    warning: bool = False


@dataclass(frozen=True)
class Look:
    """Something that doctor looks at.

    Attributes:
        what: its place in the recipe: `curate.teacher`.
        name: what is there: a model's reference, a URI.
        look: returns what it saw, or raises TutelageError.
        key: identifies what is looked at: of looks with the same key, doctor takes the first. Empty: none is like it.
        needs: key of a look without whose success this one says nothing; it is left out then.
    """

    what: str
    name: str
    look: Callable[[], str]
    key: str = ""
    needs: str = ""


def checked(what: str, name: str, look: Callable[[], str]) -> Finding:
    """The finding of a check that returns a description, or raises TutelageError."""
    try:
        return Finding(what, True, f"{name} ({look()})")
    except TutelageError as error:
        return Finding(what, False, error.problem, error.remedy)
