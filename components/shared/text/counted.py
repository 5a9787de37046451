"""Counts in messages: `1 question`, `1,319 questions`."""


def counted(count: float, noun: str, plural: str = "") -> str:
    """A whole number and its noun, which is in the singular for 1.

    Args:
        count: what is counted; numbers of manifests are floats.
        noun: in the singular.
        plural: where it is not the noun with an s.
    """
    return f"{count:,.0f} {noun if count == 1 else plural or f'{noun}s'}"
