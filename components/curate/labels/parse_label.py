"""Parse the label in a teacher's reply."""

import re

from components.curate.labels.label import Label

READ_LINES = 20
LABEL_WORDS, LABEL_CHARACTERS = 5, 60
PREFIX = re.compile(r"^(?:[\s>#*_`\"'“”‘’.()\-•]|\d+[.)]|(?:labels?|categor(?:y|ies)|answer|output)\s*[:：])+", re.I)
SEPARATOR = re.compile(r"\s*(?:/|／|\||→|->|>)\s*")
NAMED = re.compile(
    r"primary[^\w]*(?:category|label)?\W*[:：=]\W*([^\n,;{}\"*]+).*?secondary[^\w]*(?:category|label)?\W*[:：=]\W*"
    r"([^\n,;{}\"*]+)",
    re.I | re.S,
)
EDGES = " \t\"'“”‘’`*_.,;:!。，：；[]()<>#"


def parse_label(text: str) -> Label | None:
    """Primary and secondary label of a reply, in lower case: its first line of the form `PRIMARY / SECONDARY`.

    Markdown, quotation marks, numbering and a leading `Label:` are skipped; `Primary: … Secondary: …` (JSON too) is
    accepted. A label has a letter, and at most LABEL_WORDS words and LABEL_CHARACTERS characters.
    """
    for line in text.strip().splitlines()[:READ_LINES]:
        parts = SEPARATOR.split(PREFIX.sub("", line).strip(EDGES))
        if 2 <= len(parts) <= 3:
            label = _label(parts[0], parts[1])
            if label is not None:
                return label
    named = NAMED.search(text[:2000])
    return _label(named[1], named[2]) if named else None


def _label(primary: str, secondary: str) -> Label | None:
    names = [" ".join(name.strip(EDGES).lower().split()) for name in (primary, secondary)]
    good = all(
        len(name) <= LABEL_CHARACTERS and len(name.split()) <= LABEL_WORDS and any(map(str.isalpha, name))
        for name in names
    )
    return (names[0], names[1]) if good else None
