"""What the job decides from the start's files, the checkpoint and this machine's memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch.distributed

from components.models.stored.stored_model import StoredModel, read_folder
from components.shared.errors import SettingsError
from components.train.checkpoints.checkpoint import Fetched
from components.train.engine import fit_memory as subject
from components.train.engine.fit_memory import fit_memory, host_bytes, read_shape
from components.train.memory import PassSize
from components.train.methods.registry import parse_train_settings
from components.train.settings import TrainSettings
from tests.tiny_model import save_tiny_model

GIB = 2**30


@pytest.fixture(scope="module", autouse=True)
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of this process alone."""
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    """The files of a small Llama."""
    return read_folder(save_tiny_model(tmp_path_factory.mktemp("models") / "start"))


def fitted(start: StoredModel, found: Fetched | None = None, longest: int = 128, **values: Any) -> TrainSettings:
    """What becomes of the settings on two processes with micro-batches of 8 rows."""
    settings = parse_train_settings({"precision": "fp32"} | values)
    return fit_memory(settings, start, 2, PassSize(8, longest, longest), found=found, task="train-sft")


def checkpoint(**facts: bool) -> Fetched:
    """One of two processes."""
    return Fetched(20, Path(), 2, **facts)


def test_the_log_has_the_choice_and_its_numbers(start: StoredModel, capsys: pytest.CaptureFixture[str]) -> None:
    after = fitted(start)
    assert (after.deepspeed.stage, after.gradient_checkpointing) == (1, False)
    log = capsys.readouterr().err
    assert "ZeRO stage 1, activations kept: by estimate each of 2 processes needs" in log
    assert "8 rows of at most 128 tokens" in log
    assert "of the same memory 0.00 GiB for the copy of a checkpoint and, in one process," in log


def test_what_does_not_fit_is_recomputed_and_sharded(
    start: StoredModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subject, "free_bytes", lambda: 2**20)
    after = fitted(start, longest=100_000)
    assert (after.deepspeed.stage, after.gradient_checkpointing) == (3, True)
    assert "this may not fit: if memory runs out, lower micro_batch" in capsys.readouterr().err


def test_a_budget_is_what_the_estimate_is_of(
    start: StoredModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subject, "free_bytes", lambda: 400 * 2**20)
    assert fitted(start, longest=100_000).gradient_checkpointing is True
    after = fitted(start, longest=100_000, micro_batch_tokens=2048)
    assert (after.gradient_checkpointing, after.micro_batch_tokens) == (True, 2048)
    log = capsys.readouterr().err
    assert "8 rows of at most 100,000 tokens" in log and "for 100,000 positions of at most 8 rows, of" in log
    assert fitted(start, micro_batch_tokens=2048).gradient_checkpointing is False


def test_auto_chooses_a_budget_that_fits_and_logs_it(
    start: StoredModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fitted(start, micro_batch_tokens="auto").micro_batch_tokens == 8 * 128, "no more than 8 of the longest rows"
    chosen = []
    for mebibytes in (40, 20, 10):
        monkeypatch.setattr(subject, "free_bytes", lambda size=mebibytes: size * 2**20)
        after = fitted(start, longest=1024, micro_batch_tokens="auto", deepspeed={"stage": 1})
        assert f"(micro_batch_tokens {after.micro_batch_tokens:,}, chosen by this estimate)" in capsys.readouterr().err
        chosen.append((after.gradient_checkpointing, after.micro_batch_tokens))
    assert [recomputed for recomputed, _ in chosen] == [False, False, True]
    assert 8 * 1024 > chosen[0][1] > 0 and chosen[1][1] > chosen[2][1] >= 1024


def test_rollouts_are_counted_for_the_longest_prompt_that_there_is(
    start: StoredModel, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(longest: int, **options: Any) -> float:
        fitted(start, longest=longest, method="grpo", max_length=100_000, grpo={"max_response": 64, **options})
        log = capsys.readouterr().err
        return float(log.partition("(drawing rollouts ")[2].partition(" GiB")[0].replace(",", "") or 0)

    assert drawn(90_000, rollout_batch=8) > drawn(90_000, rollout_batch=4) > drawn(45_000, rollout_batch=4) > 0
    server = {"mode": "server", "server_url": "http://rollouts:8000"}
    assert drawn(90_000, vllm=server) == 0


def test_auto_needs_an_estimate(start: StoredModel, capsys: pytest.CaptureFixture[str]) -> None:
    pickled = StoredModel("start", start.config, {}, frozenset(), lambda _: b"")
    assert fitted(pickled, micro_batch_tokens="auto").micro_batch_tokens is None
    assert "micro_batch alone limits a forward pass" in capsys.readouterr().err


def test_a_checkpoint_decides_whether_weights_are_sharded(start: StoredModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitted(start, checkpoint(shards_weights=True)).deepspeed.stage == 3
    monkeypatch.setattr(subject, "free_bytes", lambda: 2**20)
    assert fitted(start, checkpoint(), longest=100_000).deepspeed.stage == 2


def test_with_shares_by_speed_weights_are_never_sharded(start: StoredModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "free_bytes", lambda: 2**20)
    assert fitted(start, longest=100_000, shares="speed").deepspeed.stage == 2
    with pytest.raises(SettingsError, match="the checkpoint of step 20 was sharded"):
        fitted(start, checkpoint(shards_weights=True), shares="speed")


def test_with_shares_by_speed_each_rank_has_the_budget_of_its_own_memory(
    start: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = {}
    for shares in ("even", "speed"):
        for rank in range(2):
            free = [40 * 2**20, 20 * 2**20]
            monkeypatch.setattr(subject, "_free_of_all", lambda rank=rank, free=free: (rank, free))
            after = fitted(start, longest=1024, micro_batch_tokens="auto", deepspeed={"stage": 1}, shares=shares)
            assert after.gradient_checkpointing is False, "all ranks choose as the smallest memory needs"
            assert isinstance(after.micro_batch_tokens, int)
            budgets[shares, rank] = after.micro_batch_tokens
    assert budgets["speed", 0] > budgets["speed", 1] == budgets["even", 0] == budgets["even", 1]


def test_the_users_own_config_keeps_its_stage(start: StoredModel) -> None:
    own = {"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}
    after = fitted(start, deepspeed_config=own)
    assert after.deepspeed_config == own and after.gradient_checkpointing is False


def test_adapters_are_the_trained_parameters(start: StoredModel) -> None:
    """By peft's own count."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    for targets in (("all-linear",), ("q_proj", "v_proj")):
        shape = read_shape(start, parse_train_settings({"lora": {"rank": 4, "target_modules": targets}}))
        model = AutoModelForCausalLM.from_pretrained(start.reference)
        chosen = targets[0] if len(targets) == 1 else list(targets)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=chosen, task_type="CAUSAL_LM"))
        trained, total = adapted.get_nb_trainable_parameters()
        assert shape is not None
        assert (shape.trained, shape.parameters) == (trained, total - trained)


def test_without_headers_the_choice_is_careful(start: StoredModel, capsys: pytest.CaptureFixture[str]) -> None:
    pickled = StoredModel("start", start.config, {}, frozenset(), lambda _: b"")
    after = fitted(pickled)
    assert (after.deepspeed.stage, after.gradient_checkpointing) == (2, True)
    assert "do not show its shape" in capsys.readouterr().err


def test_a_containers_limit_is_less_than_the_machine(tmp_path: Path) -> None:
    (meminfo := tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   2097152 kB\n")
    (limit := tmp_path / "memory.max").write_text("1073741824\n")
    (unlimited := tmp_path / "max").write_text("max\n")
    assert host_bytes(meminfo, (limit,)) == GIB
    assert host_bytes(meminfo, (unlimited, tmp_path / "none")) == 2 * GIB
