"""Configurations in the README of a hub data set: which files belong to which split.

https://huggingface.co/docs/hub/datasets-manual-configuration
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

FRONT = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
DEFAULT = "default"


@dataclass(frozen=True)
class Configuration:
    """One configuration: glob patterns of the files of each split."""

    name: str
    default: bool
    splits: dict[str, list[str]] = field(default_factory=dict)

    def split_of(self, name: str) -> str | None:
        """The split that a file belongs to, or None."""
        return next((split for split, patterns in self.splits.items() if any(matches(name, p) for p in patterns)), None)


def read_card(text: str) -> list[Configuration]:
    """The configurations that name files; empty without any, or if the front matter is not valid YAML."""
    front = FRONT.match(text)
    if front is None:
        return []
    try:
        facts = yaml.safe_load(front[1])
    except yaml.YAMLError:
        return []
    listed = facts.get("configs") if isinstance(facts, dict) else None
    found = [_configuration(each) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [each for each in found if each.splits]


def default_of(configurations: list[Configuration]) -> Configuration | None:
    """The only configuration, or the one marked or named as the default; None without one."""
    if len(configurations) == 1:
        return configurations[0]
    marked = [each for each in configurations if each.default] or [c for c in configurations if c.name == DEFAULT]
    return marked[0] if marked else None


def _configuration(facts: dict[str, Any]) -> Configuration:
    folder = str(facts.get("data_dir") or "").strip("/")
    files = facts.get("data_files")
    splits: dict[str, list[str]] = {}
    entries = files if isinstance(files, list) and any(isinstance(each, dict) for each in files) else [{"path": files}]
    for entry in entries:
        if isinstance(entry, dict) and (paths := _paths(entry.get("path"), folder)):
            splits.setdefault(str(entry.get("split", "train")), []).extend(paths)
    return Configuration(str(facts.get("config_name", DEFAULT)), bool(facts.get("default")), splits)


def _paths(given: Any, folder: str) -> list[str]:
    listed = given if isinstance(given, list) else [given]
    return [f"{folder}/{path}".lstrip("/") for path in listed if isinstance(path, str)]


def matches(name: str, pattern: str) -> bool:
    """Whether a path matches a glob pattern: `*` within one component, `**` over several."""
    spelled = re.sub(
        r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|[^*?\[]+|\[",
        lambda found: {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(
            found[0], found[0] if found[0].startswith("[") and found[0].endswith("]") else re.escape(found[0])
        ),
        pattern.removeprefix("./"),
    )
    return re.fullmatch(spelled, name) is not None
