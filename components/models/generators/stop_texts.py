"""Ends an answer of transformers at a text, wherever its tokens begin and end.

transformers' own StopStringCriteria also sees the prompt: one that ends with a line break, as chat templates do, would
make `\nQ:` end an answer that begins with `Q:`. Here only the answer counts, and only the rows whose newest token can
complete one of the texts are decoded.
"""

from collections.abc import Sequence, Set
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

UNKNOWN_CHARACTER = "\ufffd"
"""What a part of a character is decoded to."""
SLACK_TOKENS = 8
"""A text of n bytes is in at most n tokens; some tokenizers decode the first of a sequence without its space."""


class StopTexts:
    """A stopping criterion of `generate`: one flag a row, set when its answer contains one of the texts.

    Args:
        tokenizer: of the model.
        stop: the texts.
        hidden: tokens that are not part of an answer.
        prompt_width: columns of the prompt.

    Attributes:
        lengths: by row, the tokens of an answer up to where it stopped.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], hidden: Set[int], prompt_width: int) -> None:
        self._tokenizer, self._stop, self._hidden, self._prompt_width = tokenizer, stop, hidden, prompt_width
        self._completing = completing_ids(tokenizer, frozenset(text[-1] for text in stop))
        self._window = max((len(text.encode()) for text in stop), default=0) + SLACK_TOKENS
        self.lengths: dict[int, int] = {}

    def __call__(self, input_ids: "torch.Tensor", scores: Any, **options: Any) -> "torch.Tensor":
        """Flags of shape [rows] for ids of shape [rows, columns]."""
        import torch

        answers = input_ids[:, self._prompt_width :]
        for row, token in enumerate(answers[:, -1].tolist()):
            if row not in self.lengths and token in self._completing and self._is_stopped(answers[row]):
                self.lengths[row] = answers.shape[1]
        return torch.tensor([row in self.lengths for row in range(len(input_ids))], device=input_ids.device)

    def _is_stopped(self, answer: "torch.Tensor") -> bool:
        shown = [token for token in answer[-self._window :].tolist() if token not in self._hidden]
        text = self._tokenizer.decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return any(stop in text for stop in self._stop)


@lru_cache(maxsize=2)
def completing_ids(tokenizer: Any, last: frozenset[str]) -> frozenset[int]:
    """The tokens that may complete a text that ends with one of the characters `last`."""
    ids = range(len(tokenizer))
    if not last or any(character.isspace() for character in last):
        # A token of white space alone may be decoded to nothing.
        return frozenset(ids if last else ())
    texts = tokenizer.batch_decode([[one] for one in ids], clean_up_tokenization_spaces=False)
    return frozenset(one for one, text in zip(ids, texts, strict=True) if UNKNOWN_CHARACTER in text or last & set(text))
