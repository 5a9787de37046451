"""Writes the program that judges the code of a reply: the code, without what ends or blocks the tests, then the tests.

It does not run as `__main__`, so `if __name__ == "__main__":` blocks are skipped. Every top-level statement runs
separately, and its exceptions are ignored: an `input()` without input, a `sys.exit()`, a failing example or test that
the model wrote. Only the given tests decide whether the code is right.
"""

import ast
import re

from components.rewards.programs.read_code import read_code

_ENDS_THE_PROCESS = frozenset({"_exit", "abort", "kill", "killpg", "raise_signal"})

_BEGIN = """\
__import__("sys").modules["solution"] = __import__("sys").modules["__main__"]
__name__ = "solution"
"""
_END = '__name__ = "__main__"\n'


def program_of(reply: str, tests: str, entry_point: str = "", prompt: str = "") -> str:
    """The source to run: it reaches its end only where the tests pass.

    Args:
        reply: the complete reply.
        tests: Python source; a function `check` that it defines (as HumanEval's do) is called with the entry point.
        entry_point: the function or class under test; empty where the tests name it themselves.
        prompt: the instruction.
    """
    return f"{tolerant(read_code(reply, entry_point, prompt))}\n{tests}\n\n{_calls(tests, entry_point)}\n"


def tolerant(code: str) -> str:
    """The code with each top-level statement in a separate `try`; unchanged where it does not parse."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    others = [node for node in tree.body if node not in future and not _ends_the_process(node)]
    parts = [*(ast.unparse(node) for node in future), _BEGIN, *(_guarded(node) for node in others), _END]
    return "\n".join(parts)


def _calls(tests: str, entry_point: str) -> str:
    """Calls of the tests: `check` as in HumanEval, or functions in the style of pytest that nothing else calls."""
    if entry_point and re.search(r"^def check\(", tests, re.MULTILINE):
        return f"check({entry_point})"
    names = re.findall(r"^def (test\w*)\(\s*\)", tests, re.MULTILINE)
    return "\n".join(f"{name}()" for name in names if not re.search(rf"^(?:    )*{name}\(", tests, re.MULTILINE))


def _guarded(node: ast.stmt) -> str:
    guard = ast.parse("try:\n    pass\nexcept BaseException:\n    pass").body[0]
    assert isinstance(guard, ast.Try)
    guard.body = [node]
    return ast.unparse(guard)


def _ends_the_process(node: ast.stmt) -> bool:
    """Whether a statement is a call that no `try` survives, such as `os._exit(0)`."""
    call = node.value if isinstance(node, ast.Expr) else None
    name = call.func if isinstance(call, ast.Call) else None
    return (
        isinstance(name, ast.Attribute | ast.Name)
        and (name.attr if isinstance(name, ast.Attribute) else name.id) in _ENDS_THE_PROCESS
    )
