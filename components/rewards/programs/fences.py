"""The fenced code blocks of a reply, parsed by the rules of CommonMark with markdown-it-py.

They may be in lists and quotes, with `~~~`, attributes and any line endings; a fence that is never closed extends to
the end.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from components.rewards.programs.python_source import parse

FENCE_LINE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,})")
"""A line that opens or closes a block."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its code, and whether it is labelled as Python (None without a label)."""

    code: str
    python: bool | None


def fenced_blocks(text: str) -> list[Block]:
    """The fenced blocks of a text, in order.

    A fence in a docstring would end the block early: where the code then does not parse, but does up to a later fence,
    the block extends to that one.
    """
    # Imported here: reading a recipe imports the benchmarks, but parses no Markdown.
    from markdown_it import MarkdownIt

    lines = text.split("\n")
    blocks: list[Block] = []
    skip_to = 0
    for token in MarkdownIt("commonmark").parse(text):
        if token.type != "fence" or token.map is None or token.map[0] < skip_to:
            continue
        code, skip_to = textwrap.dedent(token.content), token.map[1]
        if code.rstrip().endswith(token.markup) and parse(code) is None:
            code = code.rstrip().removesuffix(token.markup) + "\n"  # the closing fence is at the end of the last line
        if parse(code) is None and (longer := _past_inner_fences(lines, *token.map)):
            code, skip_to = longer
        blocks.append(Block(code, _is_python(token.info)))
    return blocks


def inline_code(text: str) -> list[Block]:
    """Inline code (`` `def f(): …` ``), in order, without a language at its beginning."""
    from markdown_it import MarkdownIt

    spans = (child for token in MarkdownIt("commonmark").parse(text) for child in token.children or ())
    codes = (span.content for span in spans if span.type == "code_inline")
    return [Block(re.sub(r"^\s*python\d?\s+", "", code) + "\n", None) for code in codes]


def _past_inner_fences(lines: Sequence[str], first: int, end: int) -> tuple[str, int] | None:
    """The code from an opening fence to the first later fence up to which it parses, and the line after that."""
    for later in range(end, len(lines)):
        if FENCE_LINE.match(lines[later]):
            code = textwrap.dedent("\n".join(lines[first + 1 : later])) + "\n"
            if parse(code) is not None:
                return code, later + 1
    return None


def _is_python(info: str) -> bool | None:
    """Whether an info string names Python: `python3.11`, `{.python}`, `py title="a.py"`; None without a language."""
    words = re.findall(r"[A-Za-z][\w+#.-]*", info)
    return bool(re.match(r"py(?:thon|con|\d|$)", words[0], re.IGNORECASE)) if words else None
