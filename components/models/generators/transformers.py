"""The backend `transformers`: a model in this process, any causal language model of transformers, on the CPU or a GPU.

Prompts of similar length share a batch. A sampled answer depends on its request's key and the seed, not on the batch
it was in (floating-point differences between batches aside).
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from components.models.generators.finite_logits import FiniteLogits
from components.models.generators.generator import (
    Ability,
    ChatRequest,
    GeneratorSettings,
    Ranking,
    RankRequest,
    Reply,
    Sampling,
    Usage,
)
from components.models.generators.load_model import answer_ends, context_tokens, load_model, spare_threads
from components.models.generators.local_model import ModelFolder, Precision
from components.models.generators.prompts import Prompt, PromptMaker, load_tokenizer
from components.models.generators.read_tokens import begins_in_thought, decode_answers, hidden_ids
from components.models.generators.settle_reply import Written, settle_reply
from components.models.generators.stop_texts import StopTexts
from components.models.halve_batches import work_in_halves
from components.models.likelihood.rank import rank
from components.models.not_finite import not_finite
from components.models.reference import local_model
from components.models.stored.end_tokens import end_ids_of
from components.shared.errors import ModelError
from components.shared.outputs.digest import seed_of

if TYPE_CHECKING:
    import torch

LOOK_AHEAD_BATCHES = 64


class TransformersSettings(GeneratorSettings):
    """A model in safetensors, run by transformers in this process."""

    not_in_cache_key: ClassVar[frozenset[str]] = GeneratorSettings.not_in_cache_key | {"batch", "device"}
    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"precision"})
    abilities: ClassVar[frozenset[Ability]] = GeneratorSettings.abilities | {
        Ability.CONTINUES,
        Ability.LOG_PROBABILITIES,
    }

    backend: Literal["transformers"] = Field("transformers", description="what runs the model")
    batch: int = Field(64, ge=1, description="prompts in one batch")
    precision: Precision = Field("auto", description="type of weights and activations; auto: that of the model's files")
    device: str = Field("auto", description="torch device such as cpu or cuda:0; auto: a GPU if there is one")

    def open(self) -> "TransformersGenerator":
        """Load the model. Raises ModelError."""
        return TransformersGenerator.open(self)

    def open_folder(self, model: ModelFolder) -> "TransformersGenerator":
        """Load a model from a folder. Raises ModelError."""
        return TransformersGenerator.open(self, model)


class TransformersGenerator:
    """A chat model and its tokenizer, loaded from safetensors without any remote code."""

    def __init__(
        self, model: Any, tokenizer: Any, reference: str, batch: int, template_options: Mapping[str, Any] | None = None
    ) -> None:
        self.model, self.tokenizer, self.reference, self.batch = model, tokenizer, reference, batch
        self.prompts = PromptMaker(
            tokenizer, context_tokens(model, tokenizer), reference, template_options, end_ids=end_ids_of(model)
        )
        self.end_ids = answer_ends(model, tokenizer)
        self.hidden_ids = hidden_ids(tokenizer) | frozenset(self.end_ids)
        self.pad_id: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_ids[0]
        self._usage = Usage(slots=batch)

    @classmethod
    def open(cls, settings: TransformersSettings, model: ModelFolder | None = None) -> "TransformersGenerator":
        """Load a model; without one, that which the settings name.

        Raises:
            ModelError: there is no such model, it cannot be loaded, or it has no chat template.
        """
        files = model or ModelFolder(local_model(settings.model), settings.model)
        tokenizer = load_tokenizer(files.path, files.reference, allow_remote_code=files.allow_remote_code)
        loaded = load_model(files, settings.precision, settings.device)
        spare_threads(loaded)
        return cls(loaded, tokenizer, files.reference, settings.batch, settings.template_options)

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        """Answer all requests, batch by batch; within a bounded look-ahead, the shortest prompts come first.

        Raises:
            SettingsError: `max_tokens` leaves no room for a prompt.
            ModelError: not even one prompt fits into memory.
            NotFiniteError: logits of an answer are infinite or NaN.
        """
        waiting = iter(requests)
        while ahead := list(itertools.islice(waiting, self.batch * LOOK_AHEAD_BATCHES)):
            prompts, refused = self.prompts.make(ahead, sampling.max_tokens)
            self._usage = self._usage.after(refused)
            yield from refused
            prompts.sort(key=lambda prompt: len(prompt.ids))
            for start in range(0, len(prompts), self.batch):
                yield from self._timed(prompts[start : start + self.batch], sampling)

    def rank(self, requests: Iterable[RankRequest]) -> Iterator[Ranking]:
        """Log-likelihoods of the continuations of each request, in order.

        Raises:
            InputError: a continuation is empty.
            ModelError: a continuation leaves no room for a prompt, or a row does not fit into memory.
            NotFiniteError: a log-likelihood is infinite or NaN.
        """
        return rank(self.model, self.prompts, requests)

    def usage(self) -> Usage:
        """What was asked and answered; a row of a batch is in use until its answer ends."""
        counted = {"truncated": self.prompts.truncated, "control_text": self.prompts.control_text}
        return self._usage.model_copy(update=counted)

    def close(self) -> None:
        """Free the model."""
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
        """The answers of one batch; a batch that does not fit into GPU memory is halved."""
        answers = work_in_halves(prompts, lambda fewer: self._generate(fewer, sampling), self._too_large)
        texts = decode_answers(self.tokenizer, answers, self.hidden_ids)
        return [self._reply(*item, sampling) for item in zip(prompts, answers, texts, strict=True)]

    def _too_large(self, prompt: Prompt) -> ModelError:
        return ModelError(
            f"{self.reference!r} does not fit a prompt of {len(prompt.ids)} tokens into memory",
            remedy="lower max_tokens, or use a larger GPU",
        )

    def _generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[int]]:
        """New token ids of each prompt, up to and with the first end token. Raises NotFiniteError."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        width = max(len(prompt.ids) for prompt in prompts)
        ids = torch.full((len(prompts), width), self.pad_id)
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt.ids) :] = torch.tensor(prompt.ids)
            mask[row, width - len(prompt.ids) :] = 1
        config = GenerationConfig(
            max_new_tokens=sampling.max_tokens, do_sample=False, pad_token_id=self.pad_id, eos_token_id=self.end_ids
        )
        finite = FiniteLogits(len(prompts), width, self.model.device)
        sampler = [Sampler([p.key for p in prompts], sampling, width)] if sampling.temperature > 0 else []
        stop = StopTexts(self.tokenizer, sampling.stop, self.hidden_ids, width)
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=ids.to(self.model.device),
                attention_mask=mask.to(self.model.device),
                generation_config=config,
                logits_processor=LogitsProcessorList([finite, *sampler]),
                stopping_criteria=StoppingCriteriaList([finite.ended, *([stop] if sampling.stop else [])]),
            )
        rows = output[:, width:].tolist()
        answers = [self._until_end(row[: stop.lengths.get(number)]) for number, row in enumerate(rows)]
        self._require_finite(prompts, answers, finite.faults())
        return answers

    def _require_finite(self, prompts: Sequence[Prompt], answers: list[list[int]], faults: list[int]) -> None:
        """Raises NotFiniteError; what is computed behind an answer's end does not matter."""
        for prompt, answer, fault in zip(prompts, answers, faults, strict=True):
            if 0 < fault <= len(answer):
                raise not_finite(self.reference, f"logits for token {fault} of its answer to {prompt.key!r}")

    def _until_end(self, ids: list[int]) -> list[int]:
        for position, token in enumerate(ids):
            if token in self.end_ids:
                return ids[: position + 1]
        return ids

    def _reply(self, prompt: Prompt, answer: list[int], text: str, sampling: Sampling) -> Reply:
        written = Written(
            text=text,
            truncated=not answer or answer[-1] not in self.end_ids,
            opened=begins_in_thought(self.tokenizer, prompt),
            generated=True,
            tokens_in=len(prompt.ids),
            tokens_out=len(answer),
        )
        return settle_reply(prompt.key, written, stop=sampling.stop, may_be_empty=True)


class Sampler:
    """Samples each row's token with that row's own random numbers, and leaves only it for the arg max.

    By inversion: the tokens of the nucleus in descending probability, their cumulative sum, one uniform number a step.
    """

    def __init__(self, keys: list[str], sampling: Sampling, prompt_width: int) -> None:
        import torch

        rows = [_uniforms(key, sampling) for key in keys]
        self.uniforms = torch.stack(rows)
        self.temperature, self.top_p, self.prompt_width = sampling.temperature, sampling.top_p, prompt_width

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        """Scores of shape [rows, vocabulary] that are 0 for the sampled token and -inf for all others."""
        import torch

        step = input_ids.shape[1] - self.prompt_width
        probabilities = torch.softmax(scores.float() / self.temperature, dim=-1)
        ordered = _descending(probabilities)
        before = ordered.cumsum(dim=-1) - ordered
        sums = ordered.masked_fill(before >= self.top_p, 0.0).cumsum(dim=-1)
        aim = self.uniforms[:, step : step + 1].to(scores.device) * sums[:, -1:]
        ranks = torch.searchsorted(sums, aim, right=True).clamp(max=sums.shape[1] - 1)
        drawn = _tokens_at(ranks, ordered, probabilities)
        return torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)


def _descending(probabilities: "torch.Tensor") -> "torch.Tensor":
    """The values of each row in descending order, without their places.

    On processors NumPy sorts values alone many times as fast as torch sorts values with their places: 2.6 ms and 43 ms
    for 16 rows of 49,152 on one core.
    """
    import numpy
    import torch

    if probabilities.device.type != "cpu":
        return probabilities.sort(dim=-1, descending=True).values
    return torch.from_numpy(numpy.sort(probabilities.numpy(), axis=-1)).flip(-1)


def _tokens_at(ranks: "torch.Tensor", ordered: "torch.Tensor", probabilities: "torch.Tensor") -> "torch.Tensor":
    """The token at one rank of each row, as torch's sort orders them: it decides between equally likely tokens."""
    alike = probabilities == ordered.gather(1, ranks)
    tokens = alike.byte().argmax(dim=1, keepdim=True)
    for row in (alike.sum(dim=1) != 1).nonzero()[:, 0].tolist():
        tokens[row] = probabilities[row].sort(descending=True).indices[ranks[row]]
    return tokens


def _uniforms(key: str, sampling: Sampling) -> "torch.Tensor":
    """Uniform numbers in [0, 1) for every step of one answer."""
    import torch

    seed = seed_of(f"{sampling.seed}:{key}") >> 1
    return torch.rand(sampling.max_tokens, generator=torch.Generator().manual_seed(seed))
