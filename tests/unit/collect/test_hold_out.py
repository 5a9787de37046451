"""Rows held out of training: which, and what becomes of them."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from components.collect.collect import Collected, collect_data
from components.collect.collect_heads import collect_heads
from components.collect.settings import CollectSettings
from components.collect.sources.templates import Frames
from components.shared.errors import EmptyDataError
from components.shared.outputs.library import Library
from components.shared.rows import Check, Instruction, Question, Rejected

WORDS = (
    "house",
    "river",
    "stone",
    "cloud",
    "music",
    "garden",
    "winter",
    "paper",
    "candle",
    "island",
    "forest",
    "bridge",
)
TEMPLATES = ("{0} and {1} in which order? Sort these two words", "How many letters are in {0}, and what of {1}?")
TEMPLATES += (
    "Write {0} after {1}. Do it twice",
    "Reply with the longer word of these: {0} {1}",
    "Find a good rhyme for {0} with {1}.",
)


def templated() -> list[dict[str, Any]]:
    """Rows of five templates, twenty of each."""
    rng = random.Random(3)
    return [
        {"prompt": text.format(*rng.sample(WORDS, 2)) + f" ({number})", "response": "yes", "template": f"t{place}"}
        for place, text in enumerate(TEMPLATES)
        for number in range(20)
    ]


def source(path: Path, rows: list[dict[str, Any]], name: str = "a", **fields: Any) -> dict[str, Any]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"name": name, "uri": str(path), "check": {"kind": "exact"}, **fields}


def collected(root: Path, *sources: dict[str, Any], **holdout: Any) -> tuple[Library, Collected]:
    library = Library(str(root / "store"))
    settings = {"sources": sources, "holdout": {"share": 0.4, **holdout}}
    return library, collect_data(library, CollectSettings.model_validate(settings))


def sides(root: Path, *sources: dict[str, Any], **holdout: Any) -> tuple[list[str], list[str]]:
    """What is learnt, and what is asked."""
    library, made = collected(root, *sources, **holdout)
    learnt = [row.instruction for row in library.read_rows(made.dataset, Instruction)]
    return learnt, [question.question for question in library.read_rows(made.benchmarks, Question)]


def test_a_row_that_is_held_out_becomes_a_question_with_its_check(tmp_path: Path) -> None:
    rows = [{"instruction": f"Say {word}.", "output": word, "system": "Be brief."} for word in WORDS]
    library, made = collected(tmp_path, source(tmp_path / "a.jsonl", rows), name="unseen", unit="instruction")
    learnt, asked = (
        list(library.read_rows(made.dataset, Instruction)),
        list(library.read_rows(made.benchmarks, Question)),
    )
    assert learnt and asked and len(learnt) + len(asked) == len(WORDS)
    assert {row.instruction for row in learnt}.isdisjoint({question.question for question in asked})
    first = asked[0]
    assert (first.benchmark, first.subject, first.system, first.split) == ("unseen", "a", "Be brief.", "test")
    assert first.check == Check(kind="exact", answer=first.question[4:-1])
    assert made.dataset.counts["held_out"] == len(asked) == made.benchmarks.counts["test_unseen"]
    assert made.dataset.counts["rows"] == len(learnt)


def test_rows_of_one_template_are_on_one_side(tmp_path: Path) -> None:
    learnt, asked = sides(tmp_path, source(tmp_path / "a.jsonl", templated()))
    assert learnt and asked
    for text in TEMPLATES:
        frame = text.split("{0}")[0] or text.split("?")[1]
        assert not (any(frame in row for row in learnt) and any(frame in row for row in asked)), frame


def test_a_field_may_name_the_template(tmp_path: Path) -> None:
    rows = [{"prompt": f"{word} {n}", "response": "a", "task": f"t{n % 5}"} for n, word in enumerate(WORDS * 3)]
    learnt, asked = sides(tmp_path, source(tmp_path / "a.jsonl", rows, template_field="task"), seed=5)
    assert {int(row.split()[1]) % 5 for row in learnt}.isdisjoint({int(row.split()[1]) % 5 for row in asked})
    del rows[0]["task"]
    library, made = collected(tmp_path, source(tmp_path / "a.jsonl", rows, template_field="task"), seed=5)
    (rejected,) = library.read_rows(made.dataset, Rejected, "rejected")
    assert (rejected.line, rejected.reason) == (1, "missing-field") and "'task'" in rejected.detail


def test_neither_order_nor_other_sources_matter(tmp_path: Path) -> None:
    rows = templated()
    learnt, asked = sides(tmp_path, source(tmp_path / "a.jsonl", rows))
    random.Random(1).shuffle(rows)
    other = source(tmp_path / "b.jsonl", [{"prompt": f"What is {n}?", "response": "n"} for n in range(50)], "b")
    more_learnt, more_asked = sides(tmp_path, other, source(tmp_path / "a.jsonl", rows), sources=["a"])
    assert sorted(more_asked) == sorted(asked)
    assert sorted(row for row in more_learnt if not row.startswith("What is")) == sorted(learnt)


def test_equal_instructions_of_two_sources_are_on_one_side(tmp_path: Path) -> None:
    rows = [{"prompt": f"{word}: {n}", "response": "n"} for n, word in enumerate(WORDS)]
    loud = [{**row, "prompt": row["prompt"].upper() + "!"} for row in rows]
    sources = source(tmp_path / "a.jsonl", rows), source(tmp_path / "b.jsonl", loud, "b")
    learnt, asked = sides(tmp_path, *sources, unit="instruction")
    assert {row.lower().rstrip("!") for row in learnt}.isdisjoint({row.lower().rstrip("!") for row in asked})


def test_rows_without_a_check_stay_and_repeated_questions_are_asked_once(tmp_path: Path) -> None:
    rows = [
        {"prompt": "One?", "response": "1"},
        {"prompt": "One?", "response": "1"},
        {"prompt": "Two?", "response": "2"},
    ]
    plain = {
        **source(tmp_path / "b.jsonl", [{"prompt": f"{n}?", "response": "x"} for n in range(30)], "b"),
        "check": {},
    }
    library, made = collected(tmp_path, source(tmp_path / "a.jsonl", rows), plain, seed=0, share=0.5)
    (question,) = library.read_rows(made.benchmarks, Question)
    counts = made.dataset.counts
    assert (question.question, counts["held_out"], counts["held_out_repeated"]) == ("One?", 1, 1)
    assert counts["rows_b"] == 30 and counts["rows_a"] == 1


def test_nothing_to_hold_out_is_an_error(tmp_path: Path) -> None:
    rows = [{"prompt": "One?", "response": "1"}]
    with pytest.raises(EmptyDataError, match="the sources have 1 row with a check") as caught:
        collected(tmp_path, source(tmp_path / "a.jsonl", rows), share=0.001)
    assert "raise `share`" in caught.value.remedy
    with pytest.raises(EmptyDataError, match="the sources have 0 rows with a check") as caught:
        collected(tmp_path, {**source(tmp_path / "a.jsonl", rows), "check": {}})
    assert "set the `check`" in caught.value.remedy


def test_a_larger_share_holds_out_more_of_the_same(tmp_path: Path) -> None:
    given = source(
        tmp_path / "a.jsonl", [{"prompt": f"{n} {word}", "response": "x"} for n, word in enumerate(WORDS * 9)]
    )
    small, large = (set(sides(tmp_path, given, share=share, unit="instruction")[1]) for share in (0.1, 0.3))
    assert small < large and len(large) < 54


def test_a_preview_holds_nothing_out_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = {"sources": [source(tmp_path / "a.jsonl", templated())], "holdout": {"share": 0.4}}
    made = collect_heads(Library(str(tmp_path / "store")), CollectSettings.model_validate(given), 50)
    assert (made.dataset.counts["rows"], made.dataset.counts["held_out"]) == (50, 0)
    assert "include rows that the run may hold out" in capfd.readouterr().err


def test_frames_need_enough_rows() -> None:
    few = Frames([f"Is {word} nice? Reply yes or no." for word in WORDS[:9]])
    assert few.template("Is house nice? Reply yes or no.") == ""
    many = Frames([f"Is {word} nice? Reply yes or no." for word in WORDS])
    assert many.template("Is moss nice? Reply YES or no!") == "ends no or yes reply"
    chinese = Frames([f"请把下面的句子翻译成英文：{word}" for word in WORDS])
    assert chinese.template("请把下面的句子翻译成英文：月亮").startswith("begins 请 把 下 面 的 句")
    assert Frames([]).template("") == ""
