"""A model's chat template: conversations as text, and conversations that it refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Turn = dict[str, str]
"""A message with `role` and `content`, as templates expect it."""


@dataclass(frozen=True)
class Refusal:
    """Why a conversation cannot be rendered for a model. Every step drops its row, counts it and reports it.

    Attributes:
        model: reference of the model.
        role: the role of the message that is refused.
        roles: the roles of the conversation, in order.
        reason: the template's message.
        by: what refuses it: the chat template or the tokenizer.
    """

    model: str
    role: str
    roles: tuple[str, ...]
    reason: str
    by: str = "chat template"

    def about(self, row: str) -> str:
        """One line that names the row, the model, the role and the reason."""
        return f"row {row!r}: {self}"

    def __str__(self) -> str:
        return (
            f"the {self.by} of {self.model!r} refuses the role {self.role!r} "
            f"in a conversation of {', '.join(self.roles)}: {self.reason}"
        )


REMEDY = "use a model whose chat template accepts these roles, or rows without them"


class RefusedError(Exception):
    """A conversation is refused; `refusal` states why. It never leaves this package."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class ChatTemplate:
    """Renders conversations with the template of a tokenizer.

    Args:
        tokenizer: with a chat template.
        reference: of the model, for messages.
        options: what the template receives besides the messages.
    """

    def __init__(self, tokenizer: Any, reference: str, options: Mapping[str, Any] | None = None) -> None:
        self._tokenizer, self.reference, self._options = tokenizer, reference, dict(options or {})

    def render(self, turns: Sequence[Turn], *, ask: bool = False) -> str:
        """The conversation as text; with `ask`, up to where the answer starts. Raises RefusedError."""
        try:
            return self._render(turns, ask)
        except _FailedError as error:
            raise self.refused(turns, self._culprit(turns, ask), str(error)) from error

    def renders(self, turns: Sequence[Turn], *, ask: bool = False) -> bool:
        """Whether the template accepts a conversation."""
        try:
            self._render(turns, ask)
        except _FailedError:
            return False
        return True

    def refused(self, turns: Sequence[Turn], role: str, reason: str, by: str = "chat template") -> RefusedError:
        """The exception for a refused conversation."""
        roles = tuple(turn["role"] for turn in turns)
        return RefusedError(Refusal(self.reference, role, roles, reason, by))

    def _render(self, turns: Sequence[Turn], ask: bool) -> str:
        try:
            rendered = self._tokenizer.apply_chat_template(
                list(turns), tokenize=False, add_generation_prompt=ask, **self._options
            )
            return str(rendered)
        except Exception as error:  # a template is a program: it may raise jinja2's errors or any other
            raise _FailedError(str(error) or type(error).__name__) from error

    def _culprit(self, turns: Sequence[Turn], ask: bool) -> str:
        """`system`, if the template accepts the rest; otherwise the role of the first turn that it does not accept."""
        leads = int(turns[0]["role"] == "system") if turns else 0
        if leads and len(turns) > 1 and self.renders(turns[1:], ask=ask):
            return "system"
        for count in range(1 + leads, len(turns) + 1):
            if not self.renders(turns[:count], ask=ask):
                return turns[count - 1]["role"]
        return turns[-1]["role"] if turns else "none"


class _FailedError(Exception):
    """The template raised an exception."""
