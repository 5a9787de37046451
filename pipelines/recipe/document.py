"""A user's YAML file: its variables, and the line of every key and value, so that a fault names its line."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from components.shared.errors import SettingsError
from components.shared.step import Location

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Document:
    """A YAML file with the line of every key and value; a part of it can come from another file.

    `what` is the kind of file in error messages: recipe or placement.
    """

    def __init__(self, path: Path, what: str, node: yaml.Node, plain: dict[str, Any]) -> None:
        self.path, self.what = path, what
        self._node, self._plain = node, plain
        self._parts: dict[str, Document] = {}

    @classmethod
    def read(cls, path: Path, what: str = "recipe") -> "Document":
        """Parse the file. Raises SettingsError when it is missing or not a YAML mapping."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise SettingsError(
                f"{what} {str(path)!r} cannot be read: {error.strerror}", remedy="give the path of a YAML file"
            ) from error
        try:
            node, plain = yaml.compose(text, Loader=_Loader), yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        except yaml.YAMLError as error:
            raise SettingsError(
                f"{path}: not YAML: {error}", remedy="correct the syntax at the position above"
            ) from error
        if not isinstance(plain, dict) or node is None:
            raise SettingsError(f"{path}: does not contain a {what}", rule=f"a {what} is a mapping of keys to values")
        return cls(path, what, node, plain)

    def take_part(self, key: str, part: "Document") -> None:
        """Replace the value of one key by the content of another file."""
        self._parts[key] = part

    @property
    def variables(self) -> dict[str, str]:
        """The variables that the file declares, with their values."""
        return {str(name): str(value) for name, value in (self._plain.get("variables") or {}).items()}

    def filled_in(self, overrides: Mapping[str, str]) -> dict[str, Any]:
        """The content with ${NAME} replaced and parts inserted, without `variables`.

        Raises:
            SettingsError: an override of an undeclared variable, or a variable without a value.
        """
        declared = {name for file in (self, *self._parts.values()) for name in file.variables}
        unknown = sorted(set(overrides) - declared)
        if unknown:
            where = " and ".join(str(file.path) for file in (self, *self._parts.values()))
            raise SettingsError(
                f"--set {unknown[0]}: {where} declares no variable {unknown[0]!r}", allowed=sorted(declared) or ["none"]
            )
        return {**self._filled(overrides), **{key: part._filled(overrides) for key, part in self._parts.items()}}

    def values(self, overrides: Mapping[str, str]) -> dict[str, str]:
        """The values of the file's own variables."""
        return {name: overrides.get(name, value) for name, value in self.variables.items()}

    def _filled(self, overrides: Mapping[str, str]) -> dict[str, Any]:
        body = {name: value for name, value in self._plain.items() if name != "variables" and name not in self._parts}
        filled: dict[str, Any] = self._replaced(body, self.values(overrides), ())
        return filled

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
            raise self.refusal([self.at(location, text)])
        return VARIABLE.sub(lambda match: values[match.group(1)], value)

    def at(self, location: Location, text: str) -> str:
        """A fault with its file and line."""
        if location and location[0] in self._parts:
            return self._parts[str(location[0])].at(location[1:], text)
        return f"{self.path}:{self.line(location)}: {'.'.join(map(str, location)) or self.what}: {text}"

    def line(self, location: Location) -> int:
        """The line (from 1) of the deepest part of a location that the file contains."""
        node, line = self._node, self._node.start_mark.line
        for part in location:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return line + 1

    def refusal(self, faults: Sequence[str]) -> SettingsError:
        """One error with all faults."""
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        return SettingsError(
            f"{self.what} {self.path} is not valid: {count}; nothing was started\n"
            + "\n".join(f"  {fault}" for fault in faults),
            remedy="`tutelage schema recipe` prints every key with its meaning",
        )


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


class _Loader(yaml.SafeLoader):
    """A SafeLoader that reads 1e-6 as a number (YAML 1.2) and rejects duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)
