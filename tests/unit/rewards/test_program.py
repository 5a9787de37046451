"""The program that is run for a reply with code: right solutions pass in any form, wrong ones never do."""

import pytest

from components.rewards.programs.read_code import read_code
from components.rewards.programs.write_program import program_of
from components.shared.sandbox.run_python import SandboxLimits, run_python

LIMITS = SandboxLimits(cpu_seconds=2, wall_seconds=10)
HEAD = "from typing import List\n\n\ndef total(xs: List[int]) -> int:\n"
PROMPT = f'{HEAD}    """ The sum.\n    >>> total([1, 2])\n    3\n    """\n'
TESTS = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n"
RIGHT = "def total(xs):\n    return sum(xs)"
WRONG = "def total(xs):\n    return 3"


def passes(reply: str, prompt: str = PROMPT) -> bool:
    return run_python(program_of(reply, TESTS, "total", prompt), limits=LIMITS).completed


def fenced(code: str, info: str = "python", fence: str = "```") -> str:
    return f"{fence}{info}\n{code}\n{fence}\n"


def indented(text: str, by: str) -> str:
    return "".join(by + line for line in text.splitlines(keepends=True))


LONG_USAGE = "\n".join(f"print(total([{number}]))" for number in range(30))
LONG_TESTS = "\n".join(f"assert total([{number}]) == {number}" for number in range(30))
SHAPES = {
    "bare": RIGHT,
    "fence": fenced(RIGHT),
    "capital tag": fenced(RIGHT, "Python"),
    "version in the tag": fenced(RIGHT, "python3.12"),
    "py": fenced(RIGHT, "py"),
    "no tag": fenced(RIGHT, ""),
    "space before the tag": fenced(RIGHT, " python"),
    "title": fenced(RIGHT, 'python title="total.py"'),
    "pandoc attributes": fenced(RIGHT, "{.python .numberLines}"),
    "braces": fenced(RIGHT, "{python}"),
    "tildes": fenced(RIGHT, fence="~~~"),
    "four backticks": fenced(RIGHT, fence="````"),
    "CRLF": fenced(RIGHT).replace("\n", "\r\n"),
    "in a numbered list": "1. So:\n\n" + indented(fenced(RIGHT), "   "),
    "in a bullet list": "- So:\n" + indented(fenced(RIGHT), "  "),
    "in a nested list": "1. First\n   - So:\n\n" + indented(fenced(RIGHT), "     "),
    "in a quote": indented(fenced(RIGHT), "> "),
    "indented fence": indented(fenced(RIGHT), "  "),
    "never closed": "```python\n" + RIGHT,
    "never opened": RIGHT + "\n```\nThis adds them up.",
    "bash first": fenced("pip install nothing", "bash") + fenced(RIGHT),
    "text first": fenced("total([1]) -> 1", "text") + fenced(RIGHT),
    "json first": fenced("[1, 2]", "json") + fenced(RIGHT),
    "output after": fenced(RIGHT) + "It prints\n" + fenced("3", "text"),
    "bash after": fenced(RIGHT) + "Run it:\n" + fenced("python total.py\n" * 9, "bash"),
    "usage first": fenced("print(total([1, 2]))") + fenced(RIGHT),
    "long usage after": fenced(RIGHT) + fenced(LONG_USAGE),
    "long tests after": fenced(RIGHT) + fenced(LONG_TESTS),
    "long tests in the block": fenced(f"{RIGHT}\n\n{LONG_TESTS}"),
    "wrong test of its own": fenced(f"{RIGHT}\n\nassert total([1]) == 2"),
    "draft, then corrected": fenced(WRONG + "\n# " + "long " * 30) + "That is wrong.\n" + fenced(RIGHT),
    "imports in a block of their own": fenced("import functools\nimport operator") + fenced(
        "def total(xs):\n    return functools.reduce(operator.add, xs, 0)"
    ),
    "helper in a block of its own": fenced("def plus(a, b):\n    return a + b") + fenced(
        "def total(xs):\n    s = 0\n    for x in xs:\n        s = plus(s, x)\n    return s"
    ),
    "helper in a later block": fenced("def total(xs):\n    return all_of(xs)") + "with\n" + fenced(
        "def all_of(xs):\n    return sum(xs)"
    ),
    "constant in a block of its own": fenced("START = 0") + fenced("def total(xs):\n    return sum(xs, START)"),
    "thought first": "<think>\n" + fenced(WRONG) + "</think>\n" + fenced(RIGHT),
    "fence in the docstring": fenced(
        "def total(xs):\n    '''Sum.\n\n    ```\n    >>> total([1])\n    ```\n    '''\n    return sum(xs)"
    ),
    "fence at the margin of a docstring": fenced(
        "def total(xs):\n    '''Sum.\n\n```\n>>> total([1])\n```\n    '''\n    return sum(xs)"
    ),
    "fence in a string": fenced('FENCE = """\n```\n"""\n\ndef total(xs):\n    return sum(xs)'),
    "decorated": fenced("import functools\n\n@functools.wraps(sum)\ndef total(xs):\n    return sum(xs)"),
    "annotated as the prompt": fenced("def total(xs: List[int]) -> int:\n    return sum(xs)"),
    "lambda": fenced("total = lambda xs: sum(xs)"),
    "alias": fenced("def add_up(xs):\n    return sum(xs)\n\ntotal = add_up"),
    "annotations from the future": fenced(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n"
        "@dataclass\nclass Sum:\n    of: Any\n\n" + RIGHT
    ),
    "body": "    return sum(xs)\n",
    "body without indentation": "return sum(xs)",
    "body of another indentation": "  s = sum(xs)\n  return s\n",
    "body whose first line lost its indentation": "s = 0\n    for x in xs:\n        s += x\n    return s",
    "body of its own function": "    def plus(a, b):\n        return a + b\n    return sum(xs)",
    "body after prose": "The body is:\n\n    return sum(xs)\n",
    "body after a thought": "<think>Easy.</think>\n    s = sum(xs)\n    return s",
    "body in a fence": fenced("    return sum(xs)"),
    "body of several lines": fenced("    s = 0\n    for x in xs:\n        s += x\n    return s"),
    "body with prose after": "    return sum(xs)\n\nThis adds them up, isn't it nice?",
    "body and a broken rest": "    return sum(xs)\n\nprint('this would not parse' if",
    "prose around": f"Here is the function:\n\n{RIGHT}\n\nIt isn't long.",
    "prose around, with imports": "Sure!\n\nimport math\n\ndef total(xs):\n    return int(math.fsum(xs))\n\nDone, no?",
    "prose around an indented block": f"So:\n\n{indented(RIGHT, '    ')}\n\nThat's it.",
    "truncated usage": fenced(f"{RIGHT}\n\nprint(total([1, 2"),
    "input at the top level": fenced(f"{RIGHT}\n\nxs = [int(x) for x in input().split()]\nprint(total(xs))"),
    "input in a loop": fenced(f"{RIGHT}\n\nwhile True:\n    print(total([int(input())]))"),
    "input in a main block": fenced(f"{RIGHT}\n\nif __name__ == '__main__':\n    print(total([int(input())]))"),
    "exit in a main block": fenced(f"import sys\n{RIGHT}\n\nif __name__ == '__main__':\n    sys.exit(1)"),
    "main function": fenced(f"{RIGHT}\n\ndef main():\n    print(total([int(input())]))\n\nmain()"),
    "exit at the end": fenced(f"{RIGHT}\n\nexit()"),
    "sys.exit at the end": fenced(f"import sys\n{RIGHT}\nsys.exit(0)"),
    "os._exit at the end": fenced(f"import os\n{RIGHT}\nos._exit(0)"),
    "unittest at the end": fenced(f"import unittest\n{RIGHT}\nunittest.main()"),
    "package that is not there": fenced(f"import numpy as np\n{RIGHT}\nprint(np.array([1]))"),
    "prompt repeated": fenced(PROMPT + "    return sum(xs)"),
    "prompt repeated, with prose": PROMPT + "    return sum(xs)\n\nThat is it; isn't it nice?",
    "stub, then filled in": fenced(PROMPT + "    ...") + fenced(RIGHT),
    "closing fence on the last line": f"```python\n{RIGHT}```",
    "in a line": "It is `def total(xs): return sum(xs)`.",
    "in a line, with its language": "```python def total(xs): return sum(xs)```",
    "no-break spaces": fenced("def total(xs):\n\u00a0\u00a0\u00a0\u00a0return sum(xs)"),
    "other languages": fenced("function total(xs) { return 3 }", "javascript") + fenced(RIGHT),
    "a session after": fenced(RIGHT) + fenced(">>> total([1])\n1", "pycon"),
    "shell line in the block": fenced(f"!pip install nothing\n{RIGHT}"),
    "print of Python 2": fenced(f"{RIGHT}\nprint total([1])"),
    "arguments of a command line": fenced(f"import argparse\n{RIGHT}\nargparse.ArgumentParser().parse_args(['-x'])"),
    "table filled in a loop": fenced("SUMS = {}\nfor n in range(9):\n    SUMS[n] = n\n" + RIGHT),
    "tabs": fenced("def total(xs):\n\ts = 0\n\tfor x in xs:\n\t\ts += x\n\treturn s"),
}  # fmt: skip
FAILURES = {
    "wrong": fenced(WRONG),
    "nothing": "",
    "refused": "I cannot do that.",
    "method of a class": fenced("class Solution:\n    def total(self, xs):\n        return sum(xs)"),
    "corrected into a wrong one": fenced(RIGHT) + "Better:\n" + fenced(WRONG),
    "another function": fenced("def add_up(xs):\n    return sum(xs)"),
    "filled in, then the stub": fenced(RIGHT) + fenced(PROMPT),
    "exit raised": fenced(f"{WRONG}\nraise SystemExit(0)"),
    "exit when compared": fenced(
        "class Any:\n    def __eq__(self, other):\n        import os; os._exit(0)\ndef total(xs):\n    return Any()"
    ),
    "syntax error": fenced("def total(xs)\n    return sum(xs)"),
    "name that was never imported": fenced("def total(xs):\n    return math.fsum(xs)"),
    "coroutine": fenced("async def total(xs):\n    return sum(xs)"),
    "exit before the tests": fenced(f"{WRONG}\nimport sys; sys.exit(0)"),
    "exit in the function": fenced("import sys\ndef total(xs):\n    sys.exit(0)"),
    "os._exit in the function": fenced("def total(xs):\n    import os; os._exit(0)"),
    "os._exit before the tests": fenced(f"{WRONG}\nimport os; os._exit(0)"),
    "check of its own": fenced(f"{WRONG}\ndef check(candidate):\n    pass"),
    "loop": fenced("def total(xs):\n    while True: pass"),
    "thought that was truncated": "<think>\n" + fenced(RIGHT),
    "only in the thought": "<think>\n" + fenced(RIGHT) + "</think>\n" + fenced(WRONG),
    "only usage": fenced("print(total([1, 2]))"),
    "right in a comment": fenced(f"{WRONG}\n# return sum(xs)"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_right_solutions_pass(name: str) -> None:
    assert passes(SHAPES[name])


@pytest.mark.parametrize("name", FAILURES)
def test_wrong_solutions_fail(name: str) -> None:
    assert not passes(FAILURES[name])


def test_the_prompt_lends_its_imports_and_helpers() -> None:
    prompt = f"Complete this:\n\n```python\nimport math\n\n\ndef half(x):\n    return x / 2\n\n\n{PROMPT}```"
    assert passes(fenced("def total(xs):\n    return math.floor(2 * half(sum(xs)))"), prompt)
    assert passes("    return math.floor(2 * half(sum(xs)))", prompt)


def test_a_body_without_a_prompt_takes_the_names_it_reads() -> None:
    assert passes(fenced("    return sum(xs)"), prompt="") and not passes("Nothing of the kind.", prompt="")


def test_functions_of_pytests_kind_are_called() -> None:
    tests = "def test_total():\n    assert total([1, 2]) == 3\n"
    assert run_python(program_of(RIGHT, tests, "total"), limits=LIMITS).completed
    assert not run_python(program_of("def total(xs):\n    return 0", tests, "total"), limits=LIMITS).completed


def test_without_an_entry_point_the_last_python_block_counts() -> None:
    assert read_code(fenced("x = 1") + fenced("y = 2") + fenced("it is so", "text")).strip() == "y = 2"
    assert read_code("x = 1") == "x = 1"


def test_a_long_reply_is_read_in_reasonable_time() -> None:
    prose = "It may be that one has to think about this for longer than one line.\n" * 1000
    assert "sum(xs)" in read_code(f"{prose}{RIGHT}\n{prose}", "total")
