"""What tests depend on: what they import or name, directly or not."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("benchmarks", "components", "demo", "pipelines", "tests")
SHIPPED = ("charts", "images", "k8s")
"""Folders whose files, of any kind, name the modules that pods run."""
IN_PODS = ("components/*/component.py", "pipelines/*/preview.py")
"""Where a pipeline is only compiled: modules whose functions run elsewhere, a component's in pods of its step."""
COMPILING = (
    *("tests/charts", "tests/cluster/", "tests/golden", "tests/manifests"),
    *("tests/integration/launch", "tests/serving/test_teacher_chart.py"),
)
"""Tests that run no component in their own process. What their pods run, they name."""
ON_CLUSTER = (
    *(f"components/launch/{folder}/*" for folder in ("api", "follow", "kinds", "verdicts")),
    *("pipelines/doctor/cluster.py", "pipelines/kubeflow/*"),
)
"""Modules that an API server or Kubeflow Pipelines is asked with."""
WITHOUT_CLUSTER = "tests/integration/"
"""Tests whose conftest.py hides every cluster. What the product loads of ON_CLUSTER only once it is needed, in a
function or by a name as in the table of launchers, is not loaded there, except with the fake API server."""
FAKE_API_SERVER = "tests/unit/launch/api_server.py"
WITHOUT_PODS = ("tests/cluster/test_manifests.py", "tests/images/test_bake.py")
"""Tests that send what ships to an API server or a builder, which runs nothing of it."""

_MODULE = re.compile(rf"\b(?:{'|'.join(PACKAGES)})(?:\.\w+)+")


@dataclass(frozen=True)
class Found:
    """What tests depend on.

    Attributes:
        modules: the files of modules that are imported (inside functions too) or named in a text, as where one is
            started as a program.
        places: files and folders that are named. A test that reads `ROOT / "charts"` depends on all of charts; one that
            reads `ROOT / "k8s" / "base"` or "k8s/base" on that folder; one with a recipe's `"benchmarks": […]` not on
            the folder of that name.
    """

    modules: frozenset[str]
    places: frozenset[str]


@cache
def find(tests: str) -> Found:
    """What the tests of a folder or of a file depend on, with the conftest.py that they share with others.

    That of all tests is not followed: what it imports is for tests that import it too.
    """
    path = ROOT / tests
    files = [path] if path.is_file() else [each for each in path.rglob("*.py") if "__pycache__" not in each.parts]
    shared = [folder / "conftest.py" for folder in path.parents if ROOT / "tests" in folder.parents]
    began = {str(each.relative_to(ROOT)) for each in (*files, *shared) if each.exists()}
    in_pods = IN_PODS if tests.startswith(COMPILING) else ()
    elsewhere = ON_CLUSTER if tests.startswith(WITHOUT_CLUSTER) else ()
    modules = _with_imports(began, in_pods, elsewhere)
    if FAKE_API_SERVER in modules:
        elsewhere = ()
        modules = _with_imports(began, in_pods)
    readers = [file for file in modules if file.startswith(("benchmarks/", "tests/"))]
    places = frozenset(place for file in readers for place in _read(file).places if place != "tests")
    run = {module for place in places for module in _modules_shipped(place) if tests not in WITHOUT_PODS}
    return Found(modules | _with_imports(run - modules, in_pods, elsewhere) | {"tests/conftest.py"}, places)


class _Read:
    """What one file imports and names.

    Attributes:
        at_import: files that are imported when this one is.
        in_functions: files that are imported once a function is called.
        named: files of modules that are named in texts, and programs beside this one, as in `with_name("child.py")`.
        places: other files and folders that are named.
    """

    def __init__(self, file: str) -> None:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        nodes = [*ast.walk(tree)]
        self.at_import = _files_of(_imports(_at_import(tree)))
        self.in_functions = _files_of(_imports(nodes))
        texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        self.named = _files_of({name for text in texts for name in _MODULE.findall(text.value)})
        self.named |= {beside for text in texts if (beside := _program_beside(file, text.value))}
        # From the inside out, since the part of a path that is joined first is a path too.
        joined = dict(_joined(node) for node in reversed(nodes) if _is_joined(node))
        words = {word for node in nodes for word in _words(node)}
        paths = [(joined.get(text) or text.value) for text in texts if text not in words or "/" in text.value]
        self.places = frozenset(place for path in paths if (place := _place(path)))


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below a node but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from _at_import(child)


def _imports(nodes: Iterable[ast.AST]) -> set[str]:
    modules: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return modules


def _is_joined(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)


def _joined(path: ast.BinOp) -> tuple[ast.expr | None, str]:
    """The first text of a path such as `ROOT / "k8s" / "base"`, and all that follow it, joined."""
    parts: list[ast.expr] = []
    node: ast.expr = path
    while _is_joined(node):
        parts.insert(0, node.right)
        node = node.left
    texts: list[str] = []
    for part in parts:
        if not (isinstance(part, ast.Constant) and isinstance(part.value, str)):
            break
        texts.append(part.value)
    return (parts[0], "/".join(texts)) if texts else (None, "")


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
            return [] if all(_place(text) for text in texts) else parts
    return []


@cache
def _read(file: str) -> _Read:
    return _Read(file)


def _with_imports(files: Iterable[str], in_pods: Iterable[str], elsewhere: Iterable[str] = ()) -> frozenset[str]:
    """Files with everything that they import or name, directly or not.

    What functions of files that fit `in_pods` import is followed only if those files are named. Files that fit
    `elsewhere` are followed from tests and from each other, and otherwise only where an import loads them at once.
    """
    followed: set[str] = set()
    found: set[str] = set()
    waiting = set(files)
    while waiting:
        file = waiting.pop()
        found.add(file)
        followed.add(file)
        read = _read(file)
        later = read.named | (read.in_functions - read.at_import)
        if not file.startswith("tests/") and not _fits_any(file, elsewhere):
            later = {each for each in later if not _fits_any(each, elsewhere)}
        waiting |= (read.named & later) - followed
        for imported in read.at_import | (read.in_functions & later):
            if _fits_any(imported, in_pods):
                waiting |= set() if imported in found else _read(imported).at_import - followed
                found.add(imported)
            elif imported not in followed:
                waiting.add(imported)
    return frozenset(found)


def _fits_any(file: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(file, pattern) for pattern in patterns)


@cache
def _modules_shipped(place: str) -> frozenset[str]:
    """The files of modules that a place, if it ships, names in any of its files."""
    if Path(place).parts[0] not in SHIPPED:
        return frozenset()
    path = ROOT / place
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file() and each.suffix != ".md"]
    texts = [each.read_text(encoding="utf-8", errors="ignore") for each in files]
    return _files_of({name for text in texts for name in _MODULE.findall(text)})


def _files_of(modules: Iterable[str]) -> frozenset[str]:
    return frozenset(file for module in modules for file in _files(module))


@cache
def _files(module: str) -> tuple[str, ...]:
    """The file of a module, if the repository has it, and those of the packages above, which are imported first."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return ()
    packages = [Path(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return tuple(str(path) for path in (Path(*parts).with_suffix(".py"), *packages) if (ROOT / path).is_file())


def _program_beside(file: str, text: str) -> str | None:
    """The file of a program in the same folder; one with tests is not a program."""
    if not re.fullmatch(r"(?!test_)\w+\.py", text):
        return None
    beside = Path(file).with_name(text)
    return str(beside) if (ROOT / beside).is_file() else None


@cache
def _place(text: str) -> str | None:
    """What a text names: the longest start of a path that exists from the top level on."""
    parts = [] if text.startswith("/") else text.split("/")
    found = None
    for depth in range(1, len(parts) + 1):
        place = Path(*parts[:depth])
        if ".." in parts[:depth] or not parts[0].strip(".") or not _exists(place):
            break
        found = str(place)
    return found


def _exists(place: Path) -> bool:
    try:
        return (ROOT / place).exists()
    except (OSError, ValueError):  # a text that is too long for a name, or has a null character
        return False
