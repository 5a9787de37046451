"""What a merge method is: what it needs, how it becomes mergekit's configuration, and how it merges slice by slice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.merge.methods.options import MergeOptions

if TYPE_CHECKING:
    import torch

    from components.merge.stream.source_files import SlicedTensor, Slices

Combine = Callable[["Slices"], "torch.Tensor"]
"""Merges the next slice of one tensor, shape (elements,), in float32. It leaves the models' slices as they are."""

Prepare = Callable[[MergeOptions, "SlicedTensor"], Combine]
"""Makes the function that merges the slices of one tensor, in order. It may look at all slices first."""


def accept(_options: MergeOptions) -> None:
    """For a method that needs no more than its fields say."""


@dataclass(frozen=True)
class MergeMethod:
    """A way to merge models.

    Attributes:
        name: mergekit's name of it.
        configure: mergekit's configuration, with the models' names in place of their paths.
        prepare: the method as Tutelage runs it, slice by slice, with mergekit's results; None: mergekit runs it.
        needs_base: whether it works on differences to a base, so needs one, and a model besides it.
        check: raises ValueError when the options cannot be merged this way; says what to change.
    """

    name: str
    configure: Callable[[MergeOptions], dict[str, Any]]
    prepare: Prepare | None = None
    needs_base: bool = False
    check: Callable[[MergeOptions], None] = accept

    def require_possible(self, options: MergeOptions) -> None:
        """Raise ValueError when the options cannot be merged this way."""
        if self.needs_base and not options.base:
            raise ValueError(f"merge method {self.name} needs base: the name of the model that the others came from")
        if self.needs_base and not options.others:
            raise ValueError(f"merge method {self.name} needs a model besides the base {options.base!r}")
        self.check(options)


def ingredients(options: MergeOptions, *parameters: str) -> list[dict[str, Any]]:
    """mergekit's `models`, each with those of its parameters; the base takes none."""
    listed = {model.name: model for model in options.models}
    entries: list[dict[str, Any]] = []
    for name in options.used:
        chosen = {key: getattr(listed[name], key) for key in parameters} if name != options.base else {}
        entries.append({"model": name, **({"parameters": chosen} if chosen else {})})
    return entries
