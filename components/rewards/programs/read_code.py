"""Finds the Python program in a reply: the code that defines the requested function.

The last fenced block that defines it counts, so that a correction replaces a draft; what other blocks import or define
is added. Without such a block: code in the prose, or else a body for the function that the prompt begins.
"""

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator, Sequence

from components.rewards.programs.fences import FENCE_LINE, Block, fenced_blocks, inline_code
from components.rewards.programs.python_source import Definition, beginning_that_parses, defines, names_of, parse
from components.shared.thought import answer_of

_CODE_BEGINS = re.compile(r"(?:from|import|def|async def|class|@|[A-Za-z_]\w*\s*(?::[^=]+)?=[^=])")
# Where a body that continues the prompt ends: the stop sequences of Chen et al., arXiv 2107.03374, section 2.
_BODY_ENDS = re.compile(r"\n(?=class |def |# |if |print)")
_FARTHEST, _LONGEST, _DRAFTS = 60, 400, 5
"""In prose: lines before a definition in which its code may begin, lines of the code, and definitions to try."""


def read_code(reply: str, entry_point: str = "", prompt: str = "") -> str:
    """The source of the program in a reply; empty when there is none.

    Args:
        reply: the complete reply; reasoning in tags is removed first.
        entry_point: the function or class that the tests call; empty if any code counts.
        prompt: the instruction. The function that it begins is the head of a bare body, and its imports are added.
    """
    text = _lines_alike(answer_of(reply))
    blocks = fenced_blocks(text)
    if not entry_point:
        return _any_code(text, blocks)
    head, stub = _begun(_lines_alike(prompt), entry_point)
    spans = inline_code(text)
    if code := _defining(blocks, entry_point) or _loose_code(text, entry_point) or _defining(spans, entry_point):
        return _joined(head, code)
    body = _any_code(text, blocks)
    stub = stub or _head_for(body, entry_point)
    return _joined(f"{head}{stub.rstrip()}\n{_as_body(stub, body)}") if stub else body


def _lines_alike(text: str) -> str:
    """The text with `\\n` line endings, and spaces instead of leading tabs."""
    text = text.replace("\r\n", "\n")
    return re.sub(
        r"^[ \t\u00a0]+", lambda found: found[0].replace("\u00a0", " ").expandtabs(4), text, flags=re.MULTILINE
    )


def _defining(blocks: Sequence[Block], entry_point: str) -> str:
    """The last block that defines the function, after the support of the other blocks; empty where none does."""
    for block in reversed(blocks):
        if not defines(block.code, entry_point):
            continue
        lent = (_support(other.code, entry_point) for other in blocks if other is not block)
        parses = parse(textwrap.dedent(block.code)) is not None
        code = textwrap.dedent(block.code) if parses else _loose_code(block.code, entry_point) or block.code
        return _joined(*lent, code)
    return ""


def _any_code(text: str, blocks: Sequence[Block]) -> str:
    """The last block labelled Python; else the last that may be Python, the last of all, or the complete text."""
    said = [block.code for block in blocks if block.python and block.code.strip()]
    maybe = [block.code for block in blocks if block.python is None and parse(block.code) is not None]
    if blocks:
        return (said or maybe or [blocks[-1].code])[-1]
    # Only the closing fence was written: the code is before it.
    lines = text.split("\n")
    return "\n".join(lines[: next((n for n, line in enumerate(lines) if FENCE_LINE.match(line)), len(lines))])


def _loose_code(text: str, name: str) -> str:
    """Code in prose that defines the name: the last such definition, with the code around it."""
    lines = [line for line in text.split("\n") if not FENCE_LINE.match(line)]
    heads = [n for n, line in enumerate(lines) if re.match(rf"\s*(?:async )?(?:def|class) {re.escape(name)}\b", line)]
    for head in heads[: -1 - _DRAFTS : -1]:
        for first in _starts(lines, head):
            rest = "\n".join(lines[first : head + _LONGEST])
            code = beginning_that_parses(textwrap.dedent(rest)) or beginning_that_parses(_moved_left(rest))
            if defines(code, name):
                return code
    return ""


def _starts(lines: Sequence[str], head: int) -> Iterator[int]:
    """Lines on which the code around a definition may begin: those that look like code, then the definition itself."""
    looks = [n for n in range(max(0, head - _FARTHEST), head) if _CODE_BEGINS.match(lines[n].lstrip())]
    yield from looks[:8]
    yield from looks[-1:]
    yield head


def _moved_left(code: str) -> str:
    """The code dedented by the indentation of its first line; lines with less indentation are prose."""
    indent = code[: len(code) - len(code.lstrip())]
    return re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)


def _support(code: str, entry_point: str) -> str:
    """What a block imports, defines or sets to a constant, without drafts of the function itself."""
    tree = parse(textwrap.dedent(code))
    nodes = [node for node in tree.body if _is_support(node) and entry_point not in names_of(node)] if tree else []
    return "\n".join(ast.unparse(node) for node in nodes)


def _is_support(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        try:
            ast.literal_eval(node.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return False
        return True
    return isinstance(node, ast.Import | ast.ImportFrom | Definition)


def _begun(prompt: str, entry_point: str) -> tuple[str, str]:
    """The code of the prompt before the function that it begins, and that beginning; else two empty texts."""
    pattern = re.compile(rf"^(?:async )?def {re.escape(entry_point)}\b", re.MULTILINE)
    codes = [block.code for block in fenced_blocks(prompt)] or [prompt]
    for code in reversed(codes):
        if found := [*pattern.finditer(code)]:
            head, stub = code[: found[-1].start()], code[found[-1].start() :]
            return head if parse(head) is not None else _end_that_parses(head), stub
    return "", ""


def _end_that_parses(text: str) -> str:
    """The longest end of a text that parses and begins like code, without the prose before it."""
    lines = text.split("\n")
    for first in range(len(lines)):
        if _CODE_BEGINS.match(lines[first]) and parse(code := "\n".join(lines[first:])) is not None:
            return code
    return ""


def _as_body(stub: str, code: str) -> str:
    """The code as the body of the function that `stub` begins, without prose around it."""
    lines = code.strip("\n").split("\n")
    for first, line in enumerate(lines[:20]):
        body = _BODY_ENDS.split("\n" + "\n".join(lines[first:]))[0].strip("\n")
        taken = max((_parsed_behind(stub, form) for form in _indented(body)), key=len, default="")
        if taken:
            return taken
        if re.match(r"(?:async )?def |class ", line):
            break  # another function, whose body is not this one's
    return textwrap.indent(code.strip("\n"), "    ")


def _indented(body: str) -> list[str]:
    """Candidates for a body: unchanged, indented as a block, or with a first line that lost its indentation."""
    first, _, rest = body.partition("\n")
    forms = [body] if body.startswith(" ") else []
    return [*forms, textwrap.indent(textwrap.dedent(body), "    "), f"    {first.strip()}\n{rest}"]


def _parsed_behind(stub: str, body: str) -> str:
    """The part of a body that parses after the head of the function; empty where none does."""
    head = stub.rstrip()
    taken = beginning_that_parses(f"{head}\n{body}\n")[len(head) + 1 :]
    return taken if taken.strip() else ""


def _head_for(code: str, name: str) -> str:
    """A head for a bare body without one: the names that it reads but does not bind are its parameters."""
    body = textwrap.indent(textwrap.dedent(code.strip("\n")), "    ")
    tree = parse(f"def {name}():\n{body}\n")
    if tree is None or not any(isinstance(node, ast.Return | ast.Yield) for node in ast.walk(tree)):
        return ""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | set(dir(builtins))
    bound |= {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
    free = sorted((node for node in names if node.id not in bound), key=lambda node: (node.lineno, node.col_offset))
    return f"def {name}({', '.join(dict.fromkeys(node.id for node in free))}):"


def _joined(*parts: str) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
