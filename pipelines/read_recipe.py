"""Reads a recipe: YAML, variables, types; every fault with file, line, value, rule and allowed values."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from components.shared.errors import SettingsError
from components.shared.step import without_secrets
from pipelines.check_recipe import find_faults
from pipelines.recipe import Recipe

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
Location = tuple[str | int, ...]


def read_recipe(path: Path, overrides: Mapping[str, str] | None = None, *, check_files: bool = True) -> Recipe:
    """Read and check a recipe.

    Args:
        path: the YAML file.
        overrides: values for its variables.
        check_files: whether local files that it names must be there.

    Raises:
        SettingsError: everything that is wrong, each fault with its line.
    """
    document = Document.read(path)
    plain = document.interpolated(overrides or {})
    try:
        recipe = Recipe.model_validate(plain)
    except ValidationError as error:
        raise _refusal(document, [_fault(document, item) for item in error.errors(include_url=False)]) from None
    faults = [document.at(fault.location, fault.text) for fault in find_faults(recipe, check_files=check_files)]
    if faults:
        raise _refusal(document, faults)
    return recipe


class Document:
    """A YAML file with the line of every key and value."""

    def __init__(self, path: Path, node: yaml.Node, plain: Any) -> None:
        self.path, self._node, self._plain = path, node, plain

    @classmethod
    def read(cls, path: Path) -> "Document":
        """Parse the file. Raises SettingsError when it is missing or no YAML mapping."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise SettingsError(
                f"recipe {str(path)!r} cannot be read: {error.strerror}", remedy="give the path of a YAML file"
            ) from error
        try:
            node, plain = yaml.compose(text, Loader=_Loader), yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        except yaml.YAMLError as error:
            raise SettingsError(f"{path}: not YAML: {error}", remedy="correct the syntax at the place named") from error
        if not isinstance(plain, dict) or node is None:
            raise SettingsError(f"{path}: holds no recipe", rule="a recipe is a mapping of keys to values")
        return cls(path, node, plain)

    def interpolated(self, overrides: Mapping[str, str]) -> dict[str, Any]:
        """The values with ${NAME} replaced. Raises SettingsError for a name that has no value."""
        declared = {str(name): str(value) for name, value in (self._plain.get("variables") or {}).items()}
        unknown = sorted(set(overrides) - set(declared))
        if unknown:
            raise SettingsError(
                f"--set {unknown[0]}: {self.path} has no variable {unknown[0]!r}", allowed=sorted(declared)
            )
        values = {**declared, **overrides}
        body = {name: value for name, value in self._plain.items() if name != "variables"}
        return {**self._replaced(body, values, ()), "variables": values}

    def _replaced(self, value: Any, values: Mapping[str, str], location: Location) -> Any:
        if isinstance(value, dict):
            return {name: self._replaced(item, values, (*location, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self._replaced(item, values, (*location, number)) for number, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        missing = [name for name in VARIABLE.findall(value) if not values.get(name)]
        if missing:
            text = (
                f"{value!r} uses the variable {missing[0]!r}, which has no value\n    remedy: --set {missing[0]}=VALUE"
            )
            raise _refusal(self, [self.at(location, text)])
        return VARIABLE.sub(lambda match: values[match.group(1)], value)

    def at(self, location: Location, text: str) -> str:
        """A fault with its file and line."""
        return f"{self.path}:{self.line(location)}: {'.'.join(map(str, location)) or 'recipe'}: {text}"

    def line(self, location: Location) -> int:
        """The line (from 1) of the deepest part of a location that stands in the file."""
        node, line = self._node, self._node.start_mark.line
        for part in location:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return line + 1


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


class _Loader(yaml.SafeLoader):
    """A SafeLoader that reads 1e-6 as a number (YAML 1.2) and refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def _fault(document: Document, error: Any) -> str:
    location = tuple(part for part in error["loc"] if not str(part).startswith("function-"))
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        allowed = ", ".join(_fields_at(Recipe, location[:-1]))
        return document.at(location, f"unknown key {location[-1]!r}\n    allowed: {allowed}")
    if kind == "missing":
        return document.at(location[:-1], f"the key {location[-1]!r} is missing")
    return document.at(location, f"{_short(given)}: {error['msg']}")


def _short(value: Any) -> str:
    text = without_secrets(repr(value))
    return text if len(text) <= 80 else text[:77] + "…"


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Names of the fields that the model at a location has."""
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


def _refusal(document: Document, faults: Sequence[str]) -> SettingsError:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return SettingsError(
        f"recipe {document.path} is refused: {count}; nothing was started\n"
        + "\n".join(f"  {fault}" for fault in faults),
        remedy="`tutelage schema recipe` prints every key with its meaning",
    )
