"""Removes control tokens that leak into an answer: an end of turn at which generation did not stop, and later turns.

An answer may also mention such tokens, or contain what looks like one (`</s>` closes a strikethrough in HTML). So a
token counts as leaked only where it has the role that it has in a prompt:

- nothing but control tokens follows it (`Paris.<|im_end|>`), or
- it ends a turn and another turn begins: a control token, or the name of a role, follows it, or
- it starts a turn: a role's name follows (`<|im_start|>user`), or it is one (`<|user|>`), or
- it ends a turn directly after the answer's last character, at the end of a line.

Never within a code block, inline code or quotation marks; `</s>` never where a `<s>` is open.
"""

import re
from dataclasses import dataclass

_BAR = "[|｜]"
_ROLES = r"system|user|assistant|model|human|tool|developer|observation|ipython|bot"
# <|im_end|>, <|eot_id|>, <｜end▁of▁sentence｜>, …: only chat templates write these.
_BARRED = rf"<{_BAR}[\w▁/.-]{{1,40}}{_BAR}>"
_TURNS = r"<end_of_turn>|<start_of_turn>|<turn\|>|<\|turn>|\[\|endofturn\|\]|\[\|(?:assistant|user|system)\|\]"
_WEAK = r"</?s>|<eos>|<bos>|<pad>|<unk>|<eop>|<sop>|\[EOS\]|\[BOS\]|\[PAD\]|\[/?INST\]|<</?SYS>>|\[gMASK\]"
_TOKEN = re.compile(f"{_BARRED}|{_TURNS}|{_WEAK}")
_WEAK_TOKEN = re.compile(_WEAK)
# Every answer is searched, so a cheap pattern goes first.
_MAY_BEGIN = re.compile(r"[<\[][|｜/a-zA-Z<]")
_ONLY_TOKENS = re.compile(rf"(?:\s|{_BARRED}|{_TURNS}|{_WEAK})*\Z")
_ROLE_FOLLOWS = re.compile(rf"\s*(?:{_ROLES})[ \t]*(?:\n|\r|:|\Z|{_BARRED})", re.IGNORECASE)
# Of the many tokens with bars (images, padding, fill-in-the-middle, …), those that start or end a turn.
_TURN_NAMES = (
    rf"im_(?:start|end|sep|middle|{_ROLES})|eo[mst](?:_id)?|(?:start|end)_header_id|header_(?:start|end)"
    r"|(?:end|start|begin)[▁_]?of[▁_]?(?:text|turn|sentence|message|role|prompt|user|assistant|system)(?:_token)?"
    rf"|(?:{_ROLES}|turn|message|role)(?:_(?:start|end))?|end|start|return|call|channel"
)
_TURN = re.compile(rf"<{_BAR}(?:{_TURN_NAMES}){_BAR}>|{_TURNS}", re.IGNORECASE)
_STARTS = re.compile(r"start|begin|bos|sop|header|channel|message|gmask|<s>|inst\]|sys>>|<\|turn>", re.IGNORECASE)
_NAMES_ROLE = re.compile(rf"[<\[]{_BAR}(?:{_ROLES}){_BAR}[>\]]", re.IGNORECASE)
# The header of the answer's own turn, where it leaks at the start.
_OWN_HEADER = re.compile(
    r"\s*(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|turn>|<\|start\|>|<\|start_of_role\|>|<\|begin_of_text\|>"
    r"|<[|｜]begin[▁_]of[▁_]sentence[|｜]>|<bos>|<s>(?!.*</s>)|<[|｜]assistant[|｜]>|\[\|assistant\|\])+"
    r"(?:assistant|model)?[ \t]*(?:<\|end_header_id\|>|<\|im_sep\|>|<\|end_of_role\|>)?"
    r"(?:<\|channel\|>final)?(?:<\|message\|>)?\s*"
    r"|\s*<\|channel\|>final<\|message\|>\s*",
    re.IGNORECASE | re.DOTALL,
)
_STRIKE_END = "</s>"
_QUOTES = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "「": "」"}


@dataclass(frozen=True)
class Cut:
    """An answer without leaked control tokens; `leaked`: there were any; `ended`: one of them ended it."""

    text: str
    leaked: bool
    ended: bool = False


def cut_header(text: str) -> Cut:
    """Remove the header of the answer's own turn from its start."""
    found = _OWN_HEADER.match(text)
    return Cut(text[found.end() :], True) if found else Cut(text, False)


def is_turn_token(token: str) -> bool:
    """Whether a token starts or ends a turn in the chat templates of today's models."""
    return bool(_TURN.fullmatch(token))


def cut_control_tokens(text: str, *, generated: bool = False) -> Cut:
    """Truncate a text at its first leaked control token, and remove its own turn's header from its start.

    Args:
        text: the answer.
        generated: control tokens in it are known to be tokens: each that starts or ends a turn is leaked.
    """
    if not _MAY_BEGIN.search(text) or not _TOKEN.search(text):
        return Cut(text, False)
    begun = cut_header(text)
    for token in _TOKEN.finditer(begun.text):
        if (generated and is_turn_token(token[0])) or _is_leaked(begun.text, token):
            return Cut(begun.text[: token.start()].rstrip(), leaked=True, ended=True)
    return begun


def _is_leaked(text: str, token: re.Match[str]) -> bool:
    before, after = text[: token.start()], text[token.end() :]
    if _is_quoted(before, after) or _closes_strikethrough(token[0], before):
        return False
    if _ONLY_TOKENS.match(after):
        return True
    follows = _TOKEN.match(after.lstrip())
    if not _STARTS.search(token[0]) and follows and follows[0] != _STRIKE_END:
        return True
    return not _WEAK_TOKEN.fullmatch(token[0]) and _acts_as_turn(token[0], before, after)


def _acts_as_turn(token: str, before: str, after: str) -> bool:
    """Whether a token that only chat templates write is in a position where one starts or ends a turn."""
    if _ROLE_FOLLOWS.match(after):
        return True
    glued = not before or not before[-1].isspace()
    if _NAMES_ROLE.fullmatch(token):
        return glued or before.endswith("\n")
    return glued and not _STARTS.search(token) and after.startswith(("\n", "\r"))


def _closes_strikethrough(token: str, before: str) -> bool:
    opened = len(re.findall(r"<s(?:\s[^>]*)?>", before))
    return token == _STRIKE_END and opened > before.count(_STRIKE_END)


def _is_quoted(before: str, after: str) -> bool:
    """Whether the place is inside quotation marks, inline code, or a code block that is closed after it."""
    if before and after and _QUOTES.get(before[-1]) == after[0]:
        return True
    if _fences(before) % 2 and _fences(after):
        return True
    line_before, line_after = before.rpartition("\n")[2], after.partition("\n")[0]
    return line_before.count("`") % 2 == 1 and "`" in line_after


def _fences(text: str) -> int:
    return len(re.findall(r"^[ \t]*(?:```|~~~)", text, re.MULTILINE))
