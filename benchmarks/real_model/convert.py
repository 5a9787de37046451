"""From GGUF to safetensors: `python -m benchmarks.real_model.convert FILE FOLDER`, with `gguf` importable.

The weights are dequantised by the package `gguf` and renamed here, which takes seconds; the configuration, the
tokenizer and the chat template are read by transformers. `check` compares with transformers' own reading.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np

ARCHITECTURE = "llama"
QUESTION = "What is the capital of France?"
ANSWER = "Paris"
NEW_TOKENS = 16
TOLERANCE = 1e-3
"""Largest difference of two logits; the weights are equal, and only the order of summation may differ."""

OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
INSIDE = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""llama.cpp's names of a layer's tensors (gguf.constants), and transformers'."""


def convert(source: Path, folder: Path) -> None:
    """Write the model in safetensors, fp32, with its configuration, tokenizer and chat template, and check it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    weights = read_weights(source)
    own = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.model_max_length = own.config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    _save(own.config, own.generation_config, weights, folder)
    check(own, folder)


def read_weights(source: Path) -> dict[str, np.ndarray]:
    """The tensors in fp32, under transformers' names."""
    from gguf import GGUFReader, dequantize  # type: ignore[import-not-found]

    reader = GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    if architecture != ARCHITECTURE:
        raise ValueError(f"{source} is a {architecture!r} model; only {ARCHITECTURE!r} can be converted")
    heads = {
        "attn_q": int(reader.fields["llama.attention.head_count"].contents()),
        "attn_k": int(reader.fields["llama.attention.head_count_kv"].contents()),
    }
    found = {}
    for tensor in reader.tensors:
        values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        found[_name(tensor.name)] = _unpermuted(values, heads.get(tensor.name.split(".")[-2], 0))
    return found


def _name(name: str) -> str:
    """transformers' name of a tensor. Raises KeyError for one that a llama lacks."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if match is None:
        raise KeyError(name)
    return f"model.layers.{match[1]}.{INSIDE[match[2]]}.weight"


def _unpermuted(values: np.ndarray, heads: int) -> np.ndarray:
    """Undo llama.cpp's interleaving of the rotary halves in queries and keys (its convert_hf_to_gguf.py, `permute`)."""
    if not heads:
        return values
    half = values.shape[0] // heads // 2
    return np.ascontiguousarray(values.reshape(heads, half, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape))


def _save(config: Any, generation: Any, weights: dict[str, np.ndarray], folder: Path) -> None:
    from safetensors.numpy import save_file

    # What was read is no longer quantised.
    del config.quantization_config
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    generation.save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def check(own: Any, folder: Path) -> None:
    """Load the folder as a run will, and ask it a question.

    Raises:
        ValueError: logits differ from those of the model as transformers read it, or the answer is not sensible.
    """
    import torch

    from components.models.generators.prompts import load_tokenizer
    from components.models.stored.load_weights import load_causal_model

    model = load_causal_model(folder, str(folder)).eval()
    tokenizer = load_tokenizer(folder, str(folder))
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        difference = float((model(**asked).logits - own(**asked).logits).abs().max())
        answer = model.generate(**asked, max_new_tokens=NEW_TOKENS, do_sample=False)[0, asked["input_ids"].shape[1] :]
    said = tokenizer.decode(answer, skip_special_tokens=True)
    print(f"{QUESTION} {said} (largest difference of a logit: {difference:.1e})")
    if difference > TOLERANCE or ANSWER not in said:
        raise ValueError(f"the converted model differs: by {difference} in a logit, and it answers {said!r}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the GGUF file")
    parser.add_argument("folder", type=Path, help="where the model goes")
    given = parser.parse_args()
    convert(given.source, given.folder)
