"""Draws rollouts with transformers, and reads them as the probe reads its own.

A rollout depends on the weights, the seed and its key, not on the rows it shares a batch with, nor on the rank that
draws it (floating-point differences between batches aside). So nothing of it is in a checkpoint.
"""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from components.models.generators.generator import Sampling
from components.models.generators.prompts import Prompt
from components.models.generators.read_reply import read_reply
from components.models.generators.read_tokens import begins_in_thought, decode_answers, hidden_ids
from components.models.generators.settle_reply import Written, needs_more_tokens, settle_reply
from components.models.generators.transformers import Sampler


@dataclass(frozen=True)
class ReadRollout:
    """What a model wrote, as checks read it. `text` is None where it gave no answer that could be read."""

    text: str | None
    truncated: bool


class RolloutReader:
    """Reads token ids as answers.

    Args:
        tokenizer: of the model.
        end_ids: ids that end an answer.
    """

    def __init__(self, tokenizer: Any, end_ids: Sequence[int]) -> None:
        self._tokenizer, self._end_ids = tokenizer, frozenset(end_ids)
        self._hidden = hidden_ids(tokenizer) | self._end_ids

    def read(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> list[ReadRollout]:
        """Each answer after its prompt."""
        texts = decode_answers(self._tokenizer, answers, self._hidden)
        return [self._one(*each) for each in zip(prompts, answers, texts, strict=True)]

    def _one(self, prompt: Sequence[int], answer: Sequence[int], text: str) -> ReadRollout:
        opened = begins_in_thought(self._tokenizer, Prompt(key="", ids=tuple(prompt)))
        truncated = not answer or answer[-1] not in self._end_ids
        written = Written(text=text, truncated=truncated, opened=opened, generated=True)
        reply = settle_reply("", written, may_be_empty=True)
        return ReadRollout(read_reply(reply, lambda: opened), reply.finish == "length" or needs_more_tokens(reply))


def draw(
    model: Any, prompts: Sequence[Sequence[int]], keys: Sequence[str], sampling: Sampling, config: GenerationConfig
) -> list[list[int]]:
    """New token ids of each prompt, up to and with the first end token.

    Args:
        model: in which generation runs, without gradients.
        prompts: token ids; all of them are one batch, padded on the left.
        keys: of the rollouts, each its own.
        sampling: of all of them, with the seed.
        config: `rollout_config` of the same sampling.
    """
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), int(config.pad_token_id))
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    device = next(model.parameters()).device
    output = model.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        generation_config=config,
        logits_processor=LogitsProcessorList([Sampler(list(keys), sampling, width)]),
    )
    return [_until_end(row, config.eos_token_id) for row in output[:, width:].tolist()]


def rollout_config(sampling: Sampling, pad_id: int, end_ids: Sequence[int]) -> dict[str, Any]:
    """Arguments of the GenerationConfig: the processor samples, so the arg max of what it leaves is taken."""
    return {
        "max_new_tokens": sampling.max_tokens,
        "do_sample": False,
        "pad_token_id": pad_id,
        "eos_token_id": list(end_ids),
        "use_cache": True,
        # A checkpoint's own penalty would change the distribution that the loss compares with.
        "repetition_penalty": 1.0,
        "disable_compile": True,
    }


def _until_end(ids: list[int], end_ids: Sequence[int]) -> list[int]:
    return next((ids[: place + 1] for place, token in enumerate(ids) if token in end_ids), ids)
