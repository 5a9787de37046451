from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from components.curate.labels.ask_labels import ask_labels, label_prompt
from components.curate.labels.label import Label
from components.curate.labels.parse_label import parse_label
from components.curate.labels.stored_labels import Labels
from components.curate.settings import CurateSettings
from components.models.generators.generator import ChatRequest, Reply, Sampling, Usage
from components.models.generators.openai.settings import OpenAISettings
from components.models.generators.settle_reply import why_empty
from components.shared.errors import EmptyDataError, GenerationError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Parent
from components.shared.rows import Instruction

SETTINGS = CurateSettings(teacher=OpenAISettings(model="tiny"), label_template="Label: {instruction}")


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("mathematics / algebra", ("mathematics", "algebra")),
        ("Mathematics/Linear  Algebra\n", ("mathematics", "linear algebra")),
        ("**writing / poem**", ("writing", "poem")),
        ("`code / python`", ("code", "python")),
        ('"language / translation".', ("language", "translation")),
        ("Label: language / translation", ("language", "translation")),
        ("1. history / ancient rome", ("history", "ancient rome")),
        ("Here is the label:\n\n- science / physics\nI hope this helps!", ("science", "physics")),
        ("数学 / 代数", ("数学", "代数")),
        ("数学／代数", ("数学", "代数")),
        ("code > python", ("code", "python")),
        ("maths / algebra / linear", ("maths", "algebra")),
        ("Primary: science\nSecondary: physics", ("science", "physics")),
        ('{"primary": "science", "secondary": "physics"}', ("science", "physics")),
    ],
)
def test_label_in_a_reply(reply: str, label: Label) -> None:
    assert parse_label(reply) == label


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot do that.",
        "mathematics",
        "12 / 4",
        " / ",
        "a / ",
        "This question is about one or more of the many things that people do and / or don't do",
        "x" * 100 + " / algebra",
        "http://example.com/some/where",
    ],
)
def test_reply_without_a_label(reply: str) -> None:
    assert parse_label(reply) is None


def test_the_start_and_the_end_of_a_long_instruction_are_shown() -> None:
    row = instruction(0, "START " + "word " * 1000 + "END")
    (message,) = label_prompt(row, "Label: {instruction}", 300)
    assert message.content.startswith("Label: START word")
    assert message.content.endswith("word END")
    assert len(message.content) < 330


def test_braces_in_an_instruction_are_kept() -> None:
    (message,) = label_prompt(instruction(0, "def f(): return {instruction}"), "Label: {instruction}", 300)
    assert message.content == "Label: def f(): return {instruction}"


def instruction(number: int, text: str = "") -> Instruction:
    return Instruction(id=f"id{number}", source="s", line=number, instruction=text or f"question {number}")


class Scripted:
    """Scripted replies; interrupted after `dies_after` of them."""

    def __init__(self, script: dict[str, str], dies_after: int | None = None, control_text: int = 0) -> None:
        self.script, self.dies_after, self.control_text = script, dies_after, control_text
        self.asked: list[str] = []
        self.closed = False

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        for request in requests:
            if len(self.asked) == self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(request.key)
            text = self.script.get(request.key, "science / physics")
            refused = text.startswith("the chat template")
            finish = "error" if text.startswith("HTTP") or refused else "stop"
            facts = {"key": request.key, "text": text, "finish": finish, "refused": refused}
            yield Reply.model_validate({**facts, "tokens_in": 10, "tokens_out": 2})

    def usage(self) -> Usage:
        return Usage(control_text=self.control_text)

    def close(self) -> None:
        self.closed = True


def ask(root: Path, teacher: Scripted, count: int, settings: CurateSettings = SETTINGS) -> Labels:
    rows = [instruction(number) for number in range(count)]
    inputs = {"instructions": Parent(address="collect/1", digest="1")}
    return ask_labels(
        Library(str(root)), settings, inputs, rows=lambda: rows, total=count, open_generator=lambda _: teacher
    )


def test_all_rows_are_labelled_and_counted(tmp_path: Path) -> None:
    teacher = Scripted({"id1": "Maths / Algebra"})
    labels = ask(tmp_path, teacher, 3)
    assert labels.found == {"id0": ("science", "physics"), "id1": ("maths", "algebra"), "id2": ("science", "physics")}
    assert (labels.tokens_in, labels.tokens_out) == (30, 6)
    assert teacher.closed


def test_an_interrupted_run_requests_only_missing_labels(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, Scripted({}, dies_after=7), 20)
    again = Scripted({})
    labels = ask(tmp_path, again, 20)
    assert again.asked == [f"id{number}" for number in range(7, 20)]
    assert len(labels.found) == 20
    assert labels.tokens_in == 200
    third = Scripted({})
    ask(tmp_path, third, 20)
    assert third.asked == []


def test_prompts_that_spell_a_control_token_are_counted_over_all_runs(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, Scripted({}, dies_after=7, control_text=2), 20)
    assert ask(tmp_path, Scripted({}, control_text=1), 20).control_text == 3
    assert ask(tmp_path, Scripted({}), 20).control_text == 3


def test_other_balancing_requests_nothing_and_another_prompt_all_labels(tmp_path: Path) -> None:
    ask(tmp_path, Scripted({}), 5)
    balanced, reworded = Scripted({}), Scripted({})
    ask(tmp_path, balanced, 5, SETTINGS.model_copy(update={"cap": 2}))
    ask(tmp_path, reworded, 5, SETTINGS.model_copy(update={"label_template": "Sort: {instruction}"}))
    assert balanced.asked == []
    assert len(reworded.asked) == 5


def test_a_few_replies_without_labels_are_reported_and_requested_again(tmp_path: Path) -> None:
    labels = ask(tmp_path, Scripted({"id3": "Sorry, I can't."}), 20)
    assert labels.missing == {"id3": "Sorry, I can't."}
    again = Scripted({})
    assert ask(tmp_path, again, 20).missing == {}
    assert again.asked == ["id3"]


def test_too_many_replies_without_labels_are_an_error_that_shows_them(tmp_path: Path) -> None:
    teacher = Scripted({f"id{number}": "As an AI, I love this!" for number in range(0, 20, 2)})
    with pytest.raises(GenerationError) as caught:
        ask(tmp_path, teacher, 20)
    assert "3 of 5 replies to the label prompt have no label" in caught.value.problem
    assert "As an AI, I love this!" in caught.value.problem
    assert "at most 10%" in caught.value.rule
    assert teacher.closed
    again = Scripted({})
    ask(tmp_path, again, 20)
    assert "id1" not in again.asked


def test_only_replies_without_labels_fail_early(tmp_path: Path) -> None:
    teacher = Scripted({f"id{number}": "no" for number in range(5000)})
    with pytest.raises(GenerationError, match="100 of 100 replies"):
        ask(tmp_path, teacher, 5000)


def test_failed_requests_are_counted_separately(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"\(3 requests failed\)") as caught:
        ask(tmp_path, Scripted({f"id{number}": "HTTP 500" for number in range(20)}), 20)
    assert "request failed: HTTP 500" in caught.value.problem


REFUSAL = "the chat template of 'tiny' refuses the role 'user' in a conversation of user: no"


def test_rows_that_the_template_refuses_are_counted_separately(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = {f"id{number}": REFUSAL for number in range(4)}
    labels = ask(tmp_path, Scripted(script), 5)
    assert set(labels.refused) == set(script) and not labels.missing, "four of five would be too many without a label"
    assert f"4 rows cannot be labelled, the first: row 'id0': {REFUSAL}" in capsys.readouterr().err


def test_rows_that_are_all_refused_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match=r"3 rows cannot be labelled, the first: row 'id0'.*'tiny'.*'user'"):
        ask(tmp_path, Scripted({f"id{number}": REFUSAL for number in range(3)}), 3)


def test_the_error_of_a_failed_request_is_shown_in_full(tmp_path: Path) -> None:
    reason = why_empty(thought_only=True, truncated=True) + " [http://a-teacher-with-a-long-name.team.svc:8000/v1]" * 3
    with pytest.raises(GenerationError) as caught:
        ask(tmp_path, Scripted({f"id{number}": f"HTTP {reason}" for number in range(20)}), 20)
    assert reason in caught.value.problem
