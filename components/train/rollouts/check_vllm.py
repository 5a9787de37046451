"""Whether vLLM can draw a training's rollouts: in this process, and at a server of its own."""

import json
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from typing import Any

from components.shared.errors import ServiceError, SettingsError
from components.train.rollouts.settings import VllmRollouts

SERVE = (
    "VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --max-model-len {length} --weight-transfer-config "
    '\'{{"backend": "nccl"}}\' --logprobs-mode processed_logprobs'
)
"""How a server is started, by trl's documentation of its client; MODEL is the one that the training starts from."""
START_SECONDS = 240.0
"""How long a server may take to answer: trl's `vllm_server_timeout`."""
RETRY_SECONDS = 2.0
ANSWER_SECONDS = 30.0


def require_vllm() -> None:
    """Raises SettingsError where vLLM, or the GPU that trl needs for it, is missing."""
    import torch

    missing = [
        what
        for what, there in {
            "the package vllm": find_spec("vllm") is not None,
            # Unlike is_available(), this starts no CUDA in a process that is forked later.
            "a GPU": torch.cuda.device_count() > 0,
        }.items()
        if not there
    ]
    if missing:
        raise SettingsError(
            f"grpo.vllm is set, and this machine lacks {' and '.join(missing)}",
            rule="trl copies the weights of each step to vLLM from GPU to GPU, by vLLM's own code",
            remedy="leave grpo.vllm out, which draws rollouts with transformers, or train on GPUs with vllm installed",
        )


def require_server(vllm: VllmRollouts, max_length: int, wait_seconds: float = START_SECONDS) -> None:
    """Check a server that is to draw rollouts; of vLLM on the training's own GPUs there is none.

    Args:
        vllm: of the training.
        max_length: tokens of prompt and rollout together.
        wait_seconds: how long the server may take to answer.

    Raises:
        ServiceError: it does not answer.
        SettingsError: it was started in a way in which it cannot take weights, returns other log-probs, or has a
            shorter context.
    """
    if vllm.mode != "server":
        return
    how = SERVE.format(length=max_length)
    _wait_for(vllm.server_url, how, wait_seconds)
    if faults := list(_faults(_configuration(vllm.server_url), max_length)):
        raise SettingsError(
            f"the server at grpo.vllm.server_url {vllm.server_url} {' and '.join(faults)}",
            rule="trl sends it the weights of each step, and corrects the loss by the log-probs that it returns",
            remedy=f"start it as {how}",
        )


def _wait_for(url: str, how: str, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            _get(f"{url}/health")
        except (OSError, urllib.error.URLError) as error:
            if time.monotonic() >= deadline:
                raise ServiceError(
                    f"grpo.vllm.server_url {url} does not answer: {error}",
                    remedy=f"start the server, or correct its URL: {how}",
                    temporary=True,
                ) from error
            time.sleep(min(RETRY_SECONDS, max(deadline - time.monotonic(), 0.0)))
        else:
            return


def _configuration(url: str) -> dict[str, Any] | None:
    """The server's VllmConfig; None where it hides it, together with the endpoints that take weights."""
    try:
        found = json.loads(_get(f"{url}/server_info?config_format=json"))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise ServiceError(f"grpo.vllm.server_url {url} answers /server_info with {error}", temporary=True) from error
    configuration: dict[str, Any] = found["vllm_config"]
    return configuration


def _faults(configuration: dict[str, Any] | None, max_length: int) -> list[str]:
    """What is wrong with a server, each a clause with a verb."""
    if configuration is None:
        return ["has no endpoints that take weights (VLLM_SERVER_DEV_MODE)"]
    model, faults = configuration["model_config"], []
    if not configuration.get("weight_transfer_config"):
        faults.append("takes no weights (--weight-transfer-config)")
    if (mode := model["logprobs_mode"]) != "processed_logprobs":
        faults.append(f"returns {mode} (--logprobs-mode)")
    if (length := model["max_model_len"]) < max_length:
        faults.append(f"has a context of {length:,} tokens, fewer than max_length {max_length:,} (--max-model-len)")
    return faults


def _get(url: str) -> bytes:
    # The settings allow http and https alone.
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content
