"""A tokenizer small enough to read by eye: each byte is a token, and five control tokens have the first ids."""

from typing import Any

import pytest

MARKS = ["<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
TURN = "{{- '<|' + m['role'] + '|>' + m['content'] + '<|end|>' -}}"
ASK = "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
LOOP = "{%- for m in messages -%}"
TEMPLATES = {
    "plain": LOOP + TURN.replace("<|end|>", "<|end|>\n") + "{%- endfor -%}" + ASK,
    "marked": (
        LOOP + "{%- if m['role'] == 'assistant' -%}{{- '<|assistant|>' -}}"
        "{%- generation -%}{{- m['content'] + '<|end|>' -}}{%- endgeneration -%}{%- else -%}"
        + TURN
        + "{%- endif -%}{%- endfor -%}"
        + ASK
    ),
    # Its generation prompt has an empty thought that it does not render in an answer, as with some reasoning models.
    "thinking": LOOP + TURN + "{%- endfor -%}" + ASK.replace("<|assistant|>", "<|assistant|>(no thought)"),
    "endless": LOOP + TURN.replace("<|end|>", "") + "{%- endfor -%}" + ASK,
}


@pytest.fixture
def templates() -> dict[str, str]:
    """Chat templates by what is special about them."""
    return TEMPLATES


@pytest.fixture
def tokenizer() -> Any:
    """A byte-level tokenizer without a template; `<|end|>` is its end token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {name: place for place, name in enumerate([*MARKS, *letters])}
    plain = Tokenizer(models.BPE(vocabulary, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<|pad|>", eos_token="<|end|>")
