import numpy as np
import pytest

from components.curate.tokens import TokenHasher, grams, is_number, spell, tokenise


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
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert tokenise(text) == tokens


def test_a_sum_and_a_difference_are_different_tokens() -> None:
    assert tokenise("What is 12 + 7?") != tokenise("What is 12 - 7?")


def test_numbers_are_told_from_words() -> None:
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
