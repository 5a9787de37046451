"""The demo's instructions: planted defects against dropped rows."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from components.collect.collect import collect_data
from components.collect.set_settings import CheckedSource
from components.collect.settings import CollectSettings
from components.collect.source_settings import Checking, Source
from components.curate import curate as work
from components.curate.settings import CurateSettings
from components.models.generators.generator import ChatRequest, Reply, Sampling, Usage
from components.models.generators.openai.settings import OpenAISettings
from components.shared.outputs.library import Library
from components.shared.rows import Dropped, Instruction
from demo.make_instructions import FOLDER, TRUTH_FILE
from demo.plant_defects import SOURCES
from demo.tasks.rare import RARE_FORMS, rare_tasks
from demo.tasks.unsafe import UNSAFE_ACTS

Place = tuple[str, int]


class Oracle:
    """A teacher that labels the rare and the unsafe kinds, and all others as common."""

    def __init__(self) -> None:
        self.labels = {task.question: task.label for label in RARE_FORMS for task in rare_tasks(label)}

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        for request in requests:
            text = request.messages[0].content.removeprefix("Label: ")
            # Where the demo splits a question into instruction and input, a line end follows the colon.
            text = " ".join(text.split())
            common = "safety / refusal" if any(act in text for act in UNSAFE_ACTS) else "common / task"
            yield Reply(key=request.key, text=self.labels.get(text, common))

    def usage(self) -> Usage:
        return Usage()

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def caught(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[Place, Place | None]]:
    """By reason: the places of the dropped rows, and for near-duplicates that of the kept row."""
    root = str(tmp_path_factory.mktemp("root"))
    sources = tuple(Source(name=Path(name).stem, uri=str(FOLDER / name)) for name in SOURCES)
    check = Checking(kind="exact", ignore_case=False)
    heldout = CheckedSource(name="demo", uri=str(FOLDER.parent / "heldout.jsonl"), check=check)
    collected = collect_data(
        Library(root), CollectSettings(sources=sources, benchmarks=(heldout,), max_rejected_share=0.1)
    )
    settings = CurateSettings(
        teacher=OpenAISettings(model="oracle"),
        label_template="Label: {instruction}",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "open_generator", lambda _: Oracle())
        manifest = work.curate_instructions(Library(root), settings, collected.dataset, collected.benchmarks)
    places = {row.id: place(row.source, row.line) for row in Library(root).read_rows(collected.dataset, Instruction)}
    found: dict[str, dict[Place, Place | None]] = defaultdict(dict)
    for row in Library(root).read_rows(manifest, Dropped, part="dropped"):
        found[row.reason][place(row.source, row.line)] = places.get(row.evidence.split()[0])
    return found


@pytest.fixture(scope="module")
def planted() -> dict[str, dict[Place, Place | None]]:
    found: dict[str, dict[Place, Place | None]] = defaultdict(dict)
    for line in (FOLDER / TRUTH_FILE).read_text().splitlines():
        row = json.loads(line)
        original = place(row["original_source"], row["original_line"]) if "original_source" in row else None
        found[row["kind"]][place(row["source"], row["line"])] = original
    return found


def place(source: str, line: int) -> Place:
    return source.rsplit("/", 1)[-1], line


@pytest.mark.parametrize("kind", ["near-duplicate", "evaluation-overlap", "rare-label"])
def test_recall_and_precision(
    kind: str, caught: dict[str, dict[Place, Place | None]], planted: dict[str, dict[Place, Place | None]]
) -> None:
    right = caught[kind].keys() & planted[kind].keys()
    recall, precision = len(right) / len(planted[kind]), len(right) / len(caught[kind])
    print(f"{kind}: {len(planted[kind])} planted, recall {recall:.3f}, precision {precision:.3f}")
    assert recall >= 0.95
    assert precision >= 0.95


def test_near_duplicates_name_the_row_they_repeat(
    caught: dict[str, dict[Place, Place | None]], planted: dict[str, dict[Place, Place | None]]
) -> None:
    right = caught["near-duplicate"].keys() & planted["near-duplicate"].keys()
    named = [caught["near-duplicate"][row] == planted["near-duplicate"][row] for row in right]
    assert sum(named) / len(named) >= 0.95


def test_nothing_else_is_dropped(caught: dict[str, dict[Place, Place | None]]) -> None:
    assert {reason for reason, rows in caught.items() if rows} <= {
        "near-duplicate",
        "evaluation-overlap",
        "rare-label",
        "over-cap",
    }
