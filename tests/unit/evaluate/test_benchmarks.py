"""Each benchmark's protocol: prompts, worked examples and scores."""

import pytest

from components.evaluate.benchmarks.humaneval import program
from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.score import score_samples
from components.rewards.checks.choice_check import ChoiceChecker
from components.shared.errors import InputError
from components.shared.rows import Check, Question, Sample
from components.shared.sandbox.run_python import SandboxLimits

LIMITS = SandboxLimits(cpu_seconds=2, wall_seconds=5)


def question(benchmark: str, **fields: object) -> Question:
    return Question.model_validate({"benchmark": benchmark, "id": "1", "question": "?", "answer": "", **fields})


def score(row: Question, reply: str) -> float:
    return BENCHMARKS[row.benchmark].judge(row, reply, LIMITS)


def test_paper_protocol() -> None:
    shots = {name: benchmark.few_shot for name, benchmark in BENCHMARKS.items()}
    assert shots == {
        **{"gsm8k": 4, "mmlu": 0, "cmmlu": 0, "ceval": 0, "humaneval": 0},
        **{"ifeval": 0, "bbh": 3, "checked": 0, "ranked": 0, "qqp": 0, "free_text": 0},
        **{"math_500": 0, "aime_2024": 0, "aime_2025": 0, "amc_2023": 0, "minerva": 0, "olympiadbench": 0},
    }
    assert BENCHMARKS["humaneval"].metric == "pass@1"


def test_the_prompt_lists_the_choices_with_their_letters() -> None:
    for name in ("mmlu", "cmmlu", "ceval"):
        row = question(name, question="Which?", choices=("one", "two", "three", "four"), answer="C", subject="x_y")
        prompt = BENCHMARKS[name].prompt(row)
        assert "Which?" in prompt and "\nA. one\nB. two\nC. three\nD. four\n" in prompt
        assert score(row, "C") == 1 and score(row, "答案是C") == 1 and score(row, "B") == 0 and score(row, "") == 0
    assert "选项的字母" in BENCHMARKS["ceval"].prompt(row)


def test_choice_examples_come_from_the_dev_questions_of_the_subject() -> None:
    dev = [question("mmlu", question="D1", choices=("a", "b"), answer="B", split="dev", subject="s")]
    ((user, reply),) = BENCHMARKS["mmlu"].shots("s", dev)
    assert "D1" in user and reply == "B"


def test_gsm8k_has_four_worked_examples_that_its_own_scorer_accepts() -> None:
    examples = BENCHMARKS["gsm8k"].shots("", [])[: BENCHMARKS["gsm8k"].few_shot]
    assert len(examples) == 4
    for (user, reply), answer in zip(examples, ("6", "5", "39", "8"), strict=True):
        assert "step by step" in user
        assert score(question("gsm8k", answer=answer), reply) == 1


def test_gsm8k_compares_values() -> None:
    row = question("gsm8k", answer="1,080")
    assert score(row, "… so $1080.00. The answer is 1080.") == 1
    assert score(row, "The answer is 1081") == 0


def test_gsm8k_is_read_by_the_papers_protocol_too() -> None:
    rows = [question("gsm8k", id=str(number), answer="18") for number in range(4)]
    replies = ["The answer is 18.", "The answer is 9 * 2 = 18.", "<think>The answer is 18.</think>#### 18", "17"]
    benchmark = BENCHMARKS["gsm8k"]
    samples = [
        Sample(benchmark="gsm8k", id=row.id, outputs=(reply,), scores=(score(row, reply),))
        for row, reply in zip(rows, replies, strict=True)
    ]
    whole, strict = score_samples(benchmark, rows, samples)
    assert (whole.metric, whole.value) == ("exact_match", 0.75)
    assert (strict.metric, strict.value, strict.benchmark, strict.count) == ("strict_match", 0.25, "gsm8k", 4)
    for (_, reply), answer in zip(benchmark.shots("", [])[:4], ("6", "5", "39", "8"), strict=True):
        assert benchmark.read_as("strict_match", question("gsm8k", answer=answer), reply) == 1


def test_gsm8k_stops_before_a_second_question() -> None:
    assert "\nQ:" in BENCHMARKS["gsm8k"].stop
    reply = "The answer is 5.\n\nProblem: Tom has 3 cats. The answer is 3."
    assert score(question("gsm8k", answer="5"), reply) == 1


@pytest.mark.parametrize(
    ("row", "right", "wrong"),
    [
        (question("gsm8k", answer="8"), "The answer is 8.", "The answer is 7."),
        (question("mmlu", answer="B", choices=("a", "b", "c", "d")), "B", "The answer is C."),
        (question("ceval", answer="B", choices=("a", "b", "c", "d")), "答案是B", "答案是C"),
        (question("bbh", answer="(A)"), "So the answer is (A).", "So the answer is (B)."),
        (question("checked", check={"kind": "exact", "answer": "4"}), "4", "5"),
        (
            question("ifeval", extra={"instruction_id_list": '["punctuation:no_comma"]', "kwargs": "[{}]"}),
            "No commas.",
            "One, two.",
        ),
        (
            question("humaneval", question="def one():\n", extra={"tests": "assert one() == 1", "entry_point": "one"}),
            "    return 1",
            "    return 2",
        ),
    ],
)
def test_reasoning_is_not_part_of_an_answer(row: Question, right: str, wrong: str) -> None:
    assert score(row, f"<think>\n{wrong}\n</think>\n{right}") == 1
    assert score(row, f"<think>\n{right}\n</think>\n{wrong}") == 0
    assert score(row, f"<think>\n{right}") == 0, "it was truncated before its answer"


def test_choices_are_read_as_in_select() -> None:
    row = question("mmlu", answer="B", choices=("red", "green", "blue", "grey"))
    reply = "The answer is B. Option A is incorrect because it is warm."
    assert score(row, reply) == 1 and ChoiceChecker().passes(Check(kind="choice", answer="B"), reply)


def test_bbh_has_three_worked_examples_for_a_task_and_reads_its_answers() -> None:
    examples = BENCHMARKS["bbh"].shots("boolean_expressions", [])
    assert len(examples) == 3
    assert score(question("bbh", answer="False", subject="boolean_expressions"), examples[0][1]) == 1
    assert BENCHMARKS["bbh"].shots("no_such_task", []) == []


@pytest.mark.parametrize(
    ("answer", "reply", "points"),
    [
        ("(A)", "Because of this. So the answer is (A).", 1),
        ("(A)", "So the answer is A", 1),
        ("(A)", "So the answer is (B).", 0),
        ("3.5", "The answer is 3.5.", 1),
        ("costume counterpart oven", "So the answer is costume counterpart oven.", 1),
        ("yes", "Yes", 1),
        ("no", "The answer is yes. Wait. So the answer is no.", 1),
        ("no", "", 0),
    ],
)
def test_bbh_answers(answer: str, reply: str, points: float) -> None:
    assert score(question("bbh", answer=answer), reply) == points


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"kind": "exact", "answer": "4, 19, 26"}, " 4, 19, 26\n", "It is 4, 19, 26"),
        ({"kind": "exact", "answer": "ARM"}, "arm", "an arm"),
        ({"kind": "exact", "answer": "ARM", "ignore_case": False}, "ARM", "arm"),
        ({"kind": "exact", "answer": "Hong Kong", "ignore_punctuation": True}, "\u201cHong (Kong).\u201d", "Hong-Kong"),
        ({"kind": "exact", "answer": "-3.5", "ignore_punctuation": True}, "-3.5.", "3.5"),
        ({"kind": "exact", "answer": "?!", "ignore_punctuation": True}, "?!", "?"),
        ({"kind": "exact", "answer": "yes"}, "Yes", "Yes."),
        ({"kind": "math", "answer": "1/2"}, "So x = 0.5.", "So x = 0.6."),
        ({"kind": "choice", "answer": "B"}, "The answer is (B).", "The answer is (C)."),
        ({"kind": "code", "tests": "assert one() == 1", "entry_point": "one"}, "def one():\n    return 1", "one = 1"),
    ],
)
def test_questions_of_ones_own_are_scored_by_their_check(check: dict[str, object], right: str, wrong: str) -> None:
    row = question("checked", check=check)
    assert (score(row, right), score(row, wrong), score(row, "")) == (1, 0, 0)


ADD = {
    "question": 'import math\n\n\ndef half(x):\n    return x / 2\n\n\ndef add(a, b):\n    """Add."""\n',
    "extra": {"tests": "def check(f):\n    assert f(1, 2) == 3 and half(2) == 1\n", "entry_point": "add"},
}


@pytest.mark.parametrize(
    ("reply", "points"),
    [
        ("    return a + b\n", 1),
        ("return a + b", 1),
        ("```python\ndef add(a, b):\n    return a + b\n```", 1),
        ("Here it is:\n```python\ndef add(a, b):\n    return math.floor(a + b)\n```\nIt adds.", 1),
        ("```\n    return a + b\n```", 1),
        ("    return a + b\n\nprint('this would not parse' if", 1),
        ("    return a - b", 0),
        ("I cannot do that.", 0),
        ("", 0),
        ("```python\ndef add(a, b):\n    while True: pass\n```", 0),
        ("```python\nimport sys\ndef add(a, b):\n    sys.exit(0)\n```", 0),
        ("```bash\npython add.py\n```\n```python\ndef add(a, b):\n    return a + b\n```", 1),
        ("```python\ndef add(a, b):\n    return a + b\n\nprint(add(int(input()), 1))\n```", 1),
    ],
)
def test_humaneval_runs_replies(reply: str, points: float) -> None:
    assert score(question("humaneval", **ADD), reply) == points


def test_humaneval_without_tests_says_what_is_missing() -> None:
    with pytest.raises(InputError, match="lacks its tests"):
        program(question("humaneval", extra={"entry_point": "f"}), "")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("yes", 1),
        ("Yes.", 1),
        ("**Yes**, both do. No doubt.", 1),
        ("no", 0),
        ("The answer is no", 0),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_qqp_reads_the_first_label(reply: str, expected: float) -> None:
    assert score(question("qqp", answer="yes"), reply) == expected


def test_qqp_is_asked_as_it_was_imported_and_has_a_vote() -> None:
    row = question("qqp", question="Question 1: A?\nQuestion 2: B?", answer="no")
    assert BENCHMARKS["qqp"].prompt(row) == row.question and BENCHMARKS["qqp"].metric == "accuracy"
    assert BENCHMARKS["qqp"].votes(row, ["No.", "no", "maybe"], LIMITS) == ["no", "no", None]


def test_free_text_is_graded_from_0_to_1() -> None:
    row = question("free_text", question="Go on:", answer="the moths went by")
    assert score(row, "the moths went by") == 1 and score(row, "XYZ") == 0
    assert 0 < score(row, "the moths are gone") < 1
    assert score(row, "<think>the moths went by") == 0
    assert BENCHMARKS["free_text"].metric == "chrf"


def test_a_check_that_grades_scores_questions_of_ones_own() -> None:
    row = question("checked", check=Check(kind="chrf", answer="the moths went by"))
    assert score(row, "the moths went by") == 1 and 0 < score(row, "the moths are gone") < 1
