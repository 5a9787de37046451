"""Compares mathematical answers by value in a process of its own; run by math_check.py, which ends it when it hangs.

math-verify guards itself with alarm signals, which work in a main thread only and do not stop a huge power; so its own
guards are off here and the process that asks keeps the time. Lines of JSON in and out:
{"gold": "1/2", "text": "so it is 0.5"} or {"first": "...", "second": "..."} -> true or false. The first line out says
that it is ready.
"""

import json
import logging
import re
import sys
from typing import Any

# What joins digits to Chinese text: math-verify reads a number only when it stands free.
_WIDE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]+")
_LATEX = re.compile(r"[\\^_{}a-zA-Z(\[]")


def read_text(text: str) -> list[Any]:
    """The final answer in a free text, as math-verify's candidates; none when it finds none."""
    from math_verify import parse

    found: list[Any] = parse(text, parsing_timeout=None)
    return found or (parse(_WIDE.sub(" ", text), parsing_timeout=None) if _WIDE.search(text) else [])


def read_gold(answer: str) -> list[Any]:
    """A reference answer, which stands alone: LaTeX when it looks so, else as in a text."""
    from math_verify import parse

    if "$" in answer or "\\boxed" in answer:
        return read_text(answer)
    latex: list[Any] = parse(f"${answer}$", parsing_timeout=None) if _LATEX.search(answer) else []
    return latex or read_text(answer)


def answer(request: dict[str, str]) -> bool:
    """Whether the two texts of a request give the same value."""
    from math_verify import verify

    gold = read_gold(request["gold"]) if "gold" in request else read_text(request["first"])
    target = read_text(request["text"] if "gold" in request else request["second"])
    return bool(gold and target and verify(gold, target, timeout_seconds=None))


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
