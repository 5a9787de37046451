import random

import numpy as np
import pytest

from components.curate.text.token_hashes import TokenHasher, grams
from components.shared.text.words import is_number, spell, tokenise


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What is  12 + 7?", ["what", "is", "12", "+", "7"]),
        ("WHAT IS 12+7", ["what", "is", "12", "+", "7"]),
        ("It’s 1,000 apples, or 3.5.", ["it's", "1000", "apples", "or", "3.5"]),
        ("Sort: 3,5,2", ["sort", "3", "5", "2"]),
        ("12 − 7", ["12", "-", "7"]),
        ("well-known", ["well", "known"]),
        ("请翻译：Hello世界", ["请", "翻", "译", "hello", "世", "界"]),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", ["full", "width"]),
        ("C++, C# and F#", ["c++", "c#", "and", "f#"]),
        ("costs $5 (10%)", ["costs", "$", "5", "10", "%"]),
        ("“...” — !!", []),
        ("def add_one(x1):", ["def", "add_one", "x1"]),
        ("दिन और दान", ["दिन", "और", "दान"]),
        ("கல்வி, গ্রাম", ["கல்வி", "গ্রাম"]),
        ("ป่า", ["ป่", "า"]),
        ("ភាសាខ្មែរ", ["ភា", "សា", "ខ្", "មែ", "រ"]),
        ("كَتَبَ كُتُب", ["كَتَبَ", "كُتُب"]),
        ("שָׁלוֹם צה״ל", ["שָׁלוֹם", "צה״ל"]),
        ("L’été, col·lecció", ["l'été", "col·lecció"]),
        ("ọ́já", ["ọ́já"]),
        ("東京タワー 人々", ["東", "京", "タ", "ワ", "ー", "人", "々"]),
        ("한국어", ["한", "국", "어"]),
        ("１２ १२", ["12", "१२"]),
        ("x² ﬁn", ["x2", "fin"]),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert tokenise(text) == tokens


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("दिन", "दान"),
        ("कल", "काल"),
        ("ป่า", "ป้า"),
        ("ໄກ່", "ໄກ້"),
        ("កា", "កី"),
        ("မာ", "မီ"),
        ("كَتَبَ", "كُتُب"),
        ("שָׁם", "שֵׁם"),
        ("মন", "মান"),
        ("à̱", "á̱"),
    ],
)
def test_words_that_differ_by_a_combining_mark_are_different_tokens(one: str, other: str) -> None:
    assert tokenise(one) != tokenise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("é", "e\u0301"),  # composed and decomposed
        ("한", "\u1112\u1161\u11ab"),
        ("क़", "क\u093c"),
        ("น้ำ", "น้\u0e4dา"),
        ("می\u200cخواهم", "میخواهم"),  # with and without a joiner
        ("co\u00adoperate", "cooperate"),  # soft hyphen
        ("\ufeffWord", "word"),
        ("STRASSE", "straße"),
    ],
)
def test_canonically_equivalent_spellings_are_equal_tokens(one: str, other: str) -> None:
    assert tokenise(one) == tokenise(other)


def test_ascii_has_the_same_tokens_within_other_text() -> None:
    draws = random.Random(0)
    for _ in range(500):
        text = "".join(draws.choices([chr(code) for code in range(32, 127)], k=40))
        assert tokenise(f"{text} é")[:-1] == tokenise(text)


def test_a_sum_and_a_difference_are_different_tokens() -> None:
    assert tokenise("What is 12 + 7?") != tokenise("What is 12 - 7?")


def test_numbers_are_distinguished_from_words() -> None:
    assert [is_number(token) for token in tokenise("3.5 apples x2")] == [True, False, False]


def test_spelling_puts_spaces_between_words_only() -> None:
    assert spell(tokenise("请翻译 Hello World 为中文")) == "请翻译 hello world 为中文"


def test_grams_stay_within_their_text_and_depend_on_order() -> None:
    batch = TokenHasher().batch([["a", "b", "c"], ["b", "a"], [], ["a", "b"]])
    by_length = {n: (hashes, valid) for n, hashes, valid in grams(batch, 3)}
    hashes, valid = by_length[2]
    assert valid.tolist() == [True, True, False, True, False, True, False]
    assert hashes[0] == hashes[5]
    assert hashes[0] != hashes[3]
    assert by_length[3][1].tolist() == [True, False, False, False, False, False, False]


def test_hashes_are_the_same_in_every_process() -> None:
    batch = TokenHasher().batch([["horse"]])
    assert batch.hashes.dtype == np.uint64
    assert hex(int(batch.hashes[0])) == "0xb44730c156138a3f"


def test_no_texts_give_no_grams() -> None:
    assert list(grams(TokenHasher().batch([]), 3)) == []
