"""Text as tokens: words, numbers and signs in a normal form, the same for every step.

Normalisation: NFKC, invisible characters removed (Unicode's Default_Ignorable_Code_Point, as in NFKC_Casefold), curly
apostrophes and long dashes made plain, casefold. Tokens follow Unicode's word boundaries (UAX #29): a word is letters
with their combining marks (vowel signs, tones, vocalisation), with inner apostrophes, middle dots and geresh.
Scripts without spaces between words (`scripts.py`) have one token for each letter with its combining marks. Numbers are
tokens (`1,000` is `1000`, `3.5` is one token), and so are emoji and signs with a meaning: `+ = < > ^ %` and
currencies anywhere, `- * /` before a number. All other punctuation and white space is dropped.
"""

import re
import unicodedata
from collections.abc import Sequence

import regex

from components.shared.text.scripts import UNSPACED, is_unspaced

_FORM = (
    r"\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?!,?\d)|\d+(?:\.\d+)?"  # a number, also with thousands separators
    r"{single}"
    r"|\b[a-z](?:\+\+|\#)"  # C++, C#, F#
    r"|{first}{inner}*(?:[{joins}]{inner}+)*"
    r"|[+=<>±×÷∑√∞≤≥≠≈∫^%$€£¥₹]|[-*/](?=\s*\d)"
    "|[\U0001f000-\U0001faff\u2600-\u27bf]"
)
# Two equivalent patterns: most texts are ASCII, for which the standard library's re is four times as fast.
PLAIN_TOKEN = re.compile(_FORM.format(single="", first="[a-z_]", inner="[a-z0-9_]", joins="'"), re.ASCII)
TOKEN = regex.compile(
    _FORM.format(
        single=rf"|[[{UNSPACED}]&&[\p{{L}}\p{{Nl}}]]\p{{M}}*",
        first=rf"[[\p{{L}}\p{{N}}_]--[{UNSPACED}\d]]",
        inner=rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{UNSPACED}]]",
        joins="'·׳״",
    ),
    regex.V1,
)
# Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt): joiners, soft hyphens, directions, variants.
INVISIBLE = (
    *(0xAD, 0x34F, 0x61C, *range(0x115F, 0x1161), *range(0x17B4, 0x17B6), *range(0x180B, 0x1810)),
    *(*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0x3164, *range(0xFE00, 0xFE10)),
    *(0xFEFF, 0xFFA0, *range(0xFFF0, 0xFFF9), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B)),
    *range(0xE0000, 0xE1000),
)
PLAIN = str.maketrans({"’": "'", "‘": "'", "−": "-", "–": "-", "—": "-"} | {chr(code): None for code in INVISIBLE})


def normalise(text: str) -> str:
    """NFKC without invisible characters, plain apostrophes and dashes, casefolded."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKC", text).translate(PLAIN).casefold()
    # Removal and casefolding can separate or join letters and marks: normalise again, as NFKC_Casefold does.
    return plain if plain.isascii() else unicodedata.normalize("NFKC", plain)


def tokenise(text: str) -> list[str]:
    """The tokens of a text, in order."""
    plain = normalise(text)
    tokens: list[str] = (PLAIN_TOKEN if plain.isascii() else TOKEN).findall(plain)
    return [token.replace(",", "") for token in tokens] if "," in plain else tokens


def is_number(token: str) -> bool:
    """Whether a token is a number."""
    return token[0].isdigit()


def spell(tokens: Sequence[str]) -> str:
    """Tokens as readable text: spaces between words, none within scripts without spaces."""
    parts: list[str] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        together = before is not None and is_unspaced(before) and is_unspaced(token)
        parts += [token] if before is None or together else [" ", token]
    return "".join(parts)
