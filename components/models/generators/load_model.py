"""A language model of transformers in this process: its weights, its threads, its context and its end tokens."""

from functools import cache
from typing import Any

from components.models.generators.local_model import ModelFolder, Precision
from components.models.stored.load_weights import load_causal_model
from components.shared.errors import ModelError

UNKNOWN_CONTEXT = 4096
SMALL_PARAMETERS = 20_000_000
"""Below this, threads spend more time waiting for each other than computing: with 0.6M parameters on two busy cores,
evaluating 500 questions took 0.7 s of CPU with one thread and 7 s with two. Above it threads pay on a quiet machine:
with 135M parameters, two take 43 % less time than one for prompts, and 9 % less for a step of 16 rows, where they wait
passively (`WAITING` of run_component)."""


def load_model(files: ModelFolder, precision: Precision = "auto", device: str = "auto") -> Any:
    """The model in eval mode. Raises ModelError."""
    import torch
    from transformers import GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = load_causal_model(
        files.path,
        files.reference,
        dtype=precision,
        allow_remote_code=files.allow_remote_code,
        allow_pickled=files.allow_pickled,
    )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    own = model.generation_config
    # A checkpoint's own top-k, penalties and temperature would be added silently to the recipe's sampling.
    model.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id
    )
    return model.to(device).eval()


def context_tokens(model: Any, tokenizer: Any) -> int:
    """Most tokens of prompt and answer together."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    # Tokenizers without a limit state a huge one.
    limits = [limit for limit in (positions, tokenizer.model_max_length) if limit and limit < 10**9]
    return min(limits) if limits else UNKNOWN_CONTEXT


def answer_ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the model's own (often the end of a turn) and the tokenizer's."""
    own = model.generation_config.eos_token_id
    found = own if isinstance(own, list) else [own]
    ids = {token for token in (*found, tokenizer.eos_token_id) if token is not None}
    if not ids:
        raise ModelError("the model lacks an end token", remedy="set eos_token_id in its generation_config.json")
    return sorted(ids)


def spare_threads(model: Any) -> None:
    """Limit a small model to one thread; a larger one gets the process's, also where a small one came before it."""
    import torch

    own = _threads_of_process()
    torch.set_num_threads(1 if model.num_parameters() < SMALL_PARAMETERS else own)


@cache
def _threads_of_process() -> int:
    """The threads of this process, as they were before the first model reduced them."""
    import torch

    return torch.get_num_threads()
