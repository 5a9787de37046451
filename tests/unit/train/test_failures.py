"""A failure is told once, says what to do, and shows no traceback."""

from pathlib import Path

import pytest

from components.shared.errors import ModelError, SettingsError
from components.train.record_steps import require_engine
from components.train.report_failure import explained, reported


def test_neighbours_are_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with pytest.raises(SystemExit) as ended, reported("train-sft", tmp_path / "failed"):
            raise SettingsError("a wrong value", remedy="a right one")
        assert ended.value.code == 2
    assert capsys.readouterr().err == "[train-sft] FAILED a wrong value\n  remedy: a right one\n"


def test_what_a_ds_config_fixes_must_agree() -> None:
    text = "Please correct the following DeepSpeed config values that mismatch TrainingArguments values:\n"
    error = explained(ValueError(f"{text}- ds gradient_clipping=0.5 vs hf max_grad_norm=1.0\nThe easiest method is …"))
    assert isinstance(error, SettingsError)
    assert "gradient_clipping=0.5 vs hf max_grad_norm=1.0" in error.problem
    assert "auto" in error.remedy


def test_memory_that_ran_out_is_explained() -> None:
    assert "lower micro_batch" in explained(MemoryError()).remedy


def test_a_lost_neighbour_is_not_blamed_on_this_process() -> None:
    assert "lost the connection" in explained(RuntimeError("[gloo] Connection closed by peer [127.0.0.1]")).problem


def test_training_without_deepspeed_is_refused() -> None:
    class Engine:
        pass

    require_engine(Engine(), Engine)
    with pytest.raises(ModelError, match="wrapped as list, not as DeepSpeedEngine"):
        require_engine([], Engine)
