"""The model and the rows that everyone trains on, made from a seed: one token for each letter."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.scale import Scale
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import KtoRow, Message, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from demo.make_tokenizer import save_tokenizer

SELECTED = Product("select", 1, "selection/1")
SIGMA = 0.7


class MadeUpRows(Settings):
    """Settings of the step whose output is made up here."""

    rows: int


def save_model(folder: Path, scale: Scale) -> Path:
    """A Qwen2 with random weights in the precision of the training, and the demo's byte-level tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(**scale.shape, bos_token_id=None, eos_token_id=4, pad_token_id=0)
    dtype = torch.bfloat16 if scale.precision == "bf16" else torch.float32
    Qwen2ForCausalLM(config).to(dtype).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def write_rows(root: str, scale: Scale) -> Manifest:
    """A select output with SFT rows of one length, and KTO rows of log-normal lengths of which half are desirable."""
    output = Output(Library(root), SELECTED, MadeUpRows(rows=scale.batch * scale.steps), {})
    sft, kto = RowWriter(output, "sft"), RowWriter(output, "kto")
    draw = np.random.default_rng(0)
    for number in range(scale.batch * scale.steps):
        prompt = (Message(role="user", content=f"{number:06d}"),)
        same: dict[str, Any] = {"id": str(number), "origin": "teacher", "scores": Scores()}
        sft.add(SftRow(prompt=prompt, completion=_letters(draw, scale.sft_tokens), **same))
        asked, answer = kto_texts(draw, scale)
        kto.add(KtoRow(prompt=(Message(role="user", content=asked),), completion=answer, label=number % 2 == 0, **same))
    sft.close()
    kto.close()
    return output.finish()


def kto_texts(draw: np.random.Generator, scale: Scale) -> tuple[str, str]:
    """A prompt and a completion."""
    drawn = [draw.lognormal(np.log(median), SIGMA) for median in (scale.median / 2, scale.median)]
    limit = scale.longest // 2 - 8
    return _letters(draw, int(np.clip(drawn[0], 4, limit))), _letters(draw, int(np.clip(drawn[1], 4, limit)))


def _letters(draw: np.random.Generator, length: int) -> str:
    return "".join(chr(letter) for letter in draw.integers(ord("a"), ord("z") + 1, length))
