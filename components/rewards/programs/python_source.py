"""Python source: whether it parses, what it defines, and the part of it that parses."""

import ast
import re
import textwrap
import warnings

_TRIES = 60
"""Lines that are dropped, one after the other, to find the part of a text that is Python."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def parse(code: str) -> ast.Module | None:
    """The syntax tree; None where it is not Python of this version."""
    return _tree_or_line(code)[0]


def defines(code: str, name: str) -> bool:
    """Whether code defines a function, class or name at its top level; where it does not parse, by its lines."""
    code = textwrap.dedent(code)
    tree = parse(code)
    if tree is None:
        return bool(re.search(rf"^(?:async )?(?:def|class) {re.escape(name)}\b", code, re.MULTILINE))
    return any(name in names_of(node) for node in tree.body)


def names_of(node: ast.stmt) -> set[str]:
    """The names that a statement binds."""
    if isinstance(node, Definition):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


def beginning_that_parses(code: str) -> str:
    """The code up to the first line that Python cannot read."""
    for _ in range(_TRIES):
        if not code.strip():
            break
        tree, line = _tree_or_line(code)
        if tree is not None:
            return code
        lines = code.split("\n")
        code = "\n".join(lines[: min(len(lines), line) - 1])
    return ""


def _tree_or_line(code: str) -> tuple[ast.Module | None, int]:
    """The syntax tree, or the line at which the parser gives up (the first, where it does not say)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code), 0
        except SyntaxError as error:
            return None, error.lineno or 1
        except (ValueError, RecursionError, MemoryError):
            return None, 1
