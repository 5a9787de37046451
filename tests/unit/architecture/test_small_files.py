"""A file of a few lines that serves one neighbour belongs into that neighbour; an entry of a registry is a file."""

from collections import defaultdict

from tests.product_imports import imports, modules

FEW_LINES = 30
OF_THEIR_OWN = ("__init__", "component", "registry", "step")
"""Names of files whose place is a rule, whatever their length."""


def importers() -> dict[str, set[str]]:
    """The modules that import each module."""
    found: dict[str, set[str]] = defaultdict(set)
    for module in modules():
        for imported in imports(module):
            found[imported].add(module)
    return found


def test_no_small_file_serves_a_single_neighbour() -> None:
    small = {
        module
        for module, path in modules().items()
        if path.stem not in OF_THEIR_OWN and len(path.read_text(encoding="utf-8").splitlines()) < FEW_LINES
    }
    single = {module: next(iter(found)) for module, found in importers().items() if len(found) == 1}
    folded = [
        f"{module}: fold it into {single[module]}"
        for module in sorted(small & single.keys())
        if not single[module].endswith(".registry")
    ]
    assert small and folded == []
