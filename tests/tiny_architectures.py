"""Models of a few thousand random weights whose files hold more than trained parameters, or under other names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from demo.make_tokenizer import save_tokenizer
from tests.tiny_model import SHAPE

TEXT: dict[str, Any] = SHAPE | {"num_key_value_heads": 2, "head_dim": 16}
TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
WINDOWED = ["sliding_attention", "full_attention"]


def gemma4() -> Any:
    """Each layer has a persistent buffer, `layer_scalar`, which its output is multiplied with."""
    config = transformers.Gemma4TextConfig(
        **TEXT, layer_types=WINDOWED, hidden_size_per_layer_input=8, vocab_size_per_layer_input=261, global_head_dim=16
    )
    model = transformers.Gemma4ForCausalLM(config)
    for number, layer in enumerate(model.model.layers):
        layer.layer_scalar.fill_(0.5 + number)
    return model


def glm4_moe() -> Any:
    """The router has a persistent buffer, and experts are stored one by one but loaded as one tensor."""
    config = transformers.Glm4MoeConfig(
        **TEXT,
        moe_intermediate_size=16,
        n_routed_experts=4,
        num_experts_per_tok=2,
        first_k_dense_replace=1,
        n_shared_experts=1,
        n_group=1,
        topk_group=1,
    )
    model = transformers.Glm4MoeForCausalLM(config)
    model.model.layers[1].mlp.gate.e_score_correction_bias.copy_(torch.tensor([0.3, -0.2, 0.1, 0.7]))
    return model


def mixtral() -> Any:
    """Stored under the names of its first code: block_sparse_moe, w1, w2, w3."""
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**TEXT, num_local_experts=4))


def gemma3_vision() -> Any:
    """A vision-language model that is loaded with its vision tower, under other names than it is stored."""
    config = transformers.Gemma3Config(
        text_config=TEXT | {"layer_types": WINDOWED},
        vision_config=TOWER | {"model_type": "siglip_vision_model"},
        mm_tokens_per_image=4,
        image_token_index=250,
    )
    return transformers.Gemma3ForConditionalGeneration(config)


def qwen3_5_vision() -> Any:
    """A vision-language model of which only the language model is loaded."""
    config = transformers.Qwen3_5Config(
        text_config=TEXT
        | {"layer_types": ["linear_attention", "full_attention"]}
        | {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
        | {"linear_key_head_dim": 16, "linear_value_head_dim": 16},
        vision_config={"depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 14}
        | {"out_hidden_size": 32},
    )
    return transformers.Qwen3_5ForConditionalGeneration(config)


def gpt2() -> Any:
    """64 learned positions; layers of Conv1D."""
    config = transformers.GPT2Config(
        vocab_size=261, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=None, eos_token_id=4
    )
    return transformers.GPT2LMHeadModel(config)


def opt() -> Any:
    """64 learned positions, in a table of 66 rows."""
    config = transformers.OPTConfig(
        vocab_size=261,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=4,
    )
    return transformers.OPTForCausalLM(config)


ARCHITECTURES: dict[str, Callable[[], Any]] = {
    make.__name__: make for make in (gemma4, glm4_moe, mixtral, gemma3_vision, qwen3_5_vision, gpt2, opt)
}


def save_architecture(name: str, folder: Path) -> Path:
    """Save a model of that kind with the demo's tokenizer; the same name gives the same weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.no_grad():
        ARCHITECTURES[name]().save_pretrained(folder)
    save_tokenizer(folder)
    return folder
