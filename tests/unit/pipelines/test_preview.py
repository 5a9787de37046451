"""How a preview is shown: hostile text of data sets and models does nothing in a terminal or on the page."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from components.shared.errors import SettingsError
from components.shared.rows import Message, Scores
from pipelines.preview.document import (
    PreviewDocument,
    ShownDrop,
    ShownEstimate,
    ShownFlag,
    ShownResponse,
    ShownRow,
    ShownSource,
    ShownStep,
)
from pipelines.preview.print_preview import print_preview
from pipelines.preview.printable import one_line, printable
from pipelines.preview.write_page import write_page
from pipelines.registry import PIPELINES, preview_of
from tests.unit.registries.made_up.loud import PIPELINE as LOUD
from tests.unit.registries.made_up.loud import LoudRecipe

HOSTILE = "\x1b]0;o\x07<script>1</script> [bold]x[/] \x1b[2J\u202eabc \x9b31m & 中文 " + "long " * 400


def document(**changed: object) -> PreviewDocument:
    """A preview of two rows, the second of which is dropped; all text in it is hostile."""
    scores = Scores(perplexity=12.5, safety=1, quality=0.5, checked=False, total=0.25)
    responses = [
        ShownResponse(origin="original", text=HOSTILE, finish="stop", scores=scores, why="its answer is wrong"),
        ShownResponse(
            origin="teacher", text=HOSTILE, reasoning=HOSTILE, finish="stop", tokens_out=7, scores=scores, role="best",
            learnt=("SFT", "KTO, desirable"), why="the highest total",
        ),
        ShownResponse(
            origin="teacher", text="", finish="length", tokens_out=40, role="worst", learnt=("KTO, undesirable",),
            why="the lowest total",
        ),
    ]  # fmt: skip
    rows = [
        ShownRow(
            id="1", source="one/a.jsonl", line=3, type=HOSTILE, labels=(HOSTILE, "b"), system=HOSTILE,
            history=(Message(role="user", content=HOSTILE),), instruction=HOSTILE, check=HOSTILE,
            responses=tuple(responses), flags=(ShownFlag(name="truncated-response", meaning="it hit the limit"),),
        ),
        ShownRow(id="2", source="one/a.jsonl", line=4, instruction="hello", dropped=f"curate: unlabelled: {HOSTILE}"),
    ]  # fmt: skip
    facts = {
        "name": "mine", "title": "", "store": "s3://b/p/preview", "rows": rows, "full_rows": 1234, "at_least": True,
        "sources": [ShownSource(name="one", records=50_000, exact=False, considered=200, usable=190)],
        "drops": [ShownDrop(step="curate", reason="near-duplicate", rows=3, of=190, example=HOSTILE)],
        "steps": [ShownStep(task="curate", address="curate/0", reused=True, seconds=1.25, rows=2, tokens_in=9)],
        "estimates": [
            ShownEstimate(
                what="labels", requests=2, tokens_in=9, tokens_out=4, price=0.002, full=2468, full_tokens_in=11106,
                full_tokens_out=4936, full_price=2.468, currency="EUR", seconds=125.0,
            ),
        ],
        "warnings": ("1 of 2 replies have no label",), "notes": ("a note",),
    }  # fmt: skip
    return PreviewDocument.model_validate(facts | changed)


def printed(shown: PreviewDocument, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    print_preview(shown, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 100, 200])
def test_the_terminal_shows_every_row_within_its_width_and_no_control_character(width: int) -> None:
    text = printed(document(), width)
    assert not [char for char in text if char != "\n" and printable(char, keep="") != char]
    assert max(map(cell_len, text.splitlines())) <= width
    assert "<script>" in text and "[bold]x[/]" in text, "markup is text"
    assert "characters" in text, "what is left out is counted"
    for fact in ("truncated at the token limit", "KTO, undesirable", "dropped by curate: unlabelled", "SFT"):
        assert fact in text
    assert "perplexity 12.5" in text and "check wrong" in text


def test_the_estimate_has_the_price_of_a_complete_run() -> None:
    text = printed(document(), 200)
    assert "at least 1,234 rows" in text and "the first 200 of more than 50,000 records" in text
    assert "price: 0.002 EUR for this preview, at least 2.47 EUR for a complete run" in text
    free = document(estimates=())
    assert "EUR" not in printed(free, 200) + write_page(free)


def test_the_page_escapes_text_and_asks_for_nothing() -> None:
    page = write_page(document())
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not [char for char in page if char not in "\n" and printable(char) != char]
    assert "src=" not in page and "http:" not in page and "default-src 'none'" in page
    assert page == write_page(document())


def test_long_text_is_shortened_to_the_width_with_a_marker() -> None:
    assert one_line("a\n b\tc\x00", 80) == "a b c\ufffd"
    short = one_line("x" * 500, 40)
    assert len(short) <= 40 and short.endswith("characters") and short.startswith("x")
    assert cell_len(one_line("中文" * 100, 40)) <= 40
    assert one_line("👩‍🔬 नमस्ते", 40) == "👩‍🔬 नमस्ते", "joiners of scripts and emoji stay"


def test_a_pipeline_without_a_preview_is_refused_with_those_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PIPELINES, LOUD.name, LOUD)
    recipe = LoudRecipe.model_validate({"name": "x", "store": "s", "pipeline": "loud", "shouts": {"a": {"text": "b"}}})
    with pytest.raises(SettingsError) as caught:
        preview_of(recipe, 10)
    assert "'loud' has no preview" in str(caught.value) and "allowed: distill" in str(caught.value)
