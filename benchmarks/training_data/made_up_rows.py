"""The select step's output, made up: rows of random letters, of which the demo's tokenizer makes one token each."""

from typing import Any

import numpy as np

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import KtoRow, Message, Pair, Row, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from components.train.methods.registry import METHODS

PROMPT_SHARE = 0.4
"""Of a row's letters."""


class MadeUpRows(Settings):
    """Settings of the step whose output is made up here."""

    part: str
    rows: int
    tokens: int


def write_rows(root: str, method: str, count: int, tokens: int) -> Manifest:
    """The output with the rows that a method reads; one that is in the store already is taken."""
    part = METHODS[method].part
    settings = MadeUpRows(part=part, rows=count, tokens=tokens)
    output = Output(Library(root), Product("select", 1, "selection/1"), settings, {})
    if (made := output.manifest()) is not None:
        return made
    writer, letters = RowWriter(output, part), Letters(tokens)
    for number in range(count):
        writer.add(made_up_row(part, number, letters))
    writer.close()
    return output.finish()


class Letters:
    """Random texts, the same ones each time; `tokens` letters are a row."""

    def __init__(self, tokens: int) -> None:
        self._draw, self._tokens = np.random.default_rng(0), tokens

    def text(self, share: float) -> str:
        """A text of a share of a row's letters."""
        letters = self._draw.integers(ord("a"), ord("z") + 1, int(self._tokens * share), np.uint8)
        return letters.tobytes().decode()


def made_up_row(part: str, number: int, letters: Letters) -> Row:
    """A row of a part; its kind and scores do not matter here."""
    prompt = (Message(role="user", content=letters.text(PROMPT_SHARE)),)
    common: dict[str, Any] = {"id": str(number), "prompt": prompt}
    if part == "pairs":
        half = (1 - PROMPT_SHARE) / 2
        origins = {"chosen_origin": "teacher", "rejected_origin": "student"}
        scores = {"chosen_scores": Scores(total=1.0), "rejected_scores": Scores(), "margin": 1.0}
        return Pair(**common, chosen=letters.text(half), rejected=letters.text(half), **origins, **scores)
    one = {**common, "completion": letters.text(1 - PROMPT_SHARE), "origin": "teacher", "scores": Scores()}
    return KtoRow(**one, label=number % 2 == 0) if part == "kto" else SftRow(**one)
