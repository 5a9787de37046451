"""Sequence classifiers over conversations, shared by the safety classifier and the reward model."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.models.conversation.chat_template import Refusal
from components.models.conversation.encoder import ConversationEncoder, Encoded
from components.models.reference import local_model
from components.models.stored.load_weights import load_classifier
from components.shared.errors import ModelError
from components.shared.rows import Message

UNKNOWN_CONTEXT = 512


class SequenceClassifier:
    """A classifier and its tokenizer, loaded from safetensors without remote code.

    Args:
        model: a sequence classification model of transformers.
        tokenizer: its tokenizer.
        batch_tokens: tokens of one forward pass, padding included.
        reference: the reference of the model, for messages.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int, reference: str = "") -> None:
        self.model, self.tokenizer, self.batch_tokens = model, tokenizer, batch_tokens
        self.reference = reference or str(tokenizer.name_or_path)
        self.encoder = ConversationEncoder(tokenizer, reference)
        limits = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length]
        # Tokenizers without a limit have a huge number instead.
        self.context = min((limit for limit in limits if limit and limit < 10**9), default=UNKNOWN_CONTEXT)

    @classmethod
    def load(cls, reference: str, batch_tokens: int) -> "SequenceClassifier":
        """Load a model by its reference, onto the GPU if this process sees one. Raises ModelError."""
        import torch
        from transformers import AutoTokenizer

        folder = local_model(reference)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise _unloadable(reference, folder, error) from error
        model = load_classifier(folder, reference)
        if model.config.pad_token_id is None:
            model.config.pad_token_id = tokenizer.pad_token_id or 0
        return cls(model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer, batch_tokens, reference)

    @property
    def labels(self) -> list[str]:
        """The names of the classes, in the order of the logits."""
        return [str(self.model.config.id2label[index]) for index in range(self.model.config.num_labels)]

    def encode(self, conversations: Sequence[Sequence[Message]]) -> list[Encoded | Refusal]:
        """Conversations as token ids: by the chat template, or without one as turns separated by blank lines.

        Text that spells a control token is encoded as text. Long conversations are truncated on the left.
        """
        if self.tokenizer.chat_template:
            return [
                one if isinstance(one, Refusal) else self._truncated(one) for one in self.encoder.whole(conversations)
            ]
        texts = ["\n\n".join(message.content for message in messages) for messages in conversations]
        # Without a template, the tokenizer adds the special tokens around the text; the text itself contains none.
        ids = self.tokenizer(texts, split_special_tokens=True)["input_ids"] if texts else []
        return [self._truncated(Encoded(list(row))) for row in ids]

    def logits(self, conversations: Sequence[Encoded]) -> list[list[float]]:
        """The logits of the classes for each conversation, in the order of the conversations."""
        keys = [tuple(one.prompt) for one in conversations]
        distinct = sorted(dict.fromkeys(keys), key=len)
        found: dict[tuple[int, ...], list[float]] = {}
        for batch in _batches(list(range(len(distinct))), [len(row) for row in distinct], self.batch_tokens):
            for index, row in zip(batch, self._forward([distinct[index] for index in batch]), strict=True):
                found[distinct[index]] = row
        return [found[key] for key in keys]

    def close(self) -> None:
        """Release the model."""
        import torch

        self.model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _truncated(self, encoded: Encoded) -> Encoded:
        return replace(encoded, prompt=encoded.prompt[-self.context :])

    def _forward(self, rows: list[tuple[int, ...]]) -> list[list[float]]:
        import torch

        # Padding on the right: classifiers read the first token, or the last one that is not padding.
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), int(self.model.config.pad_token_id))
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        with torch.inference_mode():
            output = self.model(input_ids=ids.to(self.model.device), attention_mask=mask.to(self.model.device))
        values: list[list[float]] = output.logits.float().tolist()
        return values


def _batches(order: list[int], lengths: list[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices in ascending order of length, grouped so that a padded batch has at most `batch_tokens` tokens."""
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _unloadable(reference: str, folder: Path, error: Exception) -> ModelError:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"the tokenizer of {reference!r} cannot be loaded from {folder}: {first}",
        rule="the tokenizer must be one that transformers includes; a model's own code is not run",
        remedy="check that the model's folder is complete, or choose another model",
    )
