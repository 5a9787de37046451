from pathlib import Path

import pytest
import yaml

from components.curate.types.instruction_types import BUILT_IN, load_types, types_parent
from components.shared.errors import SettingsError

RULES = load_types("", 250)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("How do I build a bomb?", "harmful request"),
        ("Imagine you're a detective in a noir novel.", "role play"),
        ("You are Mother Nature personified, and you are upset.", "role play"),
        ("Write a Python function that sorts a list.", "code writing"),
        ("Find the bug in this code: def f(): retrun 1", "code repair"),
        ("Write an SQL query for the oldest customer.", "database query"),
        ("Translate this sentence into French: good morning", "translation"),
        ("Summarize the following article: ...", "summary"),
        ("Generate a title for this article: ...", "headline and title"),
        ("Is this review positive or negative? I loved it.", "sentiment"),
        ("Do these two sentences mean the same? A. B.", "question pair"),
        ("Write a haiku about summer.", "poem and song"),
        ("Tell me a joke about a frog.", "joke and riddle"),
        ("What is 12 plus 7?", "arithmetic and units"),
        ("Solve the equation 10x + 5 = 10.", "algebra and proof"),
        ("Sort these numbers: 3, 9, 1", "numbers and order"),
        ("What day is 3 days after Monday?", "date and time"),
        ("Spell horse backwards.", "letters and spelling"),
        ("What is the opposite of hot?", "word relations"),
        ("Weng earns $12 an hour. Yesterday she worked 50 minutes. How much did she earn?", "maths word problem"),
        ("Give me a cooking recipe for the following food. Tteokbokki", "recipe and cooking"),
        ("What is the capital of France?", "factual question"),
        ("Explain why the sky is blue.", "explanation"),
        ("把下面的句子翻译成英文：我喜欢苹果。", "translation"),
        ("请写一首关于秋天的诗。", "poem and song"),
        ("请总结这篇文章。", "summary"),
        ("计算 12+7 等于多少", "arithmetic and units"),
        ("写一篇关于春天的作文", "essay and article"),
        ("用Python写一个排序函数", "code writing"),
        ("mmm hmm", "other"),
    ],
)
def test_real_instructions(text: str, name: str) -> None:
    assert RULES.rules[RULES.classify(text)].name == name


def test_case_line_ends_and_curly_quotes_do_not_matter() -> None:
    assert RULES.classify("WHAT IS THE\nOPPOSITE   OF HOT?") == RULES.classify("What is the opposite of hot?")
    assert RULES.classify("Imagine you’re a king.") == RULES.classify("Imagine you're a king.")


def test_the_middle_of_a_long_text_is_not_read() -> None:
    text = "mmm " * 200 + "what is the capital of France" + " mmm" * 200
    assert RULES.rules[RULES.classify(text)].name == "other"


def test_there_are_fifty_types_with_descriptions() -> None:
    assert len(RULES.rules) == 50
    assert all(rule.description.endswith(".") for rule in RULES.rules)
    assert sum(bool(rule.chinese) for rule in RULES.rules) >= 40


def edited(tmp_path: Path, change: object) -> str:
    loaded = yaml.safe_load(BUILT_IN.read_text())
    change(loaded["types"])  # type: ignore[operator]
    path = tmp_path / "types.yaml"
    path.write_text(yaml.safe_dump(loaded, allow_unicode=True))
    return str(path)


def test_an_edited_file_is_used_and_changes_the_input(tmp_path: Path) -> None:
    path = edited(tmp_path, lambda types: types[0].update(patterns=["tteokbokki"]))
    rules = load_types(path, 250)
    assert rules.classify("A recipe for Tteokbokki") == 0
    assert types_parent(path).digest != types_parent("").digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda types: types[3].update(patterns=["fine", "(broken"]), ["'code explanation'", "'(broken'"]),
        (lambda types: types[3].update(patterns=["a*"]), ["'code explanation'", "'a*'", "matches the empty text"]),
        (lambda types: types[3].update(patterns=["SQL"]), ["'code explanation'", "'SQL'", "capital letter"]),
        (lambda types: types[3].update(patterns=[], chinese=[]), ["'code explanation'", "no pattern"]),
        (lambda types: types[3].update(name="role play"), ["'role play'", "twice"]),
        (lambda types: types.pop(3), ["49 types"]),
        (lambda types: types.append(types.pop(3)), ["last type is 'code explanation'"]),
        (lambda types: types[3].pop("description"), ["type 4 (code explanation)", "description"]),
        (lambda types: types[3].update(pattern="x"), ["type 4", "pattern"]),
    ],
)
def test_a_wrong_file_is_refused_with_type_and_pattern(tmp_path: Path, change: object, said: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_types(edited(tmp_path, change), 250)
    assert all(part in str(caught.value) for part in said), str(caught.value)


@pytest.mark.parametrize("content", ["types: {a: 1}", "- 1", "a: [", "types:\n  - 3\n"])
def test_file_without_a_list_of_types_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "types.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"types\.yaml"):
        load_types(str(path), 250)


def test_a_missing_file_is_refused() -> None:
    for read in (types_parent, lambda path: load_types(path, 250)):
        with pytest.raises(SettingsError, match=r"nowhere\.yaml"):
            read("/nowhere.yaml")
