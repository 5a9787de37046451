"""What the tests of a folder depend on: what they import or name, directly or not."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("benchmarks", "components", "demo", "pipelines", "tests")

_MODULE = re.compile(rf"\b(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
_PLACE = re.compile(r"[\w.-]+")


def files_of(folder: str) -> tuple[frozenset[str], frozenset[str]]:
    """What the tests of a folder depend on: modules' files, and files and folders of the repository's top level.

    A module is imported (inside functions too) or named in a text, as where it is started as a program. A test that
    reads `ROOT / "charts"` or "charts/teacher" depends on all of charts; one with a recipe's `"benchmarks": […]` not on
    the folder of that name.
    """
    tests = [path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts]
    modules = _with_imports(str(path.relative_to(ROOT)) for path in tests)
    own = [file for file in modules if file.startswith("tests/")]
    return modules, frozenset(place for file in own for place in _read(file).places)


class _Read:
    """What one file imports and names."""

    def __init__(self, file: str) -> None:
        nodes = [*ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))]
        modules: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module:
                modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
        texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        words = {word for node in nodes for word in _words(node)}
        named = modules.union(*(_MODULE.findall(text.value) for text in texts))
        self.files = frozenset(found for module in named for found in _files(module))
        places = {_top(text.value) for text in texts if text not in words or "/" in text.value}
        self.places = frozenset(place for place in places if place)


def _words(node: ast.AST) -> list[ast.expr]:
    """Parts of an expression that are keys or values, whatever they are called: a path would be joined or passed on.

    Of the elements of a list, that is so unless all of them are at the top level, as `("components", "pipelines")`.
    """
    match node:
        case ast.Dict(keys=keys):
            return [key for key in keys if key]
        case ast.Subscript(slice=key):
            return [key]
        case ast.Compare(left=left, comparators=others):
            return [left, *others]
        case ast.List(elts=parts) | ast.Set(elts=parts) | ast.Tuple(elts=parts):
            texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            return [] if all(_top(text) for text in texts) else parts
    return []


@cache
def _read(file: str) -> _Read:
    return _Read(file)


def _with_imports(files: Iterable[str]) -> frozenset[str]:
    """Files with everything that they import or name, directly or not."""
    found: set[str] = set()
    waiting = set(files)
    while waiting:
        found |= waiting
        waiting = {named for file in waiting for named in _read(file).files} - found
    return frozenset(found)


@cache
def _files(module: str) -> tuple[str, ...]:
    """The file of a module, if the repository has it, and those of the packages above, which are imported first."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return ()
    packages = [Path(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return tuple(str(path) for path in (Path(*parts).with_suffix(".py"), *packages) if (ROOT / path).is_file())


@cache
def _top(text: str) -> str | None:
    """The file or folder of the top level that a text names alone or at the start of a path."""
    name = _PLACE.match(text)
    place = name.group() if name else ""
    exact = text == place or text.startswith(f"{place}/")
    return place if exact and place not in {"", ".", ".."} and (ROOT / place).exists() else None
