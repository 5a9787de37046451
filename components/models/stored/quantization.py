"""Whether a model's weights are quantised, by its tensors: config.json may be out of date."""

from components.models.stored.stored_model import StoredModel, shown
from components.shared.errors import ModelError

QUANTIZATION = "quantization_config"
PLAIN_TYPES = frozenset({"F64", "F32", "F16", "BF16"})
INTEGER_TYPES = frozenset({"I64", "I32", "I16", "U64", "U32", "U16", "BOOL"})
"""Of positions and masks in plain models; packed weights of these types have names of their own."""

PACKED_SUFFIXES = (
    *(".qweight", ".qzeros", ".g_idx"),  # AWQ, GPTQ
    *(".weight_packed", ".weight_shape"),  # compressed-tensors
    *(".absmax", ".quant_map", ".SCB", ".weight_format"),  # bitsandbytes
    *(".weight_scale", ".weight_scale_inv", ".input_scale"),  # fp8 and int8
    *(".W_q", ":qdata", "._data"),  # HQQ, torchao, quanto
    *(".codebooks", ".codes", ".Qidxs"),  # AQLM, QuIP
)


def quantized_tensors(model: StoredModel) -> list[str]:
    """Names of the tensors that are quantised, or belong to quantised ones."""
    found = []
    # Four-dimensional masks, which old checkpoints store as bytes, are not weights.
    for name, tensor in model.tensors.items():
        odd = tensor.dtype not in PLAIN_TYPES | INTEGER_TYPES and len(tensor.shape) in {2, 3}
        if odd or name.endswith(PACKED_SUFFIXES) or ".weight.absmax" in name or ".weight.quant" in name:
            found.append(name)
    return sorted(found)


def is_plain(model: StoredModel) -> bool:
    """Whether all weights are ordinary floating-point numbers, whatever config.json says."""
    return bool(model.tensors) and not quantized_tensors(model)


def method_of(model: StoredModel) -> str:
    """The method that config.json names, such as awq; empty where it names none."""
    for config in (model.config, model.text_config):
        block = config.get(QUANTIZATION) or config.get("compression_config")
        if isinstance(block, dict):
            bits = [f"{n} bits" for n, key in ((4, "load_in_4bit"), (8, "load_in_8bit")) if block.get(key)]
            return " ".join([str(block.get("quant_method", "unnamed method")), *bits])
    return ""


def require_plain(model: StoredModel, purpose: str) -> None:
    """Refuse quantised weights. Raises ModelError.

    Args:
        model: whose tensors' types and names are looked at.
        purpose: what would be done with it, such as training.
    """
    found, method = quantized_tensors(model), method_of(model)
    if not found and (is_plain(model) or not method):
        return
    tensors = f": {shown(found)}" if found else ""
    raise ModelError(
        f"{model.reference!r} is quantised ({method or 'by its tensors'}){tensors}",
        rule=f"{purpose} needs plain weights, in float32, bfloat16 or float16",
        remedy="use the model that was quantised (its card names it), or dequantise it first (transformers: "
        "from_pretrained, dequantize(), save_pretrained)",
    )
