"""Conversations as token ids, for training, likelihood, generation and evaluation alike."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from components.models.conversation.chat_template import ChatTemplate, Refusal, RefusedError
from components.models.conversation.control_tokens import ControlTokens, any_of
from components.models.conversation.hidden_conversation import HiddenConversation
from components.models.conversation.render_answer import Rendered, render_answer
from components.models.conversation.tokenize_text import Text, TextTokenizer, Tokens
from components.shared.errors import ModelError
from components.shared.rows import Message

TOKENIZER = "tokenizer"

Conversation = Sequence[Message]
Given = TypeVar("Given")


@dataclass(frozen=True)
class Encoded:
    """A conversation as token ids.

    Attributes:
        prompt: up to where the answer starts; exactly what generation receives.
        completion: what is to be generated after it, up to and including the end token; empty without an answer.
        control_text: the row's text spells a control token, which is encoded as text.
        without_thought: the answer's thought is left out, because the prompt has already closed the thought.
    """

    prompt: list[int]
    completion: list[int] = field(default_factory=list)
    control_text: bool = False
    without_thought: bool = False


@dataclass(frozen=True)
class _Ready:
    """A rendered conversation: the prompt, the prompt with the completion, and where the completion starts."""

    prompt: Text
    whole: Text
    roles: tuple[str, ...] = ()
    place: int = 0
    answer: Rendered | None = None


class ConversationEncoder:
    """Turns conversations into token ids, by one model's chat template and tokenizer.

    Args:
        tokenizer: with a chat template.
        reference: of the model, for messages.
        end_ids: ids that end an answer besides the tokenizer's own, from the model's generation config.
        template_options: what the chat template receives besides the messages, such as `enable_thinking`.
    """

    def __init__(
        self,
        tokenizer: Any,
        reference: str,
        end_ids: Set[int] = frozenset(),
        template_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._tokenizer, self.reference = tokenizer, reference
        self._end_ids = end_ids | ({tokenizer.eos_token_id} - {None})
        self._template = ChatTemplate(tokenizer, reference, template_options)

    @cached_property
    def _controls(self) -> ControlTokens:
        # At the first conversation: a tokenizer may get its template after the encoder is made.
        return ControlTokens(self._tokenizer, self._template, self._end_ids)

    @cached_property
    def _texts(self) -> TextTokenizer:
        return TextTokenizer(self._tokenizer, self._controls)

    @cached_property
    def _ends(self) -> Any:
        return any_of(token for token, number in self._controls.ids.items() if number in self._end_ids)

    def render(self, messages: Conversation) -> str | Refusal:
        """The prompt as text, as the chat template renders it, or why the template refuses the conversation."""
        try:
            return self._template.render([message.model_dump() for message in messages], ask=True)
        except RefusedError as refused:
            return refused.refusal

    def prompts(self, conversations: Sequence[Conversation]) -> list[Encoded | Refusal]:
        """Each conversation as a prompt, up to where the answer starts."""
        return self._encode(conversations, self._prompt)

    def answered(self, pairs: Sequence[tuple[Conversation, str]]) -> list[Encoded | Refusal]:
        """Each conversation with the answer that follows it. Raises ModelError without an end token."""
        if not self._end_ids:
            raise ModelError(
                f"the tokenizer of {self.reference!r} has no end token (eos_token)",
                rule="an answer ends with a token that stops generation",
                remedy="set eos_token in tokenizer_config.json",
            )
        return self._encode(pairs, self._answered)

    def continued(self, pairs: Sequence[tuple[Conversation, str]]) -> list[Encoded | Refusal]:
        """Each conversation with a text right after its prompt: without what the template writes around an answer."""
        return self._encode(pairs, self._continued)

    def whole(self, conversations: Sequence[Conversation]) -> list[Encoded | Refusal]:
        """Each conversation as it is, without asking for an answer: all of it is in `prompt`."""
        return self._encode(conversations, self._whole)

    def _encode(self, given: Sequence[Given], render: Callable[[Given], _Ready]) -> list[Encoded | Refusal]:
        ready = [self._ready(one, render) for one in given]
        good = [one for one in ready if isinstance(one, _Ready)]
        # Answers to one prompt share it.
        distinct = list(dict.fromkeys(text for one in good for text in (one.prompt, one.whole)))
        tokens = dict(zip(distinct, self._texts.tokenize(distinct), strict=True))
        return [self._parted(one, tokens) if isinstance(one, _Ready) else one for one in ready]

    def _ready(self, given: Given, render: Callable[[Given], _Ready]) -> _Ready | Refusal:
        try:
            return render(given)
        except RefusedError as refused:
            return refused.refusal

    def _parted(self, one: _Ready, tokens: dict[Text, Tokens]) -> Encoded | Refusal:
        prompt, spelt = tokens[one.prompt], one.prompt.guarded or one.whole.guarded
        if one.answer is None:
            return Encoded(list(prompt.ids), control_text=spelt)
        completion = self._texts.part(prompt, one.whole, one.place, tokens[one.whole])
        if completion is None:
            return Refusal(self.reference, "assistant", one.roles, "it joins the answer to the prompt", TOKENIZER)
        ending = [] if one.answer.ended else [self._eos]
        return Encoded(list(prompt.ids), [*completion, *ending], spelt, one.answer.without_thought)

    @property
    def _eos(self) -> int:
        own: int | None = self._tokenizer.eos_token_id
        return min(self._end_ids) if own is None else own

    def _prompt(self, messages: Conversation) -> _Ready:
        hidden = self._hide(messages)
        text = self._text(hidden, self._template.render(hidden.turns, ask=True), any(hidden.spelt))
        return _Ready(text, text)

    def _whole(self, messages: Conversation) -> _Ready:
        hidden = self._hide(messages)
        text = self._text(hidden, self._template.render(hidden.turns), any(hidden.spelt))
        return _Ready(text, text)

    def _answered(self, pair: tuple[Conversation, str]) -> _Ready:
        messages, answer = pair
        hidden = self._hide([*messages, Message(role="assistant", content=answer)])
        *turns, last = hidden.turns
        return self._followed(hidden, render_answer(self._template, turns, last["content"], self._ends))

    def _continued(self, pair: tuple[Conversation, str]) -> _Ready:
        messages, text = pair
        hidden = self._hide([*messages, Message(role="assistant", content=text)])
        *turns, last = hidden.turns
        prompt = self._template.render(turns, ask=True)
        # `ended`: nothing is added to the text, an end token neither.
        return self._followed(hidden, Rendered(prompt, last["content"], ended=True))

    def _followed(self, hidden: HiddenConversation, rendered: Rendered) -> _Ready:
        # Where only the answer spells a control token, the prompt is tokenized as for generation.
        prompt = self._text(hidden, rendered.prompt, any(hidden.spelt[:-1]))
        both = self._text(hidden, rendered.prompt + rendered.completion, any(hidden.spelt))
        place = len(self._text(hidden, rendered.prompt, any(hidden.spelt)).text)
        roles = tuple(turn["role"] for turn in hidden.turns)
        return _Ready(prompt, both, roles, place, rendered)

    def _hide(self, messages: Conversation) -> HiddenConversation:
        """The conversation with its control text hidden. Raises RefusedError where it cannot be encoded."""
        turns = [message.model_dump() for message in messages]
        try:
            hidden = HiddenConversation(self._controls, messages)
        except ValueError as error:
            raise self._template.refused(turns, turns[-1]["role"], str(error), TOKENIZER) from error
        if any(hidden.spelt) and not self._texts.gives_offsets:
            reason = "its text spells a control token, which only a fast tokenizer (tokenizer.json) can encode as text"
            raise self._template.refused(turns, turns[hidden.spelt.index(True)]["role"], reason, TOKENIZER)
        return hidden

    def _text(self, hidden: HiddenConversation, rendered: str, guarded: bool) -> Text:
        return hidden.guarded(rendered, self._texts.guard) if guarded else hidden.shown(rendered)
