"""Compares mathematical expressions in a separate process; math_check.py runs it, and kills it when it hangs.

math-verify limits its time with alarm signals, which work only in a main thread and do not interrupt a huge power, so
they are off here and the calling process enforces the limit. Lines of JSON in and out, expressions in plain LaTeX:
{"first": "\\\\sqrt{12}", "second": "2\\\\sqrt{3}"} -> true or false. The first line out reports that it is ready.
"""

import json
import logging
import sys
from typing import Any


def read_expression(text: str) -> list[Any]:
    """An expression as the candidates of math-verify; empty when it cannot parse any."""
    from math_verify import parse

    found: list[Any] = parse(f"${text}$", parsing_timeout=None)
    return found or parse(text, parsing_timeout=None)


def answer(request: dict[str, str]) -> bool:
    """Whether the two expressions of a request have the same value."""
    from math_verify import verify

    first, second = read_expression(request["first"]), read_expression(request["second"])
    return bool(first and second and verify(first, second, timeout_seconds=None))


def main() -> None:
    """Report that it is ready, then answer line by line until stdin ends."""
    import math_verify

    logging.disable(logging.CRITICAL)
    print(json.dumps(math_verify.__name__), flush=True)
    for line in sys.stdin:
        try:
            same = answer(json.loads(line))
        except (ArithmeticError, AttributeError, NotImplementedError, RecursionError, TypeError, ValueError):
            # How sympy gives up on an expression: equality is then not shown.
            same = False
        print(json.dumps(same), flush=True)


if __name__ == "__main__":
    main()
