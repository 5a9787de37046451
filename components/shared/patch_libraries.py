"""Every place where Tutelage replaces or corrects what a library does: DeepSpeed, torch, transformers and kfp.

One function for each patch; it names the code that it depends on. `tests/unit/shared/test_patch_libraries.py` holds a
digest of that code and fails when a new version of the library changes it. Then read the new code, and correct or
delete the patch. TRL's and transformers' trainers are changed by subclasses, which the same test watches.
"""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def listen_on_loopback() -> None:
    """Make torchrun's rendezvous stores listen on 127.0.0.1 rather than on every address.

    A store does not authenticate its clients and lacks an option for its address, but accepts a bound socket. torchrun
    creates two: `c10d_rendezvous_backend._create_tcp_store` and `DynamicRendezvousHandler._create_tcp_store_server`.
    """
    import torch.distributed
    from torch.distributed.elastic.rendezvous import c10d_rendezvous_backend

    plain: Any = c10d_rendezvous_backend.TCPStore  # type: ignore[attr-defined]  # not typed

    class LoopbackStore(plain):
        def __init__(self, host_name: str, port: int = 0, *rest: Any, is_master: bool = False, **named: Any) -> None:
            if is_master:
                listening = socket.create_server(("127.0.0.1", port))
                port = listening.getsockname()[1]
                named["master_listen_fd"] = listening.detach()
            super().__init__(host_name, port, *rest, is_master=is_master, **named)

    for module in (torch.distributed, c10d_rendezvous_backend):
        setattr(module, "TCPStore", LoopbackStore)  # noqa: B010 - a plain assignment to a class is a type error


def name_callers_quickly() -> None:
    """Let torchrun's rendezvous name its events without reading the source of every function that is being called.

    `dynamic_rendezvous.get_method_name` calls `inspect.stack()` twice for the name of its caller's caller, nine times
    before the ranks of one machine start. Each call looks for the frames of `python -m` among all loaded modules: with
    the 4,700 of a training, 1.6 s of processor time where all else that torchrun does takes 0.01 s.
    """
    from torch.distributed.elastic.rendezvous import dynamic_rendezvous

    def method_name(depth: int = 2) -> str:
        return sys._getframe(depth).f_code.co_name

    dynamic_rendezvous.get_method_name = method_name


def skip_op_probe() -> None:
    """Tell DeepSpeed which of its C++ extensions can be built here: none that a CPU needs.

    Without this, `deepspeed.ops.__getattr__` runs a compiler to find out, and `deepspeed.comm.torch.build_shm_op`
    compiles an extension for shared memory that serves inference alone.
    """
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__ = {"deepspeed_shm_comm": False}


def redirect_saves(engine: Any, save: Callable[[Any, str], None]) -> None:
    """Let a DeepSpeed engine's checkpoints go to `save(state_dict, path)` rather than to files.

    `DeepSpeedEngine.save_checkpoint` writes everything through `engine.checkpoint_engine.save`.
    """
    engine.checkpoint_engine.save = save


def before_optimizer_step(engine: Any, action: Callable[[], None]) -> None:
    """Call `action` before each step of a DeepSpeed engine's optimizer.

    `DeepSpeedEngine._take_model_step` calls `engine.optimizer.step`.
    """
    step = engine.optimizer.step

    def act_and_step(*given: Any, **named: Any) -> Any:
        action()
        return step(*given, **named)

    engine.optimizer.step = act_and_step


def before_reduction(engine: Any, action: Callable[[], None]) -> None:
    """Call `action` where a DeepSpeed engine of ZeRO stage 0 or 1 reduces a step's gradients, after its last pass.

    `DeepSpeedEngine._backward_epilogue` calls `allreduce_gradients` in every pass; these stages reduce in the last.
    """
    reduce = engine.allreduce_gradients

    def act_and_reduce(*given: Any, **named: Any) -> Any:
        if engine.is_gradient_accumulation_boundary():
            action()
        return reduce(*given, **named)

    engine.allreduce_gradients = act_and_reduce


def separate_step_counts(optimizer: Any) -> None:
    """Give each state of a torch optimizer a step count of its own, on its parameter's device where it must be.

    DeepSpeed 0.19 loads a universal checkpoint with one count on the CPU. Under ZeRO-3
    (`load_hp_checkpoint_state_from_checkpoint_dir_stage3`) all groups share that tensor, and each of them adds one to
    it at every step.
    """
    from torch import is_tensor

    on_device = any(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)
    for parameter, state in optimizer.state.items():
        if is_tensor(count := state.get("step")):
            state["step"] = count.clone().to(parameter.device if on_device else "cpu")


def keep_group_settings(path: Path) -> None:
    """Leave out of a universal checkpoint's `optimizer_state.pt` what its parameter groups do not agree on.

    Under ZeRO-3, DeepSpeed 0.19 (`load_hp_checkpoint_state_from_checkpoint_dir_stage3`) gives every group the settings
    of the first one, so weights without decay would get it. What is left out, each group keeps as it is configured.
    """
    import torch

    state = torch.load(path, weights_only=False)
    groups: list[dict[str, Any]] = state.get("optimizer_state_dict", {}).get("param_groups", [])
    if groups:
        groups[0] = {name: value for name, value in groups[0].items() if all(g.get(name) == value for g in groups)}
        torch.save(state, path)


@contextmanager
def without_zero3() -> Iterator[None]:
    """Set transformers' DeepSpeed configuration aside, so that a model is loaded complete in this process.

    `transformers.integrations.deepspeed` offers to unset its configuration, but not to set it again.
    """
    from transformers.integrations import deepspeed

    kept = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = kept


def used_conversions(model: Any) -> list[Any]:
    """The conversions of weights that transformers made when it loaded a model; the model drops all others.

    Under ZeRO-3 transformers keeps all of them in `model._weight_conversions`, and `revert_weight_conversion` cannot
    revert one that no tensor met.
    """
    kept = getattr(model, "_weight_conversions", None) or ()
    model._weight_conversions = [entry for entry in kept if entry.was_used()]
    return list(model._weight_conversions)


@contextmanager
def quick_task_settings() -> Iterator[None]:
    """Let kfp set a task's options without reading the source of every function that is being called.

    `PipelineTask._ensure_container_spec_exists` calls `inspect.stack()` for the name of its caller, which only its
    error needs: three quarters of the time of a compilation.
    """
    from kfp.dsl.pipeline_task import PipelineTask

    complete = PipelineTask._ensure_container_spec_exists

    def ensure(task: Any) -> None:
        if task.container_spec is None:
            complete(task)

    PipelineTask._ensure_container_spec_exists = ensure
    try:
        yield
    finally:
        PipelineTask._ensure_container_spec_exists = complete
