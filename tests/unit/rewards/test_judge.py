"""The judge: its prompts, how its replies are parsed, and when it fails."""

from collections.abc import Iterable, Iterator

import pytest

from components.models.generators.generator import ChatRequest, Reply, Sampling, Usage
from components.models.generators.transformers import TransformersSettings
from components.rewards.scorers.judge import JudgeMeasure, QualityJudge, SafetyJudge, fill, read_rating
from components.shared.errors import GenerationError
from components.shared.rows import Answered, Response

TEACHER = TransformersSettings(model="judge")


class Scripted:
    """A teacher that replies by what the prompt contains."""

    def __init__(self, replies: dict[str, str]) -> None:
        self.replies, self.prompts = replies, list[str]()
        self.closed = False

    def answer(self, requests: Iterable[ChatRequest], sampling: Sampling) -> Iterator[Reply]:
        # Replies come in any order.
        for request in reversed(list(requests)):
            prompt = request.messages[0].content
            self.prompts.append(prompt)
            text = next((reply for part, reply in self.replies.items() if part in prompt), "no comment")
            refused = text.startswith("the chat template")
            finish = "error" if text == "error" or refused else "stop"
            yield Reply.model_validate({"key": request.key, "text": text, "finish": finish, "refused": refused})

    def usage(self) -> Usage:
        return Usage()

    def close(self) -> None:
        self.closed = True


def row(number: int, *texts: str) -> Answered:
    return Answered(
        id=str(number), source="s", line=number, system="Be kind.", instruction=f"question {number}",
        type="t", primary="p", secondary="s", responses=tuple(Response(origin="teacher", text=t) for t in texts),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Rating: 10", 1.0),
        ("rating: 1", 0.0),
        ("It starts as Rating: 2, but in the end **Rating:** 5.5", 0.5),
        ("[[7]]", round(6 / 9, 6)),
        ("评分：8", round(7 / 9, 6)),
        (" 4 / 10.", round(3 / 9, 6)),
        ("Rating: 11", None),
        ("Rating: 0", None),
        ("It has 3 mistakes", None),
        ("", None),
    ],
)
def test_ratings(text: str, rating: float | None) -> None:
    assert read_rating(text, scale=10) == rating


def test_braces_in_texts_stay() -> None:
    assert fill("{conversation}|{response}|{x}", "{response}", "{conversation}") == "{response}|{conversation}|{x}"


def test_quality_of_each_response_is_asked_once() -> None:
    teacher = Scripted({"good": "Rating: 10", "bad": "Rating: 1"})
    measure = JudgeMeasure(QualityJudge(teacher=TEACHER), teacher, "")
    found = measure.measure([row(1, "good", "bad", "good", ""), row(2, "odd")])
    assert [one.values for one in found] == [(1.0, 0.0, 1.0, None), (None,)] and found[0].request is None
    assert len(teacher.prompts) == 3 and "system: Be kind.\nuser: question 1" in teacher.prompts[-1]
    measure.close()
    assert teacher.closed


def test_safety_asks_about_the_request_too() -> None:
    settings = SafetyJudge(teacher=TEACHER)
    teacher = Scripted({"[Response]": "Rating: 10", "question 1": "Rating: 1"})
    found = JudgeMeasure(settings, teacher, settings.request_prompt()).measure([row(1, "No.")])
    assert found[0].request == 0.0 and found[0].values == (1.0,)


@pytest.mark.parametrize(
    ("reply", "most", "fails"), [("no comment", 0.1, True), ("error", 0.1, True), ("hm", 1.0, False)]
)
def test_unreadable_replies_are_counted_and_fail_above_their_share(reply: str, most: float, fails: bool) -> None:
    measure = JudgeMeasure(
        QualityJudge(teacher=TEACHER, max_unreadable_share=most), Scripted({"odd": reply, "good": "Rating: 9"}), ""
    )
    rows = [row(number, "good", "odd") for number in range(10)]
    if not fails:
        assert measure.measure(rows)[0].values[1] is None
        return
    with pytest.raises(GenerationError, match="10 of the judge's 20 replies") as caught:
        measure.measure(rows)
    assert "max_unreadable_share" in caught.value.rule


def test_a_row_that_the_judges_template_refuses_is_not_an_unreadable_reply() -> None:
    why = "the chat template of 'judge' refuses the role 'user' in a conversation of user: no"
    measure = JudgeMeasure(QualityJudge(teacher=TEACHER), Scripted({"odd": why, "good": "Rating: 10"}), "")
    found = measure.measure([row(number, "good", "odd" if number % 2 else "good too") for number in range(30)])
    assert [one.values for one in found] == [(1.0, 1.0), (None, None)] * 15
    assert found[1].refused == f"row '1': {why}" and not found[0].refused and measure.unreadable == 0
