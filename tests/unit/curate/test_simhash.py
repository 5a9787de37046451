import random

import numpy as np
import pytest

from components.curate.duplicates.near_duplicates import find_near_duplicates
from components.curate.duplicates.simhash import Fillers, guard, simhashes
from components.curate.settings import FILLERS
from components.curate.text.token_hashes import TokenHasher
from components.shared.text.words import tokenise

QUESTION = "Which letter does the word horse start with?"
LONG = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. She packed them "
    "into boxes of six and gave two boxes to her brother, who lost one of them on the way to school. How many clips "
    "did Natalia sell altogether in April and May, and how many clips are still in the boxes that her brother has?"
)
THAI = "เมื่อวานนี้ฉันเดินทางไปเที่ยวกับเพื่อนสนิทที่จังหวัดเชียงใหม่และได้กินอาหารอร่อยมากมาย"


def kept(*texts: str, distance: int = 3, short_tokens: int = 32, numbers: bool = True) -> list[int]:
    fillers = Fillers(FILLERS)
    tokens = [fillers.strip(tokenise(text), text) for text in texts]
    guards = np.array([guard(each, short_tokens, numbers) for each in tokens], np.uint64)
    return find_near_duplicates(simhashes(TokenHasher().batch(tokens), 2), guards, distance).kept.tolist()


@pytest.mark.parametrize("text", [QUESTION, LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.lower,
        lambda text: text.replace(" ", "  "),
        lambda text: text.rstrip("?") + "!!",
        lambda text: f"“{text}”",
        lambda text: f"Please {text}",
        lambda text: f"Could you please {text}",
        lambda text: f"{text} Thanks!",
        lambda text: f"Kindly: {text} Thank you very much.",
        lambda text: text.replace(" ", "\n", 3),
    ],
)
def test_the_same_question_in_another_form_is_a_near_duplicate(text: str, change: object) -> None:
    assert kept(text, "What is the capital of France?", change(text)) == [-1, -1, 0]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 12 + 7?", "What is 12 + 8?"),
        ("What is 12 + 7?", "What is 12 - 7?"),
        ("What is 12 minus 7?", "What is 7 minus 12?"),
        ("Spell horse backwards.", "Spell house backwards."),
        ("Is 423 even or odd?", "Is 424 even or odd?"),
        ("Translate into French: thank you", "Translate into French: please"),
        ("计算12加7等于多少", "计算12加8等于多少"),
        (LONG, LONG.replace("48", "84")),
        (LONG, LONG.replace("six", "6")),
        ("दिन में क्या करते हैं?", "दान में क्या करते हैं?"),
        ("คนไปป่ากับใคร", "คนไปป้ากับใคร"),
        ("مَن كَتَبَ هذا؟", "مَن كُتُب هذا؟"),
        # Some 25 words in 60 letters: one tone mark is another word, and too little for the simhash.
        (f"เล่าเรื่องป่าให้ฟัง {THAI}", f"เล่าเรื่องป้าให้ฟัง {THAI}"),
    ],
)
def test_another_question_of_the_same_form_is_not_a_near_duplicate(one: str, other: str) -> None:
    assert kept(one, other) == [-1, -1]


def test_no_two_of_many_short_questions_of_one_template_are_near() -> None:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=5)) for _ in range(3000)]
    assert set(kept(*(f"What is the first letter of {word}?" for word in dict.fromkeys(words)))) == {-1}


def test_a_word_changed_in_a_long_text_is_a_near_duplicate() -> None:
    long = " ".join([LONG, LONG.replace("Natalia", "Betty"), LONG.replace("clips", "stamps")])
    assert kept(long, long.replace("on the way to school", "on the way to work", 1)) == [-1, 0]


def test_numbers_distinguish_only_with_the_setting() -> None:
    long = " ".join([LONG, LONG.replace("Natalia", "Betty"), LONG.replace("clips", "stamps")])
    other = long.replace("48", "84", 1)
    assert kept(long, other) == [-1, -1]
    assert kept(long, other, numbers=False) == [-1, 0]


def test_chinese_texts_in_another_form_are_near_duplicates() -> None:
    assert kept("请翻译下面的句子：我喜欢苹果。", "翻译下面的句子:我喜欢苹果", "翻译下面的句子：我喜欢香蕉。") == [
        -1,
        0,
        -1,
    ]


def test_simhash_values_do_not_change() -> None:
    """Digests of outputs depend on them."""
    batch = TokenHasher().batch([tokenise("What is the capital of France?"), []])
    assert [hex(value) for value in simhashes(batch, 2).tolist()] == ["0xb4c102f106f331e0", "0x0"]


def test_a_bit_is_set_if_more_than_half_of_the_features_set_it() -> None:
    one, even, odd = simhashes(TokenHasher().batch([["horse"], ["horse", "cow"], ["horse", "cow", "pig"]]), 1).tolist()
    assert one.bit_count() > 0
    assert even == one & simhashes(TokenHasher().batch([["cow"]]), 1).tolist()[0]
    singles = [simhashes(TokenHasher().batch([[word]]), 1).tolist()[0] for word in ("horse", "cow", "pig")]
    assert odd == (singles[0] & singles[1]) | (singles[0] & singles[2]) | (singles[1] & singles[2])


def test_a_text_of_only_fillers_is_not_stripped() -> None:
    assert Fillers(FILLERS).strip(["thanks"], "Thanks!") == ["thanks"]


def test_fillers_inside_a_text_are_kept() -> None:
    assert kept("Say please in French", "Say in French") == [-1, -1]
