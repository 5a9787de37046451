"""The numbered steps of a text: where they begin, and what is before or after one of them."""

import re

_STEP = re.compile(r"^[ \t>*#_]*(?:step[ \t]+)?(\d{1,3})[ \t]*[.．):：、](?!\d)", re.IGNORECASE | re.MULTILINE)


def step_starts(text: str) -> list[int]:
    """Where each step begins: lines that start with 1., 2., 3. in this order; other numbered lines belong to a step.

    Accepts what models write for the same: `1)`, `1:`, `Step 1:`, `**1.`, `### Step 1.`
    """
    starts: list[int] = []
    for found in _STEP.finditer(text):
        if int(found[1]) == len(starts) + 1:
            starts.append(found.start())
    return starts


def first_steps(text: str, share: float) -> str:
    """The beginning of a text: this share of its steps, at least one and not the last; empty where it has only one."""
    starts = step_starts(text)
    given = min(max(int(share * len(starts)), 1), len(starts) - 1)
    return text[: starts[given]] if given > 0 else ""


def as_steps(text: str) -> str:
    """The text in numbered steps: as it is where it has some, else each of its lines is one."""
    if step_starts(text):
        return text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def before_step(text: str, number: int) -> str:
    """What comes before a step, which the text must have; the number is from 1."""
    return text[: step_starts(text)[number - 1]]


def from_step(text: str, number: int) -> str | None:
    """The text from its first numbered line on, if that line has this number; words before it are left out."""
    found = _STEP.search(text)
    return text[found.start() :] if found is not None and int(found[1]) == number else None
