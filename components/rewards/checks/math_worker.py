"""Compares mathematical expressions in a process of its own; run by math_check.py, which ends it when it hangs.

math-verify guards itself with alarm signals, which work in a main thread only and do not stop a huge power; so its own
guards are off here and the process that asks keeps the time. Lines of JSON in and out, expressions in plain LaTeX:
{"first": "\\\\sqrt{12}", "second": "2\\\\sqrt{3}"} -> true or false. The first line out says that it is ready.
"""

import json
import logging
import sys
from typing import Any


def read_expression(text: str) -> list[Any]:
    """An expression that stands alone, as math-verify's candidates; none when it can read none."""
    from math_verify import parse

    found: list[Any] = parse(f"${text}$", parsing_timeout=None)
    return found or parse(text, parsing_timeout=None)


def answer(request: dict[str, str]) -> bool:
    """Whether the two expressions of a request have one value."""
    from math_verify import verify

    first, second = read_expression(request["first"]), read_expression(request["second"])
    return bool(first and second and verify(first, second, timeout_seconds=None))


def main() -> None:
    """Say that it is ready, then answer one line after the other until stdin ends."""
    import math_verify

    logging.disable(logging.CRITICAL)
    print(json.dumps(math_verify.__name__), flush=True)
    for line in sys.stdin:
        try:
            same = answer(json.loads(line))
        except (ArithmeticError, AttributeError, NotImplementedError, RecursionError, TypeError, ValueError):
            # sympy's ways of giving up on an expression: then nothing says that the values are equal.
            same = False
        print(json.dumps(same), flush=True)


if __name__ == "__main__":
    main()
