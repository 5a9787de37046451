"""Compiles a model's layers one by one: the embeddings, the head and what surrounds the layers stay as they are."""

import os
import shutil
from typing import Any

from components.shared.errors import SettingsError
from components.shared.log import say
from components.train.engine.deepspeed_config import zero_stage
from components.train.settings import TrainSettings


def compile_layers(model: Any, settings: TrainSettings, task: str) -> int:
    """Compile every decoder layer in place, for any length of rows, if the settings ask for it; returns their number.

    All layers of one kind share their code, so it is compiled once. Names of parameters do not change. ZeRO-3 gathers
    each layer's weights in hooks, which a compiled layer would not call, so it is left as it is.

    Raises:
        SettingsError: this machine has no C++ compiler.
    """
    import torch._dynamo
    from transformers.modeling_layers import GradientCheckpointingLayer

    if not settings.compile:
        return 0
    if zero_stage(settings) == 3:
        say(task, "layers are not compiled: ZeRO stage 3 gathers their weights in hooks")
        return 0
    _require_compiler()
    # Processes on CPUs disable it when they start, so that nothing imports the compiler without need; both are read.
    os.environ["TORCHDYNAMO_DISABLE"] = "0"
    torch._dynamo.config.disable = False
    layers = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    for layer in layers:
        layer.compile(dynamic=True)
    return len(layers)


def _require_compiler() -> None:
    names = [os.environ.get("CXX", "g++"), "clang++"]
    if not any(map(shutil.which, names)):
        raise SettingsError(
            "compile is set, and this machine has no C++ compiler",
            rule="torch.compile builds kernels with a compiler",
            remedy=f"install one of {', '.join(names)} in the image, or leave compile out",
        )
