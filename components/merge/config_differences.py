"""Where two configurations differ, by value: the meaning of a field, not its spelling in a version of transformers.

transformers 5 writes `rope_parameters` for what was `rope_theta` and `rope_scaling`, `dtype` for `torch_dtype`, and
defaults that others leave out. Its own classes normalise all of them, so the comparison uses those.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from components.merge.source import MergeSource

# Fields of config.json that change neither what a weight means nor its shape: who wrote the file, training-time
# dropout and initialisation, a quantisation that plain weights do not have, and ids of special tokens (trainers align
# them; the tokenizer's are compared).
UNIMPORTANT = frozenset(
    {
        *("_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache", "use_mrope", "pretraining_tp"),
        *("attention_dropout", "hidden_dropout", "dropout", "initializer_range", "gradient_checkpointing"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "quantization_config"),
        *("attn_implementation", "_attn_implementation", "output_attentions", "output_hidden_states", "return_dict"),
    }
)


def config_differences(first: MergeSource, second: MergeSource) -> Iterator[str]:
    """Fields that differ, as `FIELD: A | B`; those of parts as `PART.FIELD`."""
    ours, theirs = (_flat(_values(source)) for source in (first, second))
    for field in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(field), theirs.get(field)
        if here != there:
            yield f"{field}: {short(here)} | {short(there)}"


def _values(source: MergeSource) -> Mapping[str, Any]:
    """The configuration as transformers' class for it understands it, with its defaults."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)
    values: Mapping[str, Any] = config.to_dict()
    return values


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Fields by their path, without the unimportant ones; fields that are None count as missing."""
    found: dict[str, Any] = {}
    for field, value in values.items():
        if field in UNIMPORTANT or value is None:
            continue
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{field}.")
        else:
            found[f"{prefix}{field}"] = list(value) if isinstance(value, tuple) else value
    return found


def short(value: Any) -> str:
    """A value for a message, shortened."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 100 else text[:99] + "…"
