"""Make the demo's tokenizer: 256 bytes and five special tokens, not trained; any UTF-8 text can be encoded."""

# ruff: noqa: TID253  # a program of its own: nothing imports it to compile a pipeline
from pathlib import Path
from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, SYSTEM, USER, ASSISTANT, END = SPECIAL = ("<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
CONTEXT_TOKENS: Final = 2048

CHAT_TEMPLATE: Final = """\
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
{{- '<|assistant|>' -}}
{%- generation -%}
{{- message['content'] + '<|end|>' -}}
{%- endgeneration -%}
{%- elif message['role'] in ['system', 'user'] -%}
{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}
{%- else -%}
{{- raise_exception('role ' + message['role'] + ' is none of system, user, assistant') -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|>' -}}
{%- endif -%}
"""


def byte_characters() -> list[str]:
    """The 256 printable characters that represent the bytes in a byte-level tokenizer, in a fixed order."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def byte_tokenizer() -> Tokenizer:
    """A byte-pair tokenizer without merges: one token for each byte. Ids 0 to 4 are the special tokens."""
    vocabulary = {token: index for index, token in enumerate((*SPECIAL, *byte_characters()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return tokenizer


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer that teacher and student share, with its chat template. `<|end|>` ends every message."""
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(),
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT_TOKENS,
        padding_side="left",
    )


def save_tokenizer(folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja to `folder`, which is created if missing."""
    make_tokenizer().save_pretrained(str(folder))
