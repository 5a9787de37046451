"""Recall and precision of planted defects."""

import json
from pathlib import Path

import pytest

from components.publish.audit.compare_planted import compare_planted
from components.publish.audit.truth import KINDS, Detection, Planted, Truth, read_truth
from components.publish.lineage.lineage import Lineage
from components.publish.report_schema import PlantedFacts
from components.shared.errors import InputError, NotFoundError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import SELECTION, Dropped, Instruction, Rejected, Row, Scores, Verdict
from components.shared.settings import Settings
from components.shared.step import Product


class Store:
    """The outputs of collect, curate and select with the rows that a test adds."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.manifests: dict[str, Manifest] = {}

    def add(self, step: str, content: str, **parts: list[Row]) -> None:
        output = Output(Library(self.root), Product(step, 1, content), Settings(), {})
        for part, rows in parts.items():
            writer = RowWriter(output, part)
            for row in rows:
                writer.add(row)
            writer.close()
        manifest = output.finish()
        self.manifests[manifest.address] = manifest

    def compare(self, *truth: Planted) -> dict[str, PlantedFacts]:
        lineage = Lineage("", self.manifests, {})
        return {facts.kind: facts for facts in compare_planted(Library(self.root), lineage, described(*truth))}


def row(line: int) -> Instruction:
    return Instruction(id=f"id{line}", source="demo/a.jsonl", line=line, instruction="?")


def dropped(line: int, reason: str, evidence: str = "") -> Dropped:
    return Dropped(id=f"id{line}", source="demo/a.jsonl", line=line, reason=reason, evidence=evidence)


def verdict(line: int, *flags: str) -> Verdict:
    source, scores = "demo/a.jsonl", (Scores(),)
    return Verdict(
        id=str(line), source=source, line=line, origins=("original",), scores=scores, best=0, worst=0, flags=flags
    )


def planted(line: int, kind: str, original: int = 0) -> Planted:
    source = "a.jsonl" if original else ""
    return Planted(source="a.jsonl", line=line, kind=kind, original_source=source, original_line=original)


def described(*rows: Planted) -> Truth:
    """As `read_truth` would read these rows."""
    kinds = {row.kind: row for row in rows}
    order = sorted(kinds, key=lambda kind: list(KINDS).index(kind) if kind in KINDS else len(KINDS))
    own = {kind: Detection.parse(kinds[kind].caught_as) if kinds[kind].caught_as else KINDS[kind] for kind in order}
    return Truth(b"", rows, own)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_recall_and_precision_of_malformed_rows(store: Store) -> None:
    rejected = [Rejected(source="demo/a.jsonl", line=line, reason="no-json") for line in (1, 2, 9)]
    store.add("collect", Instruction.content, rejected=rejected)
    facts = store.compare(*(planted(line, "malformed") for line in (1, 2, 3, 4)))["malformed"]
    assert (facts.planted, facts.caught, facts.missed, facts.flagged, facts.false_alarms) == (4, 2, 2, 3, 1)
    assert facts.recall == 0.5
    assert facts.precision == pytest.approx(2 / 3)


def test_the_same_line_of_another_file_is_not_the_same_row(store: Store) -> None:
    store.add("collect", Instruction.content, rejected=[Rejected(source="demo/b.jsonl", line=1, reason="empty")])
    facts = store.compare(planted(1, "malformed"))["malformed"]
    assert (facts.caught, facts.false_alarms) == (0, 1)


def test_either_row_of_a_near_duplicate_pair_may_be_the_one_that_is_kept(store: Store) -> None:
    store.add("collect", Instruction.content, rows=[row(line) for line in range(1, 10)])
    store.add(
        "curate",
        "labelled/1",
        dropped=[
            dropped(2, "near-duplicate", "id1"),  # the planted row was dropped
            dropped(3, "near-duplicate", "id4"),  # the original was dropped, the planted row stayed
            dropped(6, "near-duplicate", "id1"),  # planted, but taken for the duplicate of another row
            dropped(8, "near-duplicate", "id9"),  # nothing planted here
        ],
    )
    truth = [planted(2, "near-duplicate", 1), planted(4, "near-duplicate", 3), planted(6, "near-duplicate", 5)]
    facts = store.compare(*truth)["near-duplicate"]
    assert (facts.planted, facts.caught, facts.missed) == (3, 2, 1)
    assert (facts.flagged, facts.false_alarms, facts.precision) == (4, 2, 0.5)


def test_two_duplicates_of_one_row_are_right_whichever_is_kept(store: Store) -> None:
    store.add("collect", Instruction.content, rows=[row(line) for line in range(1, 4)])
    store.add(
        "curate", "labelled/1", dropped=[dropped(1, "near-duplicate", "id2"), dropped(3, "near-duplicate", "id2")]
    )
    facts = store.compare(planted(2, "near-duplicate", 1), planted(3, "near-duplicate", 1))["near-duplicate"]
    assert (facts.caught, facts.false_alarms) == (2, 0)


def test_a_row_that_was_dropped_before_its_check_is_counted_separately(store: Store) -> None:
    store.add("curate", "labelled/1", dropped=[dropped(1, "over-cap"), dropped(2, "evaluation-overlap")])
    store.add(
        "select", SELECTION, verdicts=[verdict(3, "reference-contradicted"), verdict(4), verdict(5, "unsafe-response")]
    )
    truth = [planted(line, "wrong-reference") for line in (1, 3, 4)] + [planted(2, "rare-label"), planted(5, "unsafe")]
    facts = store.compare(*truth)
    wrong = facts["wrong-reference"]
    assert (wrong.planted, wrong.caught, wrong.missed, wrong.removed_earlier) == (3, 1, 1, 1)
    assert (wrong.recall, wrong.reached_recall) == (pytest.approx(1 / 3), 0.5)
    assert (facts["rare-label"].removed_earlier, facts["rare-label"].missed) == (1, 0)
    assert facts["rare-label"].reached_recall is None
    assert facts["unsafe"].recall == 1.0


def test_a_row_that_balancing_removed_had_passed_the_checks_of_curate(store: Store) -> None:
    store.add("curate", "labelled/1", dropped=[dropped(1, "over-cap")])
    facts = store.compare(planted(1, "evaluation-overlap"))["evaluation-overlap"]
    assert (facts.missed, facts.removed_earlier) == (1, 0)


def test_kinds_that_were_not_planted_or_whose_step_did_not_run_are_left_out(store: Store) -> None:
    store.add("select", SELECTION, verdicts=[verdict(1)])
    assert list(store.compare(planted(1, "unsafe"), planted(2, "malformed"))) == ["unsafe"]


def test_the_truth_is_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "planted.jsonl"
    file.write_text('{"source": "a.jsonl", "line": 3, "kind": "unsafe", "note": "request"}\n')
    truth = read_truth(str(file))
    assert truth.data == file.read_bytes()
    assert truth.rows[0].at == ("a.jsonl", 3)


def test_a_wrong_truth_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "planted.jsonl"
    file.write_text('{"source": "a", "line": 1, "kind": "unsafe"}\n{"source": "a", "line": 2, "kind": "odd"}\n')
    with pytest.raises(InputError, match="line 2 plants the unknown kind 'odd'"):
        read_truth(str(file))
    with pytest.raises(NotFoundError):
        read_truth(str(tmp_path / "nothing.jsonl"))


def test_a_custom_kind_names_what_counts_as_catching_it(store: Store, tmp_path: Path) -> None:
    """Ten essays that are too long were put into a source; the filter drops two, and one ordinary row."""
    store.add(
        "curate",
        "labelled/1",
        dropped=[dropped(1, "too-long"), dropped(2, "too-long"), dropped(3, "near-duplicate"), dropped(9, "too-long")],
    )
    file = tmp_path / "planted.jsonl"
    lines = [
        {"source": "a.jsonl", "line": line, "kind": "essay", "caught_as": ["dropped:too-long"]} for line in (1, 2, 4)
    ]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    (facts,) = compare_planted(Library(store.root), Lineage("", store.manifests, {}), read_truth(str(file)))
    assert (facts.kind, facts.step) == ("essay", "curate")
    assert (facts.planted, facts.caught, facts.missed, facts.false_alarms) == (3, 2, 1, 1)


@pytest.mark.parametrize("caught_as", [["removed"], ["dropped:a", "flagged:b"], [":too-long"]])
def test_a_wrong_caught_as_is_refused_with_the_stages(tmp_path: Path, caught_as: list[str]) -> None:
    file = tmp_path / "planted.jsonl"
    file.write_text(json.dumps({"source": "a", "line": 1, "kind": "essay", "caught_as": caught_as}))
    with pytest.raises(InputError, match=r"line 1: caught_as is .* one stage of rejected, dropped, flagged"):
        read_truth(str(file))


def test_one_kind_is_caught_in_one_way(tmp_path: Path) -> None:
    file = tmp_path / "planted.jsonl"
    file.write_text(
        '{"source": "a", "line": 1, "kind": "essay", "caught_as": ["dropped:too-long"]}\n'
        '{"source": "a", "line": 2, "kind": "essay", "caught_as": ["rejected"]}\n'
    )
    with pytest.raises(InputError, match="line 2 gives the kind 'essay' another caught_as"):
        read_truth(str(file))
