"""What a merge method is: its paper, what it needs, and how it becomes mergekit's configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.merge.settings import MergeSettings


@dataclass(frozen=True)
class Method:
    """One of mergekit's methods.

    Attributes:
        name: mergekit's name of it.
        paper: where it is described.
        check: raises ValueError when the settings cannot be merged this way; says what to change.
        configure: mergekit's configuration, with the models' names in place of their paths.
    """

    name: str
    paper: str
    check: "Callable[[MergeSettings], None]"
    configure: "Callable[[MergeSettings], dict[str, Any]]"


def need_base(settings: "MergeSettings") -> None:
    """Raise ValueError when no base is named, or nothing but the base is merged."""
    if not settings.base:
        raise ValueError(f"merge method {settings.method} needs base: the name of the model that the others came from")
    if not others(settings):
        raise ValueError(f"merge method {settings.method} needs a model besides the base {settings.base!r}")


def others(settings: "MergeSettings") -> list[str]:
    """Names of the merged models apart from the base."""
    return [model.name for model in settings.models if model.name != settings.base]


def ingredients(settings: "MergeSettings", *parameters: str) -> list[dict[str, Any]]:
    """mergekit's `models`, each with those of its parameters; the base takes none."""
    listed = {model.name: model for model in settings.models}
    entries: list[dict[str, Any]] = []
    for name in settings.used:
        chosen = {key: getattr(listed[name], key) for key in parameters} if name != settings.base else {}
        entries.append({"model": name, **({"parameters": chosen} if chosen else {})})
    return entries
