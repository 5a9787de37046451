"""Which modules of the product import which."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("components", "pipelines", "demo")


@cache
def modules() -> dict[str, Path]:
    """All modules of the product, by name."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def statements(node: ast.AST, *, at_import: bool) -> Iterator[ast.AST]:
    """Everything below a node; `at_import`: only what runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if at_import and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        yield child
        yield from statements(child, at_import=at_import)


@cache
def imports(module: str, *, at_import: bool = False) -> frozenset[str]:
    """The product's modules that a module imports, inside functions too unless `at_import`."""
    return imports_of(modules()[module], at_import=at_import)


def imports_of(path: Path, *, at_import: bool = False) -> frozenset[str]:
    """The product's modules that a file imports, inside functions too unless `at_import`."""
    named = set()
    for node in statements(ast.parse(path.read_text(encoding="utf-8")), at_import=at_import):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= (parts & modules().keys()) or {node.module}
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
    return frozenset(named & modules().keys())


def with_all_imports(names: Iterable[str]) -> frozenset[str]:
    """Modules with everything that they import, directly or not."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        found |= waiting
        waiting = {imported for module in waiting for imported in imports(module)} - found
    return frozenset(found)
