"""A failure is logged once, states a remedy, and shows no traceback."""

from pathlib import Path

import pytest

from components.launch.hand_back.files import FAILURE_FILE, JobFailure
from components.shared.errors import ModelError, SettingsError
from components.train.engine.record_steps import require_engine
from components.train.engine.report_failure import explained, reported
from components.train.methods.kto import KtoSettings


def test_a_failure_is_logged_once_on_a_machine_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with pytest.raises(SystemExit) as ended, reported(f"{tmp_path}/job.json", "train-sft", tmp_path / "failed"):
            raise SettingsError("a wrong value", remedy="a right one")
        assert ended.value.code == 2
    assert capsys.readouterr().err == "[train-sft] FAILED a wrong value\n  remedy: a right one\n"
    failure = JobFailure.model_validate_json((tmp_path / FAILURE_FILE).read_bytes())
    assert (failure.type, failure.problem, failure.remedy) == ("SettingsError", "a wrong value", "a right one")


def test_the_cause_replaces_what_followed_from_it(tmp_path: Path) -> None:
    """A process that lost its peer fails before the peer has recorded its own error."""
    for error in (RuntimeError("Connection closed by peer"), ModelError("the cause"), RuntimeError("NCCL")):
        with pytest.raises(SystemExit), reported(f"{tmp_path}/job.json", "train-sft", tmp_path / "failed"):
            raise error
    failure = JobFailure.model_validate_json((tmp_path / FAILURE_FILE).read_bytes())
    assert (failure.type, failure.problem) == ("ModelError", "the cause")


def test_a_contradiction_of_a_ds_config_has_a_remedy() -> None:
    text = "Please correct the following DeepSpeed config values that mismatch TrainingArguments values:\n"
    error = explained(ValueError(f"{text}- ds gradient_clipping=0.5 vs hf max_grad_norm=1.0\nThe easiest method is …"))
    assert isinstance(error, SettingsError)
    assert "gradient_clipping=0.5 vs hf max_grad_norm=1.0" in error.problem
    assert "auto" in error.remedy


def test_out_of_memory_has_a_remedy_of_the_method() -> None:
    assert "lower the rows of a forward pass (micro_batch" in explained(MemoryError()).remedy
    kto = KtoSettings.model_validate({"global_batch": 16})
    assert "lower the rows of a forward pass (kto.kl_batch / ranks)" in explained(MemoryError(), kto).remedy


def test_a_lost_connection_is_a_failure_of_another_process() -> None:
    assert "lost the connection" in explained(RuntimeError("[gloo] Connection closed by peer [127.0.0.1]")).problem


def test_training_without_deepspeed_is_refused() -> None:
    class Engine:
        pass

    require_engine(Engine(), Engine)
    with pytest.raises(ModelError, match="wrapped as list, not as DeepSpeedEngine"):
        require_engine([], Engine)
