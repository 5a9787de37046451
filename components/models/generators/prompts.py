"""Conversations as token ids, by the model's own chat template, truncated to fit its context."""

from array import array
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from components.models.conversation.chat_template import Refusal
from components.models.conversation.encoder import ConversationEncoder, Encoded
from components.models.forward.example import Example
from components.models.generators.generator import ChatRequest, RankRequest, Reply
from components.shared.errors import ModelError, SettingsError
from components.shared.log import say
from components.shared.rows import Message
from components.shared.thought import opens_thought


class Prompt(BaseModel):
    """A request as token ids."""

    model_config = ConfigDict(frozen=True)

    key: str
    ids: tuple[int, ...]


class PromptMaker:
    """Turns requests into prompts for one model.

    Args:
        tokenizer: with a chat template.
        context: most tokens of prompt and answer together.
        reference: of the model, for messages.
        template_options: what the chat template receives besides the messages, such as `enable_thinking`.
        end_ids: ids at which the model's generation stops.
    """

    def __init__(
        self,
        tokenizer: Any,
        context: int,
        reference: str,
        template_options: Mapping[str, Any] | None = None,
        *,
        end_ids: Set[int] = frozenset(),
    ) -> None:
        self.tokenizer, self.context, self.reference = tokenizer, context, reference
        self._encoder = ConversationEncoder(tokenizer, reference, end_ids, template_options)
        self.truncated = self.control_text = 0

    def make(self, requests: list[ChatRequest], max_tokens: int) -> tuple[list[Prompt], list[Reply]]:
        """Prompts of the requests, and error replies for those that the chat template refuses.

        Prompts that leave less than `max_tokens` of the context are truncated from the left, and counted in
        `truncated`. Text that spells a control token is encoded as text, and counted in `control_text`.

        Raises:
            SettingsError: `max_tokens` leaves no room for a prompt.
        """
        room = self._room(max_tokens)
        prompts: list[Prompt] = []
        refused: list[Reply] = []
        for request, one in zip(requests, self._encoded(requests), strict=True):
            if isinstance(one, Refusal):
                refused.append(Reply(key=request.key, text=str(one), finish="error", refused=True))
            else:
                self._note(request.key, one)
                prompts.append(self._truncated(request.key, [*one.prompt, *one.completion], room))
        return prompts, refused

    def continued(self, requests: Sequence[RankRequest]) -> list[list[Example] | Refusal]:
        """A row for each continuation of each request, or why the chat template refuses its conversation.

        What does not fit into the context is truncated from the left, and requests are counted, as in `make`. The last
        token is no input, so it may lie behind the context.

        Raises:
            ModelError: a continuation leaves no room for a prompt.
        """
        pairs = [(request.messages, text) for request in requests for text in request.continuations]
        encoded = iter(self._encoder.continued(pairs))
        return [self._rows(request.key, [next(encoded) for _ in request.continuations]) for request in requests]

    def _encoded(self, requests: Sequence[ChatRequest]) -> list[Encoded | Refusal]:
        """Each prompt, with the beginning of its answer where the request has one."""
        plain = iter(self._encoder.prompts([one.messages for one in requests if not one.opening]))
        begun = iter(self._encoder.continued([(one.messages, one.opening) for one in requests if one.opening]))
        return [next(begun if one.opening else plain) for one in requests]

    def _rows(self, key: str, encoded: Sequence[Encoded | Refusal]) -> list[Example] | Refusal:
        for one in encoded:
            if isinstance(one, Refusal):
                return one
        texts = [one for one in encoded if isinstance(one, Encoded)]
        self._note(key, max(texts, key=lambda one: one.control_text))
        rooms = [self._room_before(one.completion) for one in texts]
        if any(len(one.prompt) > room for one, room in zip(texts, rooms, strict=True)):
            self._note_truncation(min(rooms))
        return [
            Example(array("i", one.prompt[-room:]), array("i", one.completion))
            for one, room in zip(texts, rooms, strict=True)
        ]

    def refusal(self, messages: Sequence[Message]) -> Refusal | None:
        """Why the chat template refuses a conversation; None where it accepts it."""
        rendered = self._encoder.render(messages)
        return rendered if isinstance(rendered, Refusal) else None

    def opens_thought(self, messages: Sequence[Message]) -> bool:
        """Whether the prompt of a conversation ends with a tag that opens a thought."""
        rendered = self._encoder.render(messages)
        return not isinstance(rendered, Refusal) and opens_thought(rendered)

    def _note(self, key: str, encoded: Encoded) -> None:
        if encoded.control_text and self.control_text == 0:
            say("models", f"{self.reference}: the text of row {key!r} spells a control token; it is encoded as text")
        self.control_text += encoded.control_text

    def _room(self, max_tokens: int) -> int:
        room = self.context - max_tokens
        if room < 1:
            raise SettingsError(
                f"max_tokens {max_tokens} leaves no room for a prompt in {self.reference!r}",
                rule=f"prompt and answer share the model's context of {self.context} tokens",
                remedy=f"set max_tokens well below {self.context}",
            )
        return room

    def _room_before(self, continuation: Sequence[int]) -> int:
        """The last token of a continuation is predicted, not read, so it takes no room."""
        room = self.context - len(continuation) + 1
        if room < 1:
            raise ModelError(
                f"a continuation of {len(continuation)} tokens leaves no room for a prompt in {self.reference!r}",
                rule=f"prompt and continuation share the model's context of {self.context} tokens",
                remedy="use a model with a longer context, or leave this question out",
            )
        return room

    def _truncated(self, key: str, ids: list[int], room: int) -> Prompt:
        if len(ids) > room:
            self._note_truncation(room)
        return Prompt(key=key, ids=tuple(ids[-room:]))

    def _note_truncation(self, room: int) -> None:
        if self.truncated == 0:
            say("models", f"{self.reference}: prompts of more than {room} tokens are truncated from the left")
        self.truncated += 1


def load_tokenizer(folder: Path, reference: str, *, allow_remote_code: bool = False) -> Any:
    """The model's tokenizer, padding on the left. Raises ModelError, also where it lacks a chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=allow_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise unloadable(reference, "tokenizer", error) from error
    if not tokenizer.chat_template:
        raise ModelError(
            f"{reference!r} has no chat template",
            rule="conversations become prompts by the model's own chat template",
            remedy="use an instruction-tuned model, or put a chat_template.jinja into the model's folder",
        )
    return tokenizer


def unloadable(reference: str, what: str, error: Exception) -> ModelError:
    """The error of a model whose tokenizer or weights cannot be loaded."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"the {what} of {reference!r} cannot be loaded: {first}",
        rule="a causal language model in safetensors that transformers knows without remote code",
        remedy="check that the model's folder is complete, or choose another model",
    )
