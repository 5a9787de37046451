"""A tokenizer's control tokens, and row text that spells one.

A control token is one that the tokenizer flags as special, that ends an answer, or that the chat template writes
around turns (`<｜User｜>` of DeepSeek-R1's distilled models is not flagged). In row text such a string is text: it must
not end or start a turn. Other added tokens (`<tool_call>`, digits, white space) stay tokens in row text, as in every
server. The tags of thoughts, if flagged, are control tokens in the messages of others; in an answer they are tokens,
since a reasoning model generates them.
"""

import re
from collections.abc import Callable, Iterable, Set
from typing import Any

from components.models.conversation.chat_template import ChatTemplate
from components.shared.thought import is_thought_tag

_PROBES = (("system", "user", "assistant", "user"), ("user", "assistant", "user"), ("user",))
"""Conversations that show what a template writes around turns; the first one that it accepts is used."""


_Node = dict[str, Any]
"""A trie of strings, by letter; an empty letter marks the end of a string."""


class ControlTokens:
    """The control tokens of one tokenizer.

    Args:
        tokenizer: the tokenizer.
        template: its chat template.
        end_ids: ids that end an answer besides the tokenizer's own.
    """

    def __init__(self, tokenizer: Any, template: ChatTemplate, end_ids: Set[int] = frozenset()) -> None:
        added = {number: token for number, token in tokenizer.added_tokens_decoder.items() if token.content}
        written = _written_by(template)
        special = set(tokenizer.all_special_ids) | end_ids
        self.ids: dict[str, int] = {
            token.content: number
            for number, token in added.items()
            if token.special or number in special or _is_of_turns(token.content, written)
        }
        self.pattern = any_of(self.ids)
        self._in_answers = any_of(token for token in self.ids if not is_thought_tag(token))
        normalized = any(added[number].normalized for number in self.ids.values())
        self._normalize = _normalizer(tokenizer) if normalized else None

    def of_role(self, role: str) -> re.Pattern[str]:
        """Matches the control tokens of a message of this role."""
        return self._in_answers if role == "assistant" else self.pattern

    def spelt_in(self, role: str, text: str) -> bool:
        """Whether a message's text spells one, also after the tokenizer's normalization."""
        pattern = self.of_role(role)
        return bool(pattern.search(text) or (self._normalize is not None and pattern.search(self._normalize(text))))


def any_of(strings: Iterable[str]) -> re.Pattern[str]:
    """A pattern that matches each of the strings, the longest first; for no strings, it matches nothing.

    It is a trie: some tokenizers have thousands of control tokens that start with `<`.
    """
    beginnings: _Node = {}
    for string in strings:
        node = beginnings
        for letter in string:
            node = node.setdefault(letter, {})
        node[""] = {}
    return re.compile(_pattern(beginnings) or r"(?!)")


def _pattern(node: _Node) -> str:
    branches = [re.escape(letter) + _pattern(rest) for letter, rest in node.items() if letter]
    if not branches:
        return ""
    return f"(?:{'|'.join(branches)})" + ("?" if "" in node else "")


def _is_of_turns(token: str, written: str) -> bool:
    """Whether the template writes an added token around turns: a marker, not a word, punctuation or white space."""
    return token in written and len(token) > 2 and bool(re.search(r"[^\w\s]", token)) and not is_thought_tag(token)


def _written_by(template: ChatTemplate) -> str:
    """What a template writes around the turns of a short conversation; empty where it accepts none of the probes."""
    for roles in _PROBES:
        turns = [{"role": role, "content": "0"} for role in roles]
        if template.renders(turns, ask=True):
            return template.render(turns, ask=True)
    return ""


def _normalizer(tokenizer: Any) -> Callable[[str], str] | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    normalizer = getattr(backend, "normalizer", None)
    return None if normalizer is None else normalizer.normalize_str
