"""Each patch of a library: the code that it depends on is unchanged, and the patch has its effect."""

import hashlib
import inspect
import socket
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributed.elastic.rendezvous import c10d_rendezvous_backend, dynamic_rendezvous

from components.shared import patch_libraries

PATCHED = {
    "listen_on_loopback": {
        "torch.distributed.elastic.rendezvous.c10d_rendezvous_backend:_create_tcp_store": "ddecedb8b053ba2d",
        "torch.distributed.elastic.rendezvous.dynamic_rendezvous:"
        "DynamicRendezvousHandler._create_tcp_store_server": "05894ebe3d332def",
    },
    "name_callers_quickly": {
        "torch.distributed.elastic.rendezvous.dynamic_rendezvous:get_method_name": "a49d8ae6015773c3",
        "torch.distributed.elastic.rendezvous.dynamic_rendezvous:DynamicRendezvousHandler._record": "9570cc63bb9a6a2a",
    },
    "skip_op_probe": {
        "deepspeed.ops:__getattr__": "b6327fe22a4b2403",
        "deepspeed.comm.torch:build_shm_op": "2bf3cff9e3d1f058",
    },
    "redirect_saves": {
        "deepspeed.runtime.engine:DeepSpeedEngine._save_checkpoint": "7cec5b09ea912dd5",
        "deepspeed.runtime.engine:DeepSpeedEngine._save_zero_checkpoint": "9053a2fbcfbc2a87",
    },
    "before_optimizer_step": {"deepspeed.runtime.engine:DeepSpeedEngine._take_model_step": "c4c6e01aa1fc4e7d"},
    "before_reduction": {"deepspeed.runtime.engine:DeepSpeedEngine._backward_epilogue": "5d52976af041dc08"},
    "separate_step_counts, keep_group_settings": {
        "deepspeed.runtime.zero.stage3:"
        "DeepSpeedZeroOptimizer_Stage3.load_hp_checkpoint_state_from_checkpoint_dir_stage3": "9e3e3f5f452603d4",
        "deepspeed.runtime.base_optimizer:"
        "ZeROOptimizer.load_hp_checkpoint_state_from_checkpoint_dir": "7532435ffb5b067a",
        "deepspeed.checkpoint.ds_to_universal:_save_optimizer_state_stage3": "3fc469db41fcc0ab",
    },
    "without_zero3": {
        "transformers.integrations.deepspeed:set_hf_deepspeed_config": "39cb6a902887968b",
        "transformers.integrations.deepspeed:unset_hf_deepspeed_config": "088d722afab96382",
        "transformers.integrations.deepspeed:is_deepspeed_zero3_enabled": "3e3f9ededb3d709a",
    },
    "used_conversions": {"transformers.core_model_loading:revert_weight_conversion": "fc94e3462e0162cd"},
    "quick_task_settings": {
        "kfp.dsl.pipeline_task:PipelineTask._ensure_container_spec_exists": "202a7741493c3f7f",
    },
    "RecordedSteps (engine/record_steps.py)": {
        "transformers.trainer:Trainer._get_train_sampler": "1580d7493244e637",
        "transformers.trainer:Trainer._save_checkpoint": "a9111e30faa99339",
    },
    "PackedTrainer (engine/packed_trainer.py)": {
        "transformers.trainer:Trainer.training_step": "e9760c8ee10308d5",
        "transformers.trainer:Trainer._prepare_inputs": "8f8c4e430d2f96d6",
        "transformers.trainer:Trainer._get_num_items_in_batch": "a31fa106f70db1b9",
    },
    "ReadyKtoTrainer (methods/kto.py)": {
        "trl.trainer.kto_trainer:KTOTrainer._prepare_dataset": "d22cf45470e637d6",
        "trl.trainer.kto_trainer:KTOTrainer._precompute_ref_logps": "bb13017be7eeb8f2",
        "trl.trainer.kto_trainer:KTOTrainer.compute_ref_log_probs": "83c8d1cfdc4fab9d",
        "trl.trainer.kto_trainer:KTOTrainer.log": "e80e122cfe5fd8ad",
    },
    "ReadyDpoTrainer (methods/dpo.py), ReferenceFreeTrainer (methods/reference_free.py)": {
        "trl.trainer.dpo_trainer:DPOTrainer._prepare_dataset": "35e349e8e8266df4",
        "trl.trainer.dpo_trainer:DPOTrainer._precompute_ref_logps": "f2c098c7da6ca701",
        "trl.trainer.dpo_trainer:DPOTrainer.compute_ref_log_probs": "90611af9cbadb8ec",
        "trl.trainer.dpo_trainer:DPOTrainer._compute_loss": "5e58a1699e0d76cd",
    },
}
"""What each patch, or subclass that replaces private methods, depends on, and the digest of its source."""


@pytest.mark.parametrize(
    ("patch", "place", "digest"),
    [(patch, place, digest) for patch, places in PATCHED.items() for place, digest in places.items()],
)
def test_the_patched_code_is_unchanged(patch: str, place: str, digest: str) -> None:
    module, _, name = place.partition(":")
    source = inspect.getsource(attrgetter(name)(import_module(module)))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == digest, (
        f"{place} has changed, and {patch} was written for what it was. Read the new code; correct or delete the patch "
        "(components/shared/patch_libraries.py unless a file is named); then write the new digest here"
    )


def test_every_patch_is_watched() -> None:
    functions = {name for name, value in vars(patch_libraries).items() if inspect.isfunction(value)} - {
        "contextmanager"
    }
    assert functions == {name for key in PATCHED if "(" not in key for name in key.split(", ")}


def test_a_rendezvous_store_listens_on_the_loopback_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (torch.distributed, c10d_rendezvous_backend):
        monkeypatch.setattr(module, "TCPStore", module.TCPStore)
    patch_libraries.listen_on_loopback()
    assert torch.distributed.TCPStore is c10d_rendezvous_backend.TCPStore
    store = torch.distributed.TCPStore("localhost", 0, is_master=True, multi_tenant=True)
    socket.create_connection(("127.0.0.1", store.port), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):  # every address of 127.0.0.0/8 reaches a store that listens on all
        socket.create_connection(("127.0.0.2", store.port), timeout=5)


def test_a_rendezvous_names_its_events_without_reading_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    name = dynamic_rendezvous.get_method_name
    monkeypatch.setattr(dynamic_rendezvous, "get_method_name", name)
    expected = named_by(name)
    patch_libraries.name_callers_quickly()
    monkeypatch.setattr(inspect, "stack", lambda *_: pytest.fail("torchrun reads sources"))
    assert dynamic_rendezvous.get_method_name is not name
    assert named_by(dynamic_rendezvous.get_method_name) == expected == "named_by"


def named_by(get_method_name: Callable[[], str]) -> str:
    """The name of this function, as torchrun's `_record` asks for that of its caller."""

    def record() -> str:
        return get_method_name()

    return record()


def test_no_compiler_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    import deepspeed.ops

    monkeypatch.setattr(deepspeed.ops, "_probe_compatible_ops", lambda: pytest.fail("DeepSpeed runs a compiler"))
    monkeypatch.delitem(vars(deepspeed.ops), "__compatible_ops__", raising=False)
    patch_libraries.skip_op_probe()
    assert not deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"]


def test_the_action_comes_before_the_optimizers_step() -> None:
    done: list[str] = []
    engine = SimpleNamespace(optimizer=SimpleNamespace(step=done.append))
    patch_libraries.before_optimizer_step(engine, lambda: done.append("settled"))
    engine.optimizer.step("stepped")
    assert done == ["settled", "stepped"]


def test_an_action_comes_before_the_reduction_of_the_last_pass_alone() -> None:
    done: list[str] = []
    last = iter([False, True])
    engine = SimpleNamespace(
        allreduce_gradients=lambda **given: done.append(f"reduced {given}"),
        is_gradient_accumulation_boundary=lambda: next(last),
    )
    patch_libraries.before_reduction(engine, lambda: done.append("settled"))
    for _ in range(2):
        engine.allreduce_gradients(bucket_size=1)
    assert done == ["reduced {'bucket_size': 1}", "settled", "reduced {'bucket_size': 1}"]


def test_saves_go_elsewhere() -> None:
    saved: list[Any] = []
    engine = SimpleNamespace(checkpoint_engine=SimpleNamespace(save=None))
    patch_libraries.redirect_saves(engine, lambda state, path: saved.append((state, path)))
    engine.checkpoint_engine.save({"weights": 1}, "here")
    assert saved == [({"weights": 1}, "here")]


def test_groups_that_shared_a_step_count_advance_by_one() -> None:
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = torch.optim.AdamW([{"params": [parameter]} for parameter in parameters])
    shared = torch.tensor(4.0)
    for parameter in parameters:
        moments = {"exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)}
        optimizer.state[parameter] = {"step": shared, **moments}
        parameter.grad = torch.ones(2)
    patch_libraries.separate_step_counts(optimizer)
    optimizer.step()
    assert [optimizer.state[parameter]["step"].item() for parameter in parameters] == [5.0, 5.0]


def test_what_groups_disagree_on_is_left_out(tmp_path: Path) -> None:
    groups = [{"lr": 0.1, "weight_decay": 0.1, "params": [0]}, {"lr": 0.1, "weight_decay": 0.0, "params": [1]}]
    torch.save({"optimizer_state_dict": {"param_groups": groups}}, tmp_path / "optimizer_state.pt")
    patch_libraries.keep_group_settings(tmp_path / "optimizer_state.pt")
    state = torch.load(tmp_path / "optimizer_state.pt", weights_only=False)
    assert state["optimizer_state_dict"]["param_groups"][0] == {"lr": 0.1}


def test_zero3_is_set_aside_and_comes_back() -> None:
    from transformers.integrations.deepspeed import (
        HfDeepSpeedConfig,
        is_deepspeed_zero3_enabled,
        unset_hf_deepspeed_config,
    )

    config = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}})
    try:
        with patch_libraries.without_zero3():
            assert not is_deepspeed_zero3_enabled()
        assert is_deepspeed_zero3_enabled() and config.is_zero3()
    finally:
        unset_hf_deepspeed_config()


def test_conversions_that_met_no_tensor_are_dropped() -> None:
    used, unused = (SimpleNamespace(was_used=lambda answer=answer: answer) for answer in (True, False))
    model = SimpleNamespace(_weight_conversions=[used, unused])
    assert patch_libraries.used_conversions(model) == [used] == model._weight_conversions
    assert patch_libraries.used_conversions(SimpleNamespace()) == []


def test_kfp_sets_options_without_reading_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    from kfp import dsl
    from kfp.dsl import pipeline_task

    @dsl.container_component
    def say() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="image", command=["true"])

    @dsl.pipeline
    def inner() -> None:
        task = say().set_cpu_request("1")
        assert task.container_spec.resources.cpu_request == "1"

    def outer() -> None:
        inner().set_cpu_request("1")

    with monkeypatch.context() as patched, patch_libraries.quick_task_settings():
        patched.setattr(pipeline_task.inspect, "stack", lambda: pytest.fail("kfp reads sources"))
        dsl.pipeline(inner.pipeline_func)
    with patch_libraries.quick_task_settings(), pytest.raises(ValueError, match="can only be used on single-step"):
        dsl.pipeline(outer)
