"""The model under evaluation, as lm-evaluation-harness drives it."""
# ruff: noqa: TID253 - this module is imported only when a model is about to be run

import logging
from pathlib import Path
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from components.evaluate.settings import EvaluationSettings
from components.models.load_weights import load_causal_model
from components.models.threads import spare_threads
from components.shared.errors import ModelError
from components.shared.log import Progress

# What this process has, before a small model was content with one.
THREADS = torch.get_num_threads()


class LocalModel(HFLM):
    """The harness' own transformers model, that counts what it reads and writes.

    Two things are changed: where the only stop text is the model's own end of turn, `generate` stops by the token's id
    (the harness decodes every row at every step to look for the text); and progress goes to Tutelage's log.
    """

    def __init__(self, model: Any, tokenizer: Any, batch: int) -> None:
        super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=batch)
        self.tokens_in = 0
        self.tokens_out = 0
        self.truncated_prompts = 0
        self.progress: Progress | None = None

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """The replies, in the order of the requests."""
        return super().generate_until(requests, disable_tqdm=True)

    def tok_batch_encode(
        self,
        strings: list[str],
        padding_side: str = "left",
        left_truncate_len: int | None = None,
        truncation: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask, both (prompts, longest prompt); what is longer than `left_truncate_len` loses its start."""
        ids, mask = super().tok_batch_encode(strings, padding_side, None, truncation)
        lengths = mask.sum(dim=1)
        self.tokens_in += int(lengths.sum())
        if left_truncate_len is not None:
            self.truncated_prompts += int((lengths > left_truncate_len).sum())
            ids, mask = ids[:, -left_truncate_len:], mask[:, -left_truncate_len:]
        return ids, mask

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], **generation: Any
    ) -> torch.Tensor:
        by_text = [text for text in stop if text != self.tokenizer.eos_token]
        with torch.inference_mode():
            rows = super()._model_generate(context, max_length=max_length, stop=by_text, **generation)
        self.tokens_out += int((rows[:, context.shape[1] :] != self.tokenizer.pad_token_id).sum())
        if self.progress is not None:
            self.progress.advance(len(rows))
        return rows


def load_model(folder: Path, name: str, settings: EvaluationSettings) -> LocalModel:
    """Load a model and its tokenizer for greedy answers.

    Raises:
        ModelError: it cannot be loaded, or has no chat template.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    # Both warn about prompts that are too long, which are counted here, and of a model that is handed over loaded.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    torch.manual_seed(settings.seed)
    common = {"local_files_only": True, "trust_remote_code": settings.allow_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **common)
        _require_template(tokenizer, name, folder)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the tokenizer of model {name!r} in {folder} cannot be loaded: {str(error).splitlines()[0]}",
            remedy="check that the folder holds a whole model with its tokenizer; code of a model's own runs only with "
            "allow_remote_code",
        ) from error
    model = load_causal_model(
        folder,
        name,
        dtype=settings.precision,
        allow_remote_code=settings.allow_remote_code,
        allow_pickled=settings.allow_pickled_weights,
    )
    torch.set_num_threads(THREADS)
    spare_threads(model)
    # A sampling temperature of the model's own would only warn: answers are greedy.
    model.generation_config.update(do_sample=False, temperature=None, top_p=None, top_k=None)
    return LocalModel(model.to(device_of(settings)).eval(), tokenizer, settings.batch)


def device_of(settings: EvaluationSettings) -> str:
    """The torch device that the settings mean."""
    if settings.device != "auto":
        return settings.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _require_template(tokenizer: Any, name: str, folder: Path) -> None:
    if not tokenizer.chat_template:
        raise ModelError(
            f"model {name!r} in {folder} has no chat template",
            rule="questions are asked in a chat, as the trained variants were taught",
            remedy="add chat_template.jinja to the model's folder, or use the instruct version of the model",
        )
