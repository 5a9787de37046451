"""A conversation whose control text is hidden from the chat template."""

from collections.abc import Sequence

from components.models.conversation.chat_template import Turn
from components.models.conversation.control_tokens import ControlTokens
from components.models.conversation.guarded_tokenizer import FIRST_ALIAS, GuardedTokenizer
from components.models.conversation.placeholders import Placeholders
from components.models.conversation.tokenize_text import Text
from components.shared.rows import Message


class HiddenConversation:
    """The turns of a conversation with control text hidden, which is restored in the rendered text.

    Args:
        controls: the tokenizer's control tokens.
        messages: the conversation.

    Raises:
        ValueError: it contains characters without a placeholder.
    """

    def __init__(self, controls: ControlTokens, messages: Sequence[Message]) -> None:
        self.spelt = [controls.spelt_in(message.role, message.content) for message in messages]
        self._placeholders = Placeholders()
        self.turns: list[Turn] = [
            {"role": message.role, "content": self._placeholders.hide(message.content, controls.of_role(message.role))}
            for message in messages
        ]
        if any(self.spelt) and self._placeholders.holds_from(FIRST_ALIAS):
            raise ValueError(
                f"its text spells a control token, and holds private-use characters from U+{FIRST_ALIAS:X} on"
            )

    def shown(self, rendered: str) -> Text:
        """A rendered text with the hidden text restored."""
        return Text(self._placeholders.show(rendered))

    def guarded(self, rendered: str, guard: GuardedTokenizer) -> Text:
        """The same, with the template's own control tokens renamed."""
        return Text(self._placeholders.show(guard.rename(rendered)), guarded=True)
