"""The Python program within a reply: what defines the function that was asked for.

Fences are read by Markdown's own rules (markdown-it-py, CommonMark): in lists and quotes, with `~~~`, attributes and any
line ends. The last block that defines the function counts, so that a corrected draft does; what earlier blocks import or
define beside it comes along. Without such a block: code that stands in the prose, then a body for the function that
the prompt begins.
"""

import ast
import builtins
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt

from components.shared.thought import answer_of

_FENCE_LINE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,})")
_CODE_BEGINS = re.compile(r"(?:from|import|def|async def|class|@|[A-Za-z_]\w*\s*(?::[^=]+)?=[^=])")
# Where a body that goes on from the prompt ends: the stop sequences of Chen et al., arXiv 2107.03374, section 2.
_BODY_ENDS = re.compile(r"\n(?=class |def |# |if |print)")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Block:
    """A fenced block: its code, and whether it is said to be Python (None where nothing is said)."""

    code: str
    python: bool | None


def read_code(reply: str, entry_point: str = "", prompt: str = "") -> str:
    """The source of the reply's program; empty when the reply holds none.

    Args:
        reply: what was said; reasoning in tags is taken out first.
        entry_point: the function or class that the tests call; empty where any code will do.
        prompt: what was asked. The function that it begins gives a bare body its head, and its imports come along.
    """
    text = answer_of(reply.replace("\r\n", "\n")).expandtabs(4)
    fenced = fenced_blocks(text)
    blocks = [block.code for block in fenced]
    head, stub = _begun(prompt, entry_point)
    if not entry_point:
        return _any_code(text, fenced)
    for index in reversed(range(len(blocks))):
        if defines(blocks[index], entry_point):
            others = [*blocks[:index], *blocks[index + 1 :]]
            return _joined(head, *_support(others, entry_point), parsed_part(blocks[index], entry_point))
    if loose := _loose_code(text, entry_point):
        return _joined(head, loose)
    body = _any_code(text, fenced)
    if stub or (stub := _head_for(body, entry_point)):
        return _joined(f"{head}{stub.rstrip()}\n{_as_body(stub, body)}")
    return _joined(*blocks) if blocks else text


def fenced_blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text, in order.

    A fence within a docstring would end the block early: where the code then does not parse, and does up to a later
    fence, it goes up to that one.
    """
    lines = text.split("\n")
    tokens = [token for token in MarkdownIt("commonmark").parse(text) if token.type == "fence" and token.map]
    blocks: list[Block] = []
    skip_to = 0
    for token in tokens:
        assert token.map is not None
        first, end = token.map
        if first < skip_to:
            continue
        code = textwrap.dedent(token.content)
        if _parse(code) is None and (longer := _past_inner_fences(lines, first, end)):
            code, end = longer
        blocks.append(Block(code, _is_python(token.info)))
        skip_to = end
    return blocks


def _is_python(info: str) -> bool | None:
    """What a fence's info string says: `python3.11`, `{.python}`, `py title="a.py"`; None where it names no language."""
    words = re.findall(r"[A-Za-z][\w+#.-]*", info)
    return bool(re.match(r"py(?:thon|con|\d|$)", words[0], re.IGNORECASE)) if words else None


def defines(code: str, name: str) -> bool:
    """Whether code defines a function, class or name at its top level; where it does not parse, by its lines."""
    tree = _parse(textwrap.dedent(code))
    if tree is None:
        return bool(re.search(rf"^(?:async )?(?:def|class) {re.escape(name)}\b", textwrap.dedent(code), re.MULTILINE))
    return any(name in _names(node) for node in tree.body)


def parsed_part(code: str, entry_point: str) -> str:
    """The code, or where it does not parse the part of it that defines the name and does."""
    code = textwrap.dedent(code)
    return code if _parse(code) is not None else _loose_code(code, entry_point) or code


def _any_code(text: str, blocks: Sequence[Block]) -> str:
    """The last block that is said to be Python; else the last that may be, the last of all, or all of the text."""
    said = [block.code for block in blocks if block.python and block.code.strip()]
    maybe = [block.code for block in blocks if block.python is None and _parse(block.code) is not None]
    if blocks:
        return (said or maybe or [blocks[-1].code])[-1]
    # Only the closing fence was written: what stands before it is the code.
    lines = text.split("\n")
    return "\n".join(lines[: next((n for n, line in enumerate(lines) if _FENCE_LINE.match(line)), len(lines))])


def _past_inner_fences(lines: Sequence[str], first: int, end: int) -> tuple[str, int] | None:
    for later in range(end, len(lines)):
        if _FENCE_LINE.match(lines[later]):
            code = textwrap.dedent("\n".join(lines[first + 1 : later])) + "\n"
            if _parse(code) is not None:
                return code, later + 1
    return None


def _loose_code(text: str, name: str) -> str:
    """Code among prose that defines the name: the last such definition, with the code right around it."""
    lines = [line for line in text.split("\n") if not _FENCE_LINE.match(line)]
    heads = [n for n, line in enumerate(lines) if re.match(rf"\s*(?:async )?(?:def|class) {re.escape(name)}\b", line)]
    for head in reversed(heads):
        for first in _starts(lines, head):
            code = _beginning_that_parses(textwrap.dedent("\n".join(lines[first:])))
            if not code:
                code = _beginning_that_parses(_dedented_by_first("\n".join(lines[first:])))
            if defines(code, name):
                return code
    return ""


def _dedented_by_first(code: str) -> str:
    """The code moved left by the indentation of its first line; what stands further left is prose."""
    indent = code[: len(code) - len(code.lstrip())]
    return re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)


def _beginning_that_parses(code: str) -> str:
    """The code up to the first line that Python cannot read."""
    while code.strip():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ast.parse(code)
                return code
            except SyntaxError as error:
                lines = code.split("\n")
                code = "\n".join(lines[: min(len(lines), error.lineno or 1) - 1])
            except (ValueError, RecursionError, MemoryError):
                return ""
    return ""


def _starts(lines: Sequence[str], head: int) -> Iterator[int]:
    """Lines on which the code around a definition may begin: those that look like code, then the definition itself."""
    looks = [n for n in range(max(0, head - 60), head) if _CODE_BEGINS.match(lines[n].lstrip())]
    yield from looks[:8]
    yield from looks[-1:]
    yield head


def _support(blocks: Sequence[str], entry_point: str) -> list[str]:
    """What earlier blocks import, define or set to a constant; drafts of the function itself stay out."""
    kept = []
    for block in blocks:
        tree = _parse(textwrap.dedent(block))
        nodes = [node for node in tree.body if _is_support(node) and entry_point not in _names(node)] if tree else []
        kept.append("\n".join(ast.unparse(node) for node in nodes))
    return [code for code in kept if code]


def _is_support(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        try:
            ast.literal_eval(node.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return False
        return True
    return isinstance(node, ast.Import | ast.ImportFrom | Definition)


def _begun(prompt: str, entry_point: str) -> tuple[str, str]:
    """What the prompt's code holds before the function that it begins, and that beginning; empty where it begins none."""
    if not entry_point or not prompt:
        return "", ""
    pattern = re.compile(rf"^(?:async )?def {re.escape(entry_point)}\b", re.MULTILINE)
    codes = [block.code for block in fenced_blocks(prompt.replace("\r\n", "\n"))] or [prompt.replace("\r\n", "\n")]
    for code in reversed(codes):
        if found := [*pattern.finditer(code)]:
            start = found[-1].start()
            head = code[:start]
            if _parse(head) is None:
                head = _last_parsed(head)
            return head, code[start:]
    return "", ""


def _last_parsed(text: str) -> str:
    """The longest end of a text that parses and begins like code: prose before it stays out."""
    lines = text.split("\n")
    for first in range(len(lines)):
        if _CODE_BEGINS.match(lines[first]) and _parse(code := "\n".join(lines[first:])) is not None:
            return code
    return ""


def _as_body(stub: str, code: str) -> str:
    """The code as the body of the function that `stub` begins, without prose around it."""
    lines = code.strip("\n").split("\n")
    for first in range(min(len(lines), 20)):
        body = _BODY_ENDS.split("\n" + "\n".join(lines[first:]))[0].strip("\n")
        indented = body if body.startswith((" ", "\t")) else textwrap.indent(body, "    ")
        whole = _beginning_that_parses(f"{stub.rstrip()}\n{indented}\n")
        taken = whole[len(stub.rstrip()) + 1 :]
        if taken.strip():
            return taken
    return textwrap.indent(code.strip("\n"), "    ")


def _head_for(code: str, name: str) -> str:
    """A head for a bare body that nobody gave one: the names that it reads and does not bind are its parameters."""
    body = textwrap.indent(textwrap.dedent(code.strip("\n")), "    ")
    tree = _parse(f"def {name}():\n{body}\n")
    if tree is None or not any(isinstance(node, ast.Return | ast.Yield) for node in ast.walk(tree)):
        return ""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | set(dir(builtins))
    bound |= {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    free = sorted((node for node in names if node.id not in bound), key=lambda node: (node.lineno, node.col_offset))
    return f"def {name}({', '.join(dict.fromkeys(node.id for node in free))}):"


def _names(node: ast.stmt) -> set[str]:
    """The names that a statement binds."""
    if isinstance(node, Definition):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


def _joined(*parts: str) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def _parse(code: str) -> ast.Module | None:
    """The syntax tree; None where it is not Python of this version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
