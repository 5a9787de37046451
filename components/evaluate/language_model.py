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
from components.models.conversation.chat_template import Refusal
from components.models.conversation.encoder import ConversationEncoder, Encoded
from components.models.end_tokens import end_ids_of
from components.models.load_weights import load_causal_model
from components.models.threads import spare_threads
from components.shared.errors import ModelError
from components.shared.log import Progress
from components.shared.rows import Message
from components.shared.thought import opens_thought, with_opening

# What this process has, before a small model was content with one.
THREADS = torch.get_num_threads()

SHOWN_CHARACTERS = 60
"""How much of a question an error shows."""


class LocalModel(HFLM):
    """The harness' own transformers model, that counts what it reads and writes.

    Four things are changed: prompts are tokenized as in every other step (the harness leaves special tokens to the
    tokenizer, which may add some to those of the chat template); where the only stop text is the model's own end of
    turn, `generate` stops by the token's id (the harness decodes every row at every step to look for the text); a reply
    that was truncated in a thought which the prompt had opened says so; and progress goes to Tutelage's log.
    """

    def __init__(self, model: Any, tokenizer: Any, batch: int, name: str = "") -> None:
        super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=batch)
        self._ends = end_ids_of(model)
        self.encoder = ConversationEncoder(self.tokenizer, name, self._ends)
        self.tokens_in = 0
        self.tokens_out = 0
        self.truncated_prompts = 0
        self.control_text_prompts = 0
        self.progress: Progress | None = None
        self._conversations: dict[str, list[Message]] = {}
        self._batch: list[str] = []
        self._truncated: set[str] = set()

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The prompt's text; the conversation behind it is kept for when the text is tokenized.

        Raises:
            ModelError: the chat template refuses it. The harness would leave the system message out, without a word.
        """
        assert add_generation_prompt, "no benchmark begins a reply itself"
        messages = [Message(role=turn["role"], content=turn["content"]) for turn in chat_history]
        rendered = self.encoder.render(messages)
        if isinstance(rendered, Refusal):
            raise refused_question(rendered, messages[-1].content[:SHOWN_CHARACTERS])
        # Two conversations may render to one text, where one of them spells the control tokens of the other.
        while self._conversations.get(rendered, messages) != messages:
            rendered += "\0"
        self._conversations[rendered] = messages
        return rendered

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """The replies, in the order of the requests.

        Where the prompt opens a thought, a truncated reply gets the tag in front, so that it is read as what it is.
        One that ended by itself is an answer, also without a closing tag: a student may have learnt to give none.
        """
        replies: list[str] = super().generate_until(requests, disable_tqdm=True)
        prompts = [request.args[0] for request in requests]
        in_thought = [prompt in self._truncated and opens_thought(prompt.rstrip("\0")) for prompt in prompts]
        self._conversations.clear()
        self._truncated.clear()
        return [with_opening(reply) if cut else reply for reply, cut in zip(replies, in_thought, strict=True)]

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        left_truncate_len: int | None = None,
        **options: Any,
    ) -> list[int]:
        """Ids of a prompt, or of another text; the template has written all special tokens, so none is added."""
        ids = self._encoded(string).prompt
        return ids[-left_truncate_len:] if left_truncate_len else ids

    def tok_batch_encode(
        self,
        strings: list[str],
        padding_side: str = "left",
        left_truncate_len: int | None = None,
        truncation: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask, both (prompts, longest prompt); what is longer than `left_truncate_len` loses its start."""
        self._batch = strings
        encoded = [self._encoded(string) for string in strings]
        rows = [one.prompt for one in encoded]
        self.tokens_in += sum(map(len, rows))
        self.control_text_prompts += sum(one.control_text for one in encoded)
        if left_truncate_len is not None:
            self.truncated_prompts += sum(len(row) > left_truncate_len for row in rows)
            rows = [row[-left_truncate_len:] for row in rows]
        return _padded(rows, int(self.tokenizer.pad_token_id), padding_side)

    def _encoded(self, string: str) -> Encoded:
        messages = self._conversations.get(string)
        if messages is None:
            return Encoded(list(self.tokenizer(string, add_special_tokens=False)["input_ids"]))
        (encoded,) = self.encoder.prompts([messages])
        if isinstance(encoded, Refusal):
            raise refused_question(encoded, messages[-1].content[:SHOWN_CHARACTERS])
        return encoded

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], **generation: Any
    ) -> torch.Tensor:
        by_text = [text for text in stop if text != self.tokenizer.eos_token]
        with torch.inference_mode():
            rows = super()._model_generate(context, max_length=max_length, stop=by_text, **generation)
        if rows.shape[1] >= max_length:
            ends = self._ends | {self.tokenizer.eos_token_id, self.tokenizer.pad_token_id}
            cut = (int(row[-1]) not in ends for row in rows)
            self._truncated |= {prompt for prompt, is_cut in zip(self._batch, cut, strict=True) if is_cut}
        self.tokens_out += int((rows[:, context.shape[1] :] != self.tokenizer.pad_token_id).sum())
        if self.progress is not None:
            self.progress.advance(len(rows))
        return rows


def refused_question(refusal: Refusal, question: str) -> ModelError:
    """The error of a question that a model's chat template refuses: models are compared on the same questions."""
    return ModelError(
        f"question {question!r}: {refusal}",
        rule="every model is asked every question, so a question that one of them cannot be asked cannot be left out",
        remedy="use a model whose chat template takes the benchmark's turns, or set few_shot to 0 to ask without "
        "worked examples",
    )


def _padded(rows: list[list[int]], pad: int, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of shape [rows, longest]."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(len(row))
        ids[number, place] = torch.tensor(row)
        mask[number, place] = 1
    return ids, mask


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
    return LocalModel(model.to(device_of(settings)).eval(), tokenizer, settings.batch, name)


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
