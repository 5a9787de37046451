"""The page of a study: its tables hold the numbers of study.json, a real browser draws it, and it requests nothing."""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from components.analyse.analyse import analyse_study, read_study
from components.analyse.report.render import write_page
from components.analyse.settings import AnalyseSettings
from components.analyse.study_schema import Study
from components.shared.page.formats import reach, signed
from tests.page_in_browser import PageTables, browse, needs_browser
from tests.stand_in_study import StandInStudy


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A study with a failed arm, and its page in a folder of its own."""
    made = StandInStudy(str(tmp_path_factory.mktemp("study") / "store"), questions=240)
    made.write(skip=[f"sft@9-lora16/-/{seed}/test" for seed in (0, 1, 2)])
    manifest = analyse_study(made.library, AnalyseSettings.model_validate(made.settings()), made.evaluations)
    page = tmp_path_factory.mktemp("page") / "report.html"
    shutil.copy(Path(made.root) / manifest.address / "report.html", page)
    return read_study(made.library, manifest), page


def test_the_tables_hold_the_numbers_of_the_study(shown: tuple[Study, Path]) -> None:
    study, page = shown
    tables = PageTables(page.read_text()).tables
    _, base, *rows = tables["arms-table"]
    assert base[2].startswith(f"{100 * study.base.mean:.1f}")
    for arm, row in zip(study.arms, rows, strict=True):
        assert row[0].startswith(arm.name)
        if arm.score is None:
            assert "failed" in row[0] and arm.missing[0] in row[2]
            continue
        assert row[1] == arm.rate and row[2].startswith(f"{100 * arm.score.mean:.1f} ± ")
        for difference, cell in ((arm.against_base, row[4]), (arm.against_best, row[5])):
            if difference is not None:
                assert signed(difference.mean) in cell and reach(difference.interval) in cell
    assert len(tables["tests-1"]) == 1 + study.families[0].size
    assert len(tables["compute-table"]) == 2 + len(study.arms)
    assert len(tables["forgetting-table"]) == 1 + len(study.arms), "the head and the base, without the failed arm"


def test_sentences_warnings_and_missing_runs_are_on_the_page(shown: tuple[Study, Path]) -> None:
    study, page = shown
    text = page.read_text().replace("&lt;", "<").replace("&#39;", "'")
    assert study.sentences and study.warnings
    assert all(line in text for line in (*study.sentences, *study.warnings, *study.missing))
    assert f"Family study: {study.families[0].size} tests" in text
    assert text.count("<svg") == 3 + len(study.arms), "two forest plots, compute, and a sweep for each arm"


def test_the_page_requests_nothing_and_its_ids_are_unique(shown: tuple[Study, Path]) -> None:
    text = shown[1].read_text()
    found = PageTables(text)
    assert {link[0] for link in found.links} == {"#"}
    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert "default-src 'none'" in text and not re.search(r"url\((?!#)|@import", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= set(ids)


def test_the_same_study_gives_the_same_bytes(shown: tuple[Study, Path]) -> None:
    assert write_page(shown[0]) == shown[1].read_text()


@needs_browser
def test_the_page_is_drawn(shown: tuple[Study, Path], tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    browse(shown[1], tmp_path / "profile", f"--screenshot={picture}", "--window-size=1100,2400")
    image = Image.open(picture).convert("L")
    assert len(image.getcolors(maxcolors=256) or ()) > 50
