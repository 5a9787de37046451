"""The commands, paths and links in READMEs, CONTRIBUTING and docs/ exist."""

import re
from pathlib import Path

import pytest
import typer.main

from pipelines.cli.main import app

ROOT = Path(__file__).parents[3]
DOCS = sorted((ROOT / "docs").glob("*.md"))
OURS = ("benchmarks", "charts", "components", "demo", "docs", "images", "k8s", "pipelines", "tests")
"""The top-level folders: whatever begins with one of them in a page is a path in the repository."""
PAGES = [*ROOT.glob("*.md"), *(page for folder in OURS for page in sorted((ROOT / folder).rglob("*.md")))]
PATH = re.compile(rf"(?:{'|'.join(OURS)})/[a-z0-9_./-]*[a-z0-9_/]")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _anchor(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip("# \n").lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), target
        if anchor:
            text = (found / "README.md" if found.is_dir() else found).read_text()
            headings = [_anchor(line) for line in text.splitlines() if line.startswith("#")]
            assert anchor in headings, target


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_paths_exist(page: Path) -> None:
    words = [word for code in re.findall(r"`([^`\n]+)`", page.read_text()) for word in code.split()]
    paths = [word.removeprefix("package:") for word in words if PATH.fullmatch(word.removeprefix("package:"))]
    missing = [path for path in paths if not (ROOT / path).exists() and not (page.parent / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_commands_of_tutelage_exist_with_their_options(page: Path) -> None:
    consoles = "\n".join(re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL))
    typed = re.findall(r"(?:^\$ |\| )tutelage ([a-z]+)(.*)", consoles.replace("\\\n", " "), re.MULTILINE)
    for command, rest in typed:
        assert command in COMMANDS, f"tutelage {command}"
        known = {option for parameter in COMMANDS[command].params for option in parameter.opts}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", rest.partition("#")[0])) <= known, f"tutelage {command}{rest}"


def test_every_page_is_listed() -> None:
    listed = (ROOT / "docs" / "README.md").read_text()
    assert not [page.name for page in DOCS if page.name != "README.md" and f"]({page.name})" not in listed]
