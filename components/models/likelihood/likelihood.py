"""How likely a local chat model finds given answers: log-probabilities of completions, in batches of like length.

The completion is the answer with what the chat template writes after it, up to the end-of-turn token, so an answer that
stops too early or too late is unlikely too. Prompts longer than the context are truncated from the left, completions
from the right.

Answers to one prompt share a single forward pass: they follow it one after the other, each with the position ids that
it would have alone, and an attention mask hides them from one another (as in tree attention, SpecInfer, arXiv
2305.09781). When a model is loaded, a trial shows whether its results are the same; if not, each answer gets a pass.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.models.conversation.chat_template import Refusal
from components.models.generators.local_model import ModelFolder
from components.models.generators.prompts import load_tokenizer
from components.models.likelihood.completions import Branches, Completion, CompletionMaker, Pair, group
from components.models.reference import local_model
from components.models.stored.end_tokens import end_ids_of
from components.shared.errors import ModelError

if TYPE_CHECKING:
    import torch

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 2048, 16_384
"""Tokens of one forward pass. A CPU is fastest while a batch fits into its caches."""

SMALL_PARAMETERS = 20_000_000
"""Models below this run on one CPU thread, since their matrices are too small to split: with two threads a pass of the
demo's teacher (2.3M) took four times the CPU time, and on busy cores five times as long."""

MOST_LOGITS = 1 << 27
"""Logits in memory at once: half a gigabyte in float32. With a large vocabulary, batches are below `batch_tokens`."""

MOST_SHARED_TOKENS = 4096
"""Most tokens of a prompt with all its answers in a shared pass: the mask grows with the square of the length."""

PROBE_NATS, PROBE_ROUNDINGS = 0.01, 64
"""How much a shared pass may differ from single ones, in nats and in units of rounding. A wrong mask differs more."""


@dataclass(frozen=True)
class LogProbability:
    """Of one completion: the sum of ln p(token | prefix) over its tokens, in nats, and the number of tokens.

    With `control_text`, prompt or answer spells a control token, which is encoded as text.
    """

    total: float
    tokens: int
    control_text: bool = False

    @property
    def mean(self) -> float:
        """Per token, in nats; exp(-mean) is the perplexity."""
        return self.total / max(self.tokens, 1)


class LikelihoodModel:
    """A chat model that scores completions.

    Args:
        model: a causal language model of transformers.
        tokenizer: with a chat template.
        context: most tokens of prompt and completion together.
        batch_tokens: tokens of one batch, padding included; None: by the device.
        reference: of the model, for messages.
    """

    def __init__(
        self, model: Any, tokenizer: Any, context: int, batch_tokens: int | None = None, reference: str = ""
    ) -> None:
        self.model = model
        self.maker = CompletionMaker(tokenizer, context, reference, end_ids_of(model))
        suitable = CPU_BATCH_TOKENS if model.device.type == "cpu" else GPU_BATCH_TOKENS
        self.batch_tokens = suitable if batch_tokens is None else batch_tokens
        self._keeps_last = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.tokens_in = 0
        self.shares_prompts = self._can_share_prompts()
        self.tokens_in = 0

    @classmethod
    def load(cls, reference: str, batch_tokens: int | None = None) -> "LikelihoodModel":
        """Load a model by its reference, onto the GPU where the process sees one.

        Raises:
            ModelError: there is no such model, it cannot be loaded, or it has no chat template.
        """
        from components.models.generators.load_model import context_tokens, load_model

        folder = local_model(reference)
        tokenizer = load_tokenizer(folder, reference)
        model = load_model(ModelFolder(folder, reference))
        return cls(model, tokenizer, context_tokens(model, tokenizer), batch_tokens, reference)

    def log_probabilities(self, pairs: Sequence[Pair]) -> list[LogProbability | Refusal]:
        """One for each pair, in order, or why the chat template refuses it; equal pairs are computed once.

        Raises:
            ModelError: not even one pair fits into memory, or the tokenizer has no end token.
        """
        distinct = list(dict.fromkeys(pairs))
        made = dict(zip(distinct, self.maker.make(distinct), strict=True))
        found: dict[Pair, LogProbability | Refusal] = {
            pair: one for pair, one in made.items() if isinstance(one, Refusal)
        }
        found |= self._scored({pair: one for pair, one in made.items() if isinstance(one, Completion)})
        return [found[pair] for pair in pairs]

    def _scored(self, completions: Mapping[Pair, Completion]) -> dict[Pair, LogProbability]:
        distinct, single = list(completions), [one.branches for one in completions.values()]
        longest = MOST_SHARED_TOKENS if self.shares_prompts else 0
        groups = group(single, longest)
        items = [Branches(single[one[0]].prompt, [single[index].completions[0] for index in one]) for one in groups]
        found: dict[Pair, LogProbability] = {}
        with self._suitable_threads():
            for batch in self._batches(items):
                totals = iter(self._totals([items[number] for number in batch]))
                for index in (index for number in batch for index in groups[number]):
                    tokens, control_text = len(single[index].completions[0]), completions[distinct[index]].control_text
                    found[distinct[index]] = LogProbability(next(totals), tokens, control_text)
        return found

    def close(self) -> None:
        """Free the model."""
        import torch

        self.model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @contextmanager
    def _suitable_threads(self) -> Iterator[None]:
        """One thread for a small model on the CPU; the process's setting is restored."""
        import torch

        before = torch.get_num_threads()
        if self.model.device.type == "cpu" and self.model.num_parameters() < SMALL_PARAMETERS:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _can_share_prompts(self) -> bool:
        """Whether a shared pass gives the results of single passes, tried on a few tokens.

        A sliding window shows only in long texts, so models that have one are recognised by their configuration.
        """
        import torch

        config = self.model.config.get_text_config()
        windows = {"sliding_attention", "chunked_attention"} & set(getattr(config, "layer_types", None) or ())
        if windows or config.vocab_size < 10:
            return False
        probe = Branches([5, 6, 7], [[8, 9], [9, 8, 7], [6]])
        try:
            shared, apart = self._forward([probe]), self._forward(probe.apart())
        except (RuntimeError, ValueError, TypeError, IndexError):
            return False
        allowed = PROBE_NATS + PROBE_ROUNDINGS * torch.finfo(self.model.dtype).eps
        return max(abs(one - other) for one, other in zip(shared, apart, strict=True)) < allowed

    def _batches(self, items: list[Branches]) -> Iterator[list[int]]:
        """Indices in ascending order of length, grouped so that tokens and logits stay within their limits."""
        vocabulary = self.model.config.get_text_config().vocab_size
        batch: list[int] = []
        kept = 0
        for index in sorted(range(len(items)), key=lambda index: len(items[index])):
            kept, rows = max(kept, items[index].tail), len(batch) + 1
            too_large = rows * len(items[index]) > self.batch_tokens or rows * kept * vocabulary > MOST_LOGITS
            if batch and too_large:
                yield batch
                batch, kept = [], items[index].tail
            batch.append(index)
        if batch:
            yield batch

    def _totals(self, items: list[Branches]) -> list[float]:
        """Sums of log-probabilities, one for each completion; a batch that does not fit into memory is halved."""
        import torch

        try:
            return self._forward(items)
        except torch.OutOfMemoryError as error:
            if len(items) == 1 and len(items[0].completions) == 1:
                raise ModelError(
                    f"a conversation of {len(items[0])} tokens does not fit into memory",
                    remedy="use a larger GPU, or a smaller model to score with",
                ) from error
            torch.cuda.empty_cache()
            smaller = items if len(items) > 1 else items[0].apart()
            half = len(smaller) // 2
            return [*self._totals(smaller[:half]), *self._totals(smaller[half:])]

    def _forward(self, items: list[Branches]) -> list[float]:
        """One forward pass. Padding is on the left, so that all items end at the last position."""
        import torch

        kept = max(item.tail for item in items)
        ids, positions, branches = self._padded(items)
        self.tokens_in += sum(map(len, items))
        mask = self._mask(branches) if any(len(item.completions) > 1 for item in items) else (branches >= 0).long()
        extra = {"logits_to_keep": kept} if self._keeps_last else {}
        places = _places(items, kept, self.model.device)
        with torch.inference_mode():
            output = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, **extra)
            logits = output.logits[:, -kept:][places.rows, places.columns].float()
            chosen = logits.gather(-1, places.targets.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(dim=-1)
            count = sum(len(item.completions) for item in items)
            sums = torch.zeros(count, dtype=torch.double).index_add(0, places.completions.cpu(), chosen.double().cpu())
        totals: list[float] = sums.tolist()
        return totals

    def _padded(self, items: list[Branches]) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        """Token ids, positions and branches, each of shape [items, longest], on the model's device.

        Branches: -1 is padding, 0 the prompt, then 1, 2, … the completions.
        """
        import torch

        width = max(map(len, items))
        padded = torch.zeros((3, len(items), width), dtype=torch.long)
        padded[2] = -1
        for row, item in enumerate(items):
            start, size = width - len(item), len(item.prompt)
            branch = [0] * size + [n for n, one in enumerate(item.completions, start=1) for _ in one]
            place = [*range(size), *(size + offset for one in item.completions for offset in range(len(one)))]
            tokens = item.prompt + [token for one in item.completions for token in one]
            padded[:, row, start:] = torch.tensor([tokens, place, branch])
        ids, positions, branches = padded.to(self.model.device)
        return ids, positions, branches

    def _mask(self, branches: "torch.Tensor") -> "torch.Tensor":
        """The additive attention mask, of shape [items, 1, longest, longest]: what each position attends to.

        Its prompt and its own completion, up to itself. Padding sees padding: a row that sees nothing is NaN.
        """
        import torch

        seen, by = branches.unsqueeze(1), branches.unsqueeze(2)
        width = branches.shape[1]
        past = torch.ones((width, width), dtype=torch.bool, device=branches.device).tril()
        allowed = past & ((seen == 0) | (seen == by)) & ((seen >= 0) | (by < 0))
        dtype = self.model.dtype
        mask = torch.zeros(allowed.shape, dtype=dtype, device=branches.device)
        return mask.masked_fill(~allowed, torch.finfo(dtype).min).unsqueeze(1)


@dataclass(frozen=True)
class _Places:
    """For every token of every completion: its item, the position of its logits, its id, and its completion."""

    rows: "torch.Tensor"
    columns: "torch.Tensor"
    targets: "torch.Tensor"
    completions: "torch.Tensor"


def _places(items: list[Branches], kept: int, device: "torch.device") -> _Places:
    """Positions within the last `kept`; the first token of a completion is predicted at the end of its prompt."""
    import torch

    table: list[tuple[int, int, int, int]] = []
    number = 0
    for row, item in enumerate(items):
        prompt_end = kept - item.tail
        start = prompt_end + 1
        for completion in item.completions:
            for offset, token in enumerate(completion):
                table.append((row, start + offset - 1 if offset else prompt_end, token, number))
            start += len(completion)
            number += 1
    rows, columns, targets, completions = torch.tensor(table, dtype=torch.long).reshape(-1, 4).T.to(device)
    return _Places(rows, columns, targets, completions)
