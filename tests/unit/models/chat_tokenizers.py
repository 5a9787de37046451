"""Tokenizers built from scratch, and chat templates after those of known model families."""

from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{%- for m in messages -%}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
# Qwen3: a past thought is dropped, a last answer gets an empty one; asked without thinking, the prompt holds it.
QWEN3 = (
    "{%- set ns = namespace(last=-1) -%}"
    "{%- for m in messages -%}{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
    "{%- for m in messages -%}{{- '<|im_start|>' + m.role + '\\n' -}}"
    "{%- if m.role == 'assistant' -%}"
    "{%- set thought = '' -%}{%- set said = m.content -%}"
    "{%- if '</think>' in said -%}"
    "{%- set thought = said.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') -%}"
    "{%- set said = said.split('</think>')[-1].lstrip('\\n') -%}{%- endif -%}"
    "{%- if loop.index0 > ns.last and (loop.last or thought) -%}"
    "{{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + said.lstrip('\\n') -}}"
    "{%- else -%}{{- said -}}{%- endif -%}"
    "{%- else -%}{{- m.content -}}{%- endif -%}{{- '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
R1_OLD = (
    "{{- bos_token -}}{%- for m in messages -%}"
    "{%- if m.role == 'user' -%}{{- '<｜User｜>' + m.content -}}"
    "{%- elif m.role == 'system' -%}{{- m.content -}}"
    "{%- else -%}{%- set said = m.content -%}"
    "{%- if '</think>' in said -%}{%- set said = said.split('</think>')[-1] -%}{%- endif -%}"
    "{{- '<｜Assistant｜>' + said + '<|end_of_sentence|>' -}}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}{%- endif -%}"
)
TEMPLATES = {
    "chatml": CHATML,
    "qwen3": QWEN3,
    "qwen3-no-thinking": QWEN3.replace(
        "assistant\\n' -}}{%- endif", "assistant\\n<think>\\n\\n</think>\\n\\n' -}}{%- endif"
    ),
    "qwen3-thinking": QWEN3.replace("assistant\\n' -}}{%- endif", "assistant\\n<think>\\n' -}}{%- endif"),
    "r1-old": R1_OLD,
    "r1": R1_OLD.replace("'<｜Assistant｜>' -}}{%- endif", "'<｜Assistant｜><think>\\n' -}}{%- endif"),
    # Asks with an empty thought that it renders in no answer.
    "empty-thought": R1_OLD.replace(
        "'<｜Assistant｜>' -}}{%- endif", "'<｜Assistant｜><think>\\n\\n</think>\\n\\n' -}}{%- endif"
    ),
    "trimming": CHATML.replace("m.content", "m.content | trim"),
    "trimming-r1": R1_OLD.replace("+ said", "+ said.strip()").replace(
        "'<｜Assistant｜>' -}}{%- endif", "'<｜Assistant｜><think>\\n' -}}{%- endif"
    ),
    "plain": (
        "{%- for m in messages -%}{{- m.role + ':' + m.content + '\\n' -}}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- 'assistant:' -}}{%- endif -%}"
    ),
    "spaced": (
        "{%- for m in messages -%}{{- m.role + ': ' + m.content + '</s>' -}}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- 'assistant: ' -}}{%- endif -%}"
    ),
    "marked": (
        "{%- for m in messages -%}{{- m.role + ':' + m.content + '</s>' -}}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- 'assistant:' -}}{%- endif -%}"
    ),
    "no-system": (
        "{%- if messages[0].role == 'system' -%}{{- raise_exception('System role not supported') -}}{%- endif -%}"
        + CHATML
    ),
}
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|end_of_sentence|>", "<s>", "</s>")
NOT_FLAGGED = ("<think>", "</think>", "<｜User｜>", "<｜Assistant｜>")
ENDS = {
    "r1": "<|end_of_sentence|>",
    "empty": "<|end_of_sentence|>",
    "spaced": "</s>",
    "marked": "</s>",
    "plain": "</s>",
}
WORDS = ("hello", "world", "the", "answer", "is", "a", "an", "yes", "no", "four")
WORDS += ("user", "assistant", "system", "Be", "brief", "What", "Hi")


def byte_level(prefix_space: bool = False, use_regex: bool = True) -> Tokenizer:
    """Bytes, and merges of common words with and without a space before them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: place for place, letter in enumerate(letters)}
    merges: list[tuple[str, str]] = []
    for word in (*WORDS, *(f"Ġ{word}" for word in WORDS), "ĊĊ", "ĠĠ"):
        for end in range(1, len(word)):
            pair = (word[:end], word[end])
            if pair not in merges:
                merges.append(pair)
                vocabulary.setdefault(word[: end + 1], len(vocabulary))
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space, use_regex=use_regex)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=True)
    return made


def sentencepiece(scheme: str) -> Tokenizer:
    """A Unigram model after SentencePiece's, with the control tokens in its vocabulary."""
    letters = [chr(code) for code in range(33, 127)] + ["▁", "\n", "｜", "é", "你"]
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    pieces += [(word, -2.0) for word in (*WORDS, *(f"▁{word}" for word in WORDS))]
    pieces += [(letter, -8.0) for letter in letters if letter not in dict(pieces)]
    made = Tokenizer(models.Unigram(pieces, unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return made


def legacy_llama() -> Tokenizer:
    """BPE with the normalizer of Llama 2: a space before each text, and spaces as `▁`."""
    made = sentencepiece("never")
    made.pre_tokenizer = None
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return made


MAKERS = {
    "bytes": byte_level,
    "bytes-prefix-space": lambda: byte_level(prefix_space=True),
    "bytes-no-regex": lambda: byte_level(use_regex=False),
    "metaspace-first": lambda: sentencepiece("first"),
    "metaspace-always": lambda: sentencepiece("always"),
    "metaspace-never": lambda: sentencepiece("never"),
    "legacy-llama": legacy_llama,
}


def adding(made: Tokenizer, single: str) -> Tokenizer:
    """With a post-processor that adds a token before or after each text."""
    names = [name for name in ("<s>", "</s>") if name in single]
    tokens = [(name, made.token_to_id(name)) for name in names]
    made.post_processor = processors.TemplateProcessing(single=single, pair="$A $B", special_tokens=tokens)
    return made


def chat_tokenizer(kind: str = "bytes", template: str = "chatml", adds: str = "", **options: Any) -> Any:
    """A tokenizer of transformers: how it makes tokens, how it renders chats, and what it adds to each text."""
    made = MAKERS[kind]()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    made.add_tokens([AddedToken(token, special=False, normalized=False) for token in NOT_FLAGGED])
    if adds:
        adding(made, adds)
    end = next((end for name, end in ENDS.items() if name in template), "<|im_end|>")
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        **{"bos_token": "<s>", "eos_token": end, "pad_token": "<s>", **options},
        chat_template=TEMPLATES[template],
    )
