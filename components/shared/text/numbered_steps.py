"""The numbered steps of a text: where they begin, and what is before one of them."""

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
