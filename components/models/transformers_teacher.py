"""A teacher in this process: any causal language model of transformers, on the CPU or a GPU.

Prompts of similar length share a batch. A sampled answer depends on its request's key and the seed, not on the batch
it happened to be in (floating-point differences between batches aside).
"""

import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.models.end_tokens import end_ids_of
from components.models.prompts import Prompt, PromptMaker, load_tokenizer, unloadable
from components.models.read_tokens import begins_in_thought, decode_answers, hidden_ids
from components.models.reference import local_model
from components.models.settle_reply import Written, settle_reply
from components.models.teacher import Reply, Request, Sampling, TeacherSettings, Usage
from components.models.threads import spare_threads
from components.shared.errors import ModelError

if TYPE_CHECKING:
    import torch

LOOK_AHEAD_BATCHES = 8
UNKNOWN_CONTEXT = 4096


class TransformersTeacher:
    """A chat model and its tokenizer, loaded from safetensors without any remote code."""

    def __init__(
        self, model: Any, tokenizer: Any, reference: str, batch: int, template_options: Mapping[str, Any] | None = None
    ) -> None:
        self.model, self.tokenizer, self.reference, self.batch = model, tokenizer, reference, batch
        self.prompts = PromptMaker(
            tokenizer, context_tokens(model, tokenizer), reference, template_options, end_ids=end_ids_of(model)
        )
        self.end_ids = _end_ids(model, tokenizer)
        self.hidden_ids = hidden_ids(tokenizer) | frozenset(self.end_ids)
        self.pad_id: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_ids[0]
        self._usage = Usage(slots=batch)

    @classmethod
    def open(cls, settings: TeacherSettings) -> "TransformersTeacher":
        """Load the model that the settings name, onto the GPU if this process sees one.

        Raises:
            ModelError: there is no such model, it cannot be loaded, or it has no chat template.
        """
        folder = local_model(settings.model)
        tokenizer = load_tokenizer(folder, settings.model)
        model = load_model(folder, settings.model)
        spare_threads(model)
        return cls(model, tokenizer, settings.model, settings.batch, settings.template_options)

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Reply]:
        """Answer all requests, batch by batch; within a bounded look-ahead, the shortest prompts come first.

        Raises:
            SettingsError: `max_tokens` leaves no room for a prompt.
            ModelError: not even one prompt fits into memory.
        """
        waiting = iter(requests)
        while ahead := list(itertools.islice(waiting, self.batch * LOOK_AHEAD_BATCHES)):
            prompts, refused = self.prompts.make(ahead, sampling.max_tokens)
            self._usage = self._usage.after(refused)
            yield from refused
            prompts.sort(key=lambda prompt: len(prompt.ids))
            for start in range(0, len(prompts), self.batch):
                yield from self._timed(prompts[start : start + self.batch], sampling)

    def usage(self) -> Usage:
        """What was asked and answered; a row of a batch is busy until its answer ends."""
        counted = {"truncated": self.prompts.truncated, "control_text": self.prompts.control_text}
        return self._usage.model_copy(update=counted)

    def close(self) -> None:
        """Drop the model."""
        import torch

        self.model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _timed(self, prompts: list[Prompt], sampling: Sampling) -> list[Reply]:
        began = time.monotonic()
        replies = self._answer_batch(prompts, sampling)
        seconds = time.monotonic() - began
        tokens = [reply.tokens_out for reply in replies]
        measured = {
            "wall_seconds": self._usage.wall_seconds + seconds,
            "busy_seconds": self._usage.busy_seconds + seconds * sum(tokens) / max(*tokens, 1),
        }
        self._usage = self._usage.after(replies).model_copy(update=measured)
        return replies

    def _answer_batch(self, prompts: list[Prompt], sampling: Sampling) -> list[Reply]:
        """Answers of one batch; a batch that does not fit into the GPU's memory is halved."""
        import torch

        try:
            answers = self._generate(prompts, sampling)
        except torch.OutOfMemoryError as error:
            if len(prompts) == 1:
                raise ModelError(
                    f"{self.reference!r} does not fit a prompt of {len(prompts[0].ids)} tokens into memory",
                    remedy="shorten max_tokens, or use a larger GPU",
                ) from error
            torch.cuda.empty_cache()
            half = len(prompts) // 2
            return [*self._answer_batch(prompts[:half], sampling), *self._answer_batch(prompts[half:], sampling)]
        texts = decode_answers(self.tokenizer, answers, self.hidden_ids)
        return [self._reply(*item) for item in zip(prompts, answers, texts, strict=True)]

    def _generate(self, prompts: list[Prompt], sampling: Sampling) -> list[list[int]]:
        """New token ids of each prompt, up to and with the first end token."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        width = max(len(prompt.ids) for prompt in prompts)
        ids = torch.full((len(prompts), width), self.pad_id)
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt.ids) :] = torch.tensor(prompt.ids)
            mask[row, width - len(prompt.ids) :] = 1
        config = GenerationConfig(
            max_new_tokens=sampling.max_tokens, do_sample=False, pad_token_id=self.pad_id, eos_token_id=self.end_ids
        )
        processors = [Sampler([p.key for p in prompts], sampling, width)] if sampling.temperature > 0 else []
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=ids.to(self.model.device),
                attention_mask=mask.to(self.model.device),
                generation_config=config,
                logits_processor=LogitsProcessorList(processors),
            )
        return [self._until_end(row) for row in output[:, width:].tolist()]

    def _until_end(self, ids: list[int]) -> list[int]:
        for position, token in enumerate(ids):
            if token in self.end_ids:
                return ids[: position + 1]
        return ids

    def _reply(self, prompt: Prompt, answer: list[int], text: str) -> Reply:
        written = Written(
            text=text,
            truncated=not answer or answer[-1] not in self.end_ids,
            opened=begins_in_thought(self.tokenizer, prompt),
            generated=True,
            tokens_in=len(prompt.ids),
            tokens_out=len(answer),
        )
        return settle_reply(prompt.key, written, may_be_empty=True)


class Sampler:
    """Draws each row's token with that row's own random numbers, and leaves only it for the arg max.

    By inversion: the nucleus' tokens in falling order of probability, their cumulative sum, one uniform number a step.
    """

    def __init__(self, keys: list[str], sampling: Sampling, prompt_width: int) -> None:
        import torch

        rows = [_uniforms(key, sampling) for key in keys]
        self.uniforms = torch.stack(rows)
        self.temperature, self.top_p, self.prompt_width = sampling.temperature, sampling.top_p, prompt_width

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        """Scores of shape [rows, vocabulary] that are 0 for the drawn token and -inf for all others."""
        import torch

        step = input_ids.shape[1] - self.prompt_width
        ordered, tokens = torch.softmax(scores.float() / self.temperature, dim=-1).sort(dim=-1, descending=True)
        before = ordered.cumsum(dim=-1) - ordered
        ordered = ordered.masked_fill(before >= self.top_p, 0.0)
        sums = ordered.cumsum(dim=-1)
        aim = self.uniforms[:, step : step + 1].to(scores.device) * sums[:, -1:]
        drawn = tokens.gather(1, torch.searchsorted(sums, aim, right=True).clamp(max=sums.shape[1] - 1))
        return torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)


def _uniforms(key: str, sampling: Sampling) -> "torch.Tensor":
    """Uniform numbers in [0, 1) for every step of one answer."""
    import torch

    seed = int.from_bytes(hashlib.sha256(f"{sampling.seed}:{key}".encode()).digest()[:8], "big") >> 1
    return torch.rand(sampling.max_tokens, generator=torch.Generator().manual_seed(seed))


def load_model(folder: Path, reference: str) -> Any:
    """The model in its checkpoint's number format, ready to answer. Raises ModelError."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise unloadable(reference, "weights", error) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    own = model.generation_config
    # Top-k, penalties and temperatures that a checkpoint suggests would quietly add to the recipe's sampling.
    model.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id
    )
    return model.to(device).eval()


def context_tokens(model: Any, tokenizer: Any) -> int:
    """Most tokens of prompt and answer together."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    # Tokenizers without a limit carry a huge number as theirs.
    limits = [limit for limit in (positions, tokenizer.model_max_length) if limit and limit < 10**9]
    return min(limits) if limits else UNKNOWN_CONTEXT


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the model's own (often the end of a turn) and the tokenizer's."""
    own = model.generation_config.eos_token_id
    found = own if isinstance(own, list) else [own]
    ids = {token for token in (*found, tokenizer.eos_token_id) if token is not None}
    if not ids:
        raise ModelError("the model names no end token", remedy="set eos_token_id in its generation_config.json")
    return sorted(ids)
