"""A label, and the row in which it is stored."""

from typing import ClassVar

from components.shared.rows import Row
from components.shared.step import Product

Label = tuple[str, str]
"""Primary and secondary label."""


class LabelRow(Row):
    """One instruction's label, and the tokens it took."""

    content: ClassVar[str] = "label/1"

    id: str
    primary: str
    secondary: str
    tokens_in: int = 0
    tokens_out: int = 0


LABELS = Product("curate-labels", 3, LabelRow.content)
