"""Reads a recipe: YAML, variables, types. Each fault has file, line, value, rule and allowed values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from components.shared.log import say
from components.shared.process.perform import without_secrets
from pipelines.pipeline import Recipe
from pipelines.placement.task import Fault
from pipelines.recipe.check_recipe import find_cluster_faults, find_faults
from pipelines.recipe.document import Document
from pipelines.recipe.move_jobs import starts_on_cluster
from pipelines.registry import DEFAULT, PIPELINES


def read_recipe(
    path: Path,
    overrides: Mapping[str, str] | None = None,
    *,
    check_files: bool = True,
    store: str = "",
    placement: Path | None = None,
    for_cluster: bool | None = False,
    find_more: Callable[[Recipe], Iterable[Fault]] = lambda _recipe: (),
) -> Recipe:
    """Read and check a recipe.

    Args:
        path: the YAML file.
        overrides: values for its variables, and for those of the placement's file.
        check_files: whether the local files that it names must exist.
        store: another store than the recipe's.
        placement: a YAML file whose content replaces the recipe's `placement`.
        for_cluster: whether to reject what pods cannot reach, and groups of nodes that cannot hold a model; None: only
            if a job of the recipe runs on a cluster.
        find_more: further checks of a recipe without other faults.

    Raises:
        SettingsError: the recipe is not valid; lists every fault with its line.
    """
    document = Document.read(path)
    if placement is not None:
        document.take_part("placement", Document.read(placement, "placement"))
    plain = {**document.filled_in(overrides or {}), "variables": document.values(overrides or {})}
    if store:
        plain["store"] = store
    recipe = _typed(document, plain)
    found = find_faults(recipe, check_files=check_files)
    on_cluster = for_cluster or (for_cluster is None and starts_on_cluster(recipe))
    if on_cluster:
        found += find_cluster_faults(recipe)
    found = found or [*(_small_groups(recipe) if on_cluster else ()), *find_more(recipe)]
    if found:
        raise document.refusal([document.at(fault.location, fault.text) for fault in found])
    return recipe


def _small_groups(recipe: Recipe) -> list[Fault]:
    """Imported here: planning takes a while to import, and recipes for one machine have no groups."""
    from pipelines.plan.check_groups import check_groups

    return check_groups(recipe, lambda words: say("recipe", words))


def _typed(document: Document, plain: dict[str, Any]) -> Recipe:
    """The recipe in the class of its pipeline. Raises SettingsError."""
    name = plain.get("pipeline", DEFAULT)
    if name not in PIPELINES:
        text = f"unknown pipeline {name!r}\n    allowed: {', '.join(PIPELINES)}"
        raise document.refusal([document.at(("pipeline",), text)])
    model = PIPELINES[name].recipe
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        raise document.refusal([_fault(document, model, item) for item in error.errors(include_url=False)]) from None


def _fault(document: Document, model: type[Recipe], error: Any) -> str:
    location = tuple(part for part in error["loc"] if not str(part).startswith("function-"))
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        allowed = ", ".join(_fields_at(model, location[:-1]))
        return document.at(location, f"unknown key {location[-1]!r}\n    allowed: {allowed}")
    if kind == "missing":
        return document.at(location[:-1], f"the key {location[-1]!r} is missing")
    return document.at(location, f"{_short(given)}: {error['msg']}")


def _short(value: Any) -> str:
    text = without_secrets(repr(value))
    return text if len(text) <= 80 else text[:77] + "…"


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Names of the fields of the model at a location."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = _model_in(current.model_fields[str(part)].annotation)
    return sorted(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _model_in(annotation: Any) -> Any:
    """The first model class inside an annotation such as `dict[str, Training]` or `Training | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(argument) for argument in getattr(annotation, "__args__", ())]
    return next((model for model in found if model is not None), None)
