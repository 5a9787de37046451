"""Templates of prompts, with placeholders such as `{problem}`."""

import re
from collections.abc import Mapping


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced, all at once: a text may contain braces, or a placeholder.

    Args:
        template: with braces of its own, which are kept.
        values: by placeholder, braces included.
    """
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], template)
