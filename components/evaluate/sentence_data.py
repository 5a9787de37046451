"""The IFEval checkers of lm-evaluation-harness, without the download that importing them starts.

Their module downloads NLTK's `punkt_tab` when it is not installed. Two of the 25 kinds of instructions need it: the
number of sentences, and the number of words in capitals. Where it is missing, a Punkt model without training data but
with a list of common English abbreviations replaces it: sentences end at `.`, `!` and `?` as usual, and differ only
after rarer abbreviations and initials. Set NLTK_DATA to a folder with `tokenizers/punkt_tab` for the
trained model.
"""

import os
from functools import cache
from typing import Any

from components.models.reference import cache_folder
from components.shared.log import say

ABBREVIATIONS = (
    "dr mr mrs ms prof st vs etc e.g i.e jr sr inc ltd co corp no vol fig al approx dept est p.m a.m u.s u.k "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)
FILES = {
    "abbrev_types.txt": "\n".join(ABBREVIATIONS.split()),
    "collocations.tab": "",
    "sent_starters.txt": "",
    "ortho_context.tab": "",
}


@cache
def load_checkers() -> Any:
    """The module of IFEval's checkers, with deterministic language detection."""
    _provide_punkt()
    import langdetect  # type: ignore[import-untyped]
    from lm_eval.tasks.ifeval import utils

    # langdetect samples, so it is seeded: equal replies get equal scores.
    langdetect.DetectorFactory.seed = 0
    return utils


def _provide_punkt() -> None:
    import nltk  # type: ignore[import-untyped]

    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        say("evaluate", "ifeval: NLTK's punkt_tab is not installed; sentences are split without its trained data")
        home = cache_folder() / "nltk"
        folder = home / "tokenizers" / "punkt_tab" / "english"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in FILES.items():
            # Several steps may write these files at once, so each is renamed into place.
            part = folder / f"{name}.{os.getpid()}"
            part.write_text(text)
            part.replace(folder / name)
        nltk.data.path.append(str(home))
