"""The 50 instruction types: rules in types.yaml, of which the first that matches determines the type."""

import re
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.shared.errors import NotFoundError, SettingsError
from components.shared.outputs.digest import digest_bytes
from components.shared.outputs.manifest import Parent
from components.shared.store.open_store import open_store

BUILT_IN = Path(__file__).with_name("types.yaml")
TYPES = 50
FALLBACK = "other"
CHINESE = re.compile("[\u3400-\u9fff]")
SPACE = re.compile(r"\s+")
APOSTROPHES = str.maketrans({"’": "'", "‘": "'"})


class TypeRule(BaseModel):
    """One type. An instruction has the first type with a matching pattern.

    `chinese` patterns are tried only if the instruction contains Chinese characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    group: str = Field(min_length=1)
    description: str = Field(min_length=1)
    patterns: tuple[str, ...] = ()
    chinese: tuple[str, ...] = ()


class TypeRules:
    """All types in order; the last one is the fallback.

    Args:
        rules: validated rules, see `load_types`.
        characters: the number of characters read at an instruction's start and end.
    """

    def __init__(self, rules: tuple[TypeRule, ...], characters: int) -> None:
        self.rules, self._characters = rules, characters
        # Single patterns on a text in lower case take half the time of one joined pattern that ignores case.
        self._searches = [
            (number, re.compile(pattern).search, pattern in rule.chinese)
            for number, rule in enumerate(rules)
            for pattern in (*rule.patterns, *rule.chinese)
        ]

    def classify(self, text: str) -> int:
        """The index of an instruction's type."""
        if len(text) > 2 * self._characters:
            text = f"{text[: self._characters]} … {text[-self._characters :]}"
        line = SPACE.sub(" ", text).strip().translate(APOSTROPHES).lower()
        chinese = CHINESE.search(line) is not None
        for number, search, chinese_only in self._searches:
            if (chinese or not chinese_only) and search(line):
                return number
        return len(self.rules) - 1


def load_types(types_file: str, characters: int) -> TypeRules:
    """The types of a YAML file (a path or a store's URI), or the built-in ones if the name is empty.

    Raises:
        SettingsError: the file is missing or invalid; the message names type and pattern.
    """
    where = types_file or BUILT_IN.name
    rules = _parse(where, _content(types_file))
    _check_names(where, rules)
    for rule in rules[:-1]:
        _check_patterns(where, rule)
    return TypeRules(rules, characters)


def types_parent(types_file: str) -> Parent:
    """The types as an input of the step: the digest covers the file's content, not its location."""
    name = (types_file or BUILT_IN.name).rpartition("/")[2]
    return Parent(address=name, digest=digest_bytes(_content(types_file)))


def _content(types_file: str) -> bytes:
    if not types_file:
        return BUILT_IN.read_bytes()
    folder, slash, name = types_file.rpartition("/")
    try:
        return open_store(folder + slash or ".").read(name)
    except NotFoundError as error:
        raise SettingsError(
            f"types_file {types_file!r} does not exist",
            remedy="correct the path, or leave it empty for the built-in types",
        ) from error


def _parse(where: str, content: bytes) -> tuple[TypeRule, ...]:
    try:
        loaded = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{where} is not valid YAML: {error}", remedy="correct the file") from error
    entries = loaded.get("types") if isinstance(loaded, dict) else None
    if not isinstance(entries, list):
        raise SettingsError(
            f"{where} lacks the list `types`", rule="types: a list of name, group, description, patterns"
        )
    return tuple(_rule(where, number, entry) for number, entry in enumerate(entries, start=1))


def _rule(where: str, number: int, entry: object) -> TypeRule:
    try:
        return TypeRule.model_validate(entry)
    except ValidationError as error:
        name = entry.get("name", "without a name") if isinstance(entry, dict) else entry
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise SettingsError(
            f"{where}: type {number} ({name}): {wrong}", rule="a type has name, group, description and patterns"
        ) from error


def _check_names(where: str, rules: tuple[TypeRule, ...]) -> None:
    names = [rule.name for rule in rules]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SettingsError(f"{where}: type {repeated[0]!r} is listed twice", rule="names are unique")
    if len(rules) != TYPES:
        raise SettingsError(f"{where} has {len(rules)} types", rule=f"there are exactly {TYPES} types")
    last = rules[-1]
    if last.name != FALLBACK or last.patterns or last.chinese:
        raise SettingsError(
            f"{where}: the last type is {last.name!r} with {len(last.patterns + last.chinese)} patterns",
            rule=f"the last type is {FALLBACK!r}, without patterns: it is the fallback",
        )


def _check_patterns(where: str, rule: TypeRule) -> None:
    if not rule.patterns and not rule.chinese:
        raise SettingsError(
            f"{where}: type {rule.name!r} has no pattern", rule=f"every type but {FALLBACK!r} needs a pattern"
        )
    for pattern in (*rule.patterns, *rule.chinese):
        _check_pattern(f"{where}: type {rule.name!r}: pattern {pattern!r}", pattern)


def _check_pattern(where: str, pattern: str) -> None:
    try:
        empty = re.compile(pattern).search("")
    except re.error as error:
        raise SettingsError(
            f"{where} is not a valid regular expression: {error}", remedy="correct it (Python's re)"
        ) from error
    if empty:
        raise SettingsError(
            f"{where} matches the empty text, so every instruction", remedy="make the pattern more specific"
        )
    if re.sub(r"\\.", "", pattern) != re.sub(r"\\.", "", pattern).lower():
        raise SettingsError(
            f"{where} has a capital letter",
            rule="patterns are searched in lower-case text",
            remedy="write it in lower case",
        )
