"""How likely a local chat model finds given answers: log-probabilities of completions.

The completion is the answer with what the chat template writes after it, up to the end-of-turn token, so an answer that
stops too early or too late is unlikely too. Prompts longer than the context are truncated from the left, completions
from the right.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from components.models.conversation.chat_template import Refusal
from components.models.forward.example import Example, by_prompt
from components.models.forward.token_budget import best_fit
from components.models.generators.load_model import SMALL_PARAMETERS, context_tokens, load_model
from components.models.generators.local_model import ModelFolder, Precision
from components.models.generators.prompts import load_tokenizer
from components.models.halve_batches import work_in_halves
from components.models.likelihood.completions import Completion, CompletionMaker, Pair
from components.models.not_finite import require_finite
from components.models.reference import local_model
from components.models.stored.end_tokens import end_ids_of
from components.shared.errors import ModelError

if TYPE_CHECKING:
    from components.models.likelihood.row_scorers import TokenScores

Found = TypeVar("Found")

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 2048, 16_384
"""Positions of one forward pass. A CPU is fastest while a batch fits into its caches."""


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
        batch_tokens: positions of one batch; None: by the device.
        reference: of the model, for messages.
    """

    def __init__(
        self, model: Any, tokenizer: Any, context: int, batch_tokens: int | None = None, reference: str = ""
    ) -> None:
        self.model = model
        self.maker = CompletionMaker(tokenizer, context, reference, end_ids_of(model))
        self.rows = RowLikelihood(model, batch_tokens, reference or str(tokenizer.name_or_path))

    @classmethod
    def load(cls, reference: str, batch_tokens: int | None = None, precision: Precision = "auto") -> "LikelihoodModel":
        """Load a model by its reference, onto the GPU where the process sees one.

        Raises:
            ModelError: there is no such model, it cannot be loaded, or it has no chat template.
        """
        folder = local_model(reference)
        tokenizer = load_tokenizer(folder, reference)
        model = load_model(ModelFolder(folder, reference), precision)
        return cls(model, tokenizer, context_tokens(model, tokenizer), batch_tokens, reference)

    @property
    def tokens_in(self) -> int:
        """Positions that the model computed so far, none of them padding."""
        return self.rows.tokens_in

    def log_probabilities(self, pairs: Sequence[Pair], names: Sequence[str] = ()) -> list[LogProbability | Refusal]:
        """One for each pair, in order, or why the chat template refuses it; equal pairs are computed once.

        Args:
            pairs: conversations with the answers to them.
            names: of the pairs' rows, for messages; default: the pairs' numbers.

        Raises:
            ModelError: not even one pair fits into memory, or the tokenizer has no end token.
            NotFiniteError: a log-probability is infinite or NaN.
        """
        distinct: dict[Pair, str] = {}
        for pair, name in zip(pairs, names or map(str, range(len(pairs))), strict=True):
            distinct.setdefault(pair, name)
        made = dict(zip(distinct, self.maker.make(list(distinct)), strict=True))
        found: dict[Pair, LogProbability | Refusal] = {
            pair: one for pair, one in made.items() if isinstance(one, Refusal)
        }
        found |= self._scored({pair: one for pair, one in made.items() if isinstance(one, Completion)}, distinct)
        return [found[pair] for pair in pairs]

    def _scored(self, completions: Mapping[Pair, Completion], names: Mapping[Pair, str]) -> dict[Pair, LogProbability]:
        totals = self.rows.totals([one.row for one in completions.values()], [names[pair] for pair in completions])
        return {
            pair: LogProbability(total, len(one.row.completion), one.control_text)
            for (pair, one), total in zip(completions.items(), totals, strict=True)
        }

    def close(self) -> None:
        """Free the model."""
        self.model = None
        self.rows.close()


class RowLikelihood:
    """Log-probabilities of completions that are token ids already, batch by batch.

    Args:
        model: a causal language model of transformers; until `close` it scores and cannot generate.
        batch_tokens: positions of one batch; None: by the device.
        reference: of the model, for messages.
    """

    def __init__(self, model: Any, batch_tokens: int | None = None, reference: str = "") -> None:
        from components.models.likelihood.row_scorers import open_scorer

        self._is_small_on_cpu = model.device.type == "cpu" and model.num_parameters() < SMALL_PARAMETERS
        suitable = CPU_BATCH_TOKENS if model.device.type == "cpu" else GPU_BATCH_TOKENS
        self.batch_tokens = suitable if batch_tokens is None else batch_tokens
        self._reference = reference
        with self._suitable_threads():
            self._scorer = open_scorer(model, reference)

    @property
    def tokens_in(self) -> int:
        """Positions that the model computed so far, none of them padding."""
        return self._scorer.positions

    def totals(self, rows: Sequence[Example], names: Sequence[str] = ()) -> list[float]:
        """The sum of the log-probs of each row's completion, in nats.

        Args:
            rows: prompts with completions.
            names: of the rows, for messages; default: their numbers.

        Raises:
            InputError: a row lacks a prompt or a completion.
            ModelError: not even one row fits into memory.
            NotFiniteError: a sum is infinite or NaN.
        """
        totals = self._scored(rows, self._scorer.totals)
        require_finite(self._reference, "log-probabilities", totals, names)
        return totals

    def tokens(self, rows: Sequence[Example], names: Sequence[str] = ()) -> "list[TokenScores]":
        """The log-prob and the rank of each token of each row's completion. Arguments and errors as of `totals`."""
        found = self._scored(rows, self._scorer.tokens)
        require_finite(self._reference, "log-probabilities", [sum(scores.log_probs) for scores in found], names)
        return found

    def close(self) -> None:
        """Leave the model as it was, and release it."""
        import torch

        self._scorer.release()
        del self._scorer
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _scored(self, rows: Sequence[Example], score: Callable[[Sequence[Example]], list[Found]]) -> list[Found]:
        """The scores of each row, in order; computed batch by batch."""
        found: dict[int, Found] = {}
        with self._suitable_threads():
            for batch in divide_rows(rows, self.batch_tokens):
                found |= zip(batch, work_in_halves([rows[number] for number in batch], score, _too_large), strict=True)
        return [found[number] for number in range(len(rows))]

    @contextmanager
    def _suitable_threads(self) -> Iterator[None]:
        """One thread for a small model on the CPU; the process's setting is restored."""
        import torch

        before = torch.get_num_threads()
        if self._is_small_on_cpu:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _too_large(row: Example) -> ModelError:
    return ModelError(
        f"a conversation of {len(row)} tokens does not fit into memory",
        remedy="use a larger GPU, or a smaller model to score with",
    )


def divide_rows(rows: Sequence[Example], budget: int) -> list[list[int]]:
    """Row numbers of each batch, of at most `budget` positions; what is longer by itself is a batch.

    Rows of one prompt are adjacent in one batch, and their prompt counts once. However long a prompt is, it is computed
    once for so many positions of its completions.
    """
    shared = by_prompt(rows, budget)
    batches = best_fit([positions([rows[number] for number in each]) for each in shared], budget)
    return [[number for place in batch for number in shared[place]] for batch in batches]


def positions(rows: Sequence[Example]) -> int:
    """What a model computes for rows of one prompt: a row's last token predicts nothing."""
    return len(rows[0].prompt) + sum(len(row.completion) - 1 for row in rows)
