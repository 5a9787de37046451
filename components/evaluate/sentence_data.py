"""lm-evaluation-harness' IFEval checkers, without the download that importing them starts.

Their module fetches NLTK's `punkt_tab` when it is not on this machine. Two of the 25 kinds of instruction need it: the
number of sentences, and the number of words in capitals. Where it is missing, a Punkt model without training data but
with a list of common English abbreviations is put in its place: sentences end at `.`, `!` and `?` as always, and
differ only after rarer abbreviations and initials. Set NLTK_DATA to a folder with `tokenizers/punkt_tab` for the
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
    """lm-evaluation-harness' module of IFEval's checkers, with language detection made repeatable."""
    _provide_punkt()
    import langdetect  # type: ignore[import-untyped]
    from lm_eval.tasks.ifeval import utils

    # langdetect samples; its detector is seeded so that equal replies get equal scores.
    langdetect.DetectorFactory.seed = 0
    return utils


def _provide_punkt() -> None:
    import nltk  # type: ignore[import-untyped]

    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        say("evaluate", "ifeval: NLTK's punkt_tab is not here; sentences are split without its trained data")
        home = cache_folder() / "nltk"
        folder = home / "tokenizers" / "punkt_tab" / "english"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in FILES.items():
            # Several steps may do this at once: each file appears whole.
            part = folder / f"{name}.{os.getpid()}"
            part.write_text(text)
            part.replace(folder / name)
        nltk.data.path.append(str(home))
