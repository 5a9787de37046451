"""What the terminal shows of a study: every arm with its rate, and what failed."""

from pathlib import Path

import pytest

from components.analyse.analyse import analyse_study
from components.analyse.settings import AnalyseSettings
from components.shared.outputs.library import Library
from pipelines.cli.show_result import copy_report, print_result
from pipelines.local.run_folder import RunFolder
from tests.stand_in_study import StandInStudy

FAILED = tuple(f"sft@9-lora16/-/{seed}/test" for seed in (0, 1, 2))


def test_a_study_is_shown_and_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    study = StandInStudy(str(tmp_path / "store"), questions=40)
    study.write(skip=FAILED)
    settings = AnalyseSettings.model_validate(study.settings(resamples=200))
    made = analyse_study(Library(study.root), settings, study.evaluations)
    folder = RunFolder("it", tmp_path)
    print_result(copy_report(Library(study.root), made.address, folder), folder)

    lines = capsys.readouterr().out.splitlines()
    rows = {line.split("│")[1].strip(): line for line in lines if line.count("│") > 3}
    assert {"base", "sft@3", "sft@9-dpo@6"} <= set(rows) and "failed" in rows["sft@9-lora16"]
    assert "1e-3" in rows["sft@3"] and "±" in rows["sft@9-dpo@6"] and " to " in rows["sft@9-dpo@6"]
    assert str(folder.path / "report.html") in lines[-1]
    assert {path.name for path in folder.path.iterdir()} == {"study.json", "report.html"}
