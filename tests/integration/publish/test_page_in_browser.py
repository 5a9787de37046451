"""The report in a real browser: its tables hold the numbers of report.json, and it loads nothing from elsewhere."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from components.publish.publish import publish_best, read_report
from components.publish.report.render import write_report
from components.publish.report_schema import Report
from components.publish.settings import Gate, PublishSettings
from components.shared.outputs.library import Library
from components.shared.page.formats import signed
from tests.page_in_browser import PageTables, browse, needs_browser


@pytest.fixture(scope="module")
def published(run: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """The report of the fake run, and its page in a folder of its own."""
    fake, comparison = run
    gate = Gate(benchmark="tutelage-demo", min_gain=0.02, max_loss={"gsm8k": 0.02, "mmlu": 0.01})
    settings = PublishSettings(name="demo-student", title="Demo", planted=str(fake.truth), gate=gate)
    manifest = publish_best(Library(fake.root), settings, comparison)
    page = tmp_path_factory.mktemp("page") / "report.html"
    shutil.copy(Path(fake.root) / manifest.address / "report.html", page)
    assert json.loads((Path(fake.root) / manifest.address / "report.json").read_text())["format"] == "report/1"
    return read_report(Library(fake.root), manifest), page


@pytest.fixture(scope="module")
def shown(published: tuple[Report, Path], tmp_path_factory: pytest.TempPathFactory) -> PageTables:
    """The page as the browser built it."""
    return PageTables(browse(published[1], tmp_path_factory.mktemp("profile"), "--dump-dom"))


@needs_browser
def test_the_comparison_holds_every_score_with_its_standard_error(published: Any, shown: PageTables) -> None:
    report: Report = published[0]
    header, *rows = shown.tables["comparison-table"]
    assert len(rows) == len(report.variants) == 7
    for variant, row in zip(report.variants, rows, strict=True):
        assert row[0].startswith(variant.name)
        for score, cell in zip(variant.scores, row[1:], strict=True):
            assert header[row.index(cell)].startswith(score.benchmark)
            assert cell.startswith(f"{100 * score.value:.1f} ± {100 * score.standard_error:.1f}")
        for item, cell in zip(variant.against_base, row[1:], strict=False):
            assert signed(item) in cell
    assert [row[0] for row in rows if "promoted" in row[0]] == ["sft-kto promoted trained, kto"]


@needs_browser
def test_the_other_tables_hold_the_numbers_of_the_report(published: Any, shown: PageTables) -> None:
    report: Report = published[0]
    assert report.planted is not None
    for facts, row in zip(report.planted, shown.tables["planted-table"][1:], strict=True):
        assert row[0] == facts.kind
        assert row[1] == f"{100 * (facts.recall or 0):.1f} %"
        assert row[3:7] == [str(n) for n in (facts.planted, facts.caught, facts.missed, facts.removed_earlier)]
    steps = shown.tables["steps-table"][1:-1]
    assert [row[0] for row in steps] == [step.task for step in report.steps]
    assert "rows 3,920 rejected 80" in steps[0][2]
    assert {row[1] for row in shown.tables["lineage-table"][1:]} == {node.address for node in report.lineage.nodes}
    assert shown.tables["origins-table"][1:] == [
        ["teacher", "1,043", "62.3 %", "92.1 %"],
        ["original", "502", "30.0 %", "87.4 %"],
        ["student", "128", "7.7 %", "–"],
    ]
    assert len(shown.tables["gate-table"]) == 1 + len(report.gate.verdicts)


@needs_browser
def test_the_page_is_drawn_in_light_and_dark(published: Any, tmp_path: Path) -> None:
    shades = {}
    for name, flags in {"light": (), "dark": ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")}.items():
        picture = tmp_path / f"{name}.png"
        browse(published[1], tmp_path / name, f"--screenshot={picture}", "--window-size=1280,2000", *flags)
        image = Image.open(picture).convert("L")
        shades[name] = image.getpixel((2, 2))
        assert len(image.getcolors(maxcolors=256) or ()) > 50
    assert shades["light"] > 240
    assert shades["dark"] < 40


def test_the_page_requests_nothing(published: Any) -> None:
    page = published[1].read_text()
    found = PageTables(page)
    assert {link[0] for link in found.links} == {"#"}
    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert "default-src 'none'" in page
    assert not re.search(r"url\((?!#)|@import", page)


def test_ids_on_the_page_are_unique_and_references_lead_somewhere(published: Any) -> None:
    page = published[1].read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="|url\()#([^")]+)', page))
    assert references <= set(ids)


def test_the_same_report_gives_the_same_bytes(published: Any) -> None:
    assert write_report(published[0]) == published[1].read_text()


def test_credentials_of_endpoints_are_not_in_the_report(published: Any) -> None:
    assert "hush" not in published[1].read_text()
    assert "hush" not in published[0].model_dump_json()
