"""Normalises mathematical notation: one spelling for each thing, so that different texts differ in meaning.

`\\left( 0 , 1 \\right)` → `(0,1)`; `\\dfrac34` → `\\frac{3}{4}`; `5\\text{ cm}` → `5 cm`; `2√3` → `2\\sqrt{3}`.
"""

import re

from components.rewards.numbers.numerals import plain_numbers

_SIGNS = {
    **{
        "π": r"\pi ",
        "∞": r"\infty ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "±": r"\pm ",
    },
    **{"×": r"\times ", "÷": "/", "·": r"\cdot ", "⋅": r"\cdot ", "∅": r"\emptyset ", "°": r"^{\circ}", "∈": r"\in "},
    **{"θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "λ": r"\lambda ", "⩽": r"\le ", "⩾": r"\ge "},
}
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_NAMES = {
    **{
        "leq": "le",
        "leqslant": "le",
        "geq": "ge",
        "geqslant": "ge",
        "neq": "ne",
        "varnothing": "emptyset",
        "degree": "circ",
    },
    **{"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "colon": ":", "lbrace": "{", "rbrace": "}", "div": "/"},
}
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathsf|mathit|boldsymbol|bold|bf|rm|mbox|hbox|operatorname|emph|underline|fbox|boxed)"
    r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_LAYOUT = re.compile(
    r"\\(?:left|right|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|displaystyle|limits|nolimits|quad|qquad|thinspace|space|phantom\{[^{}]*\})(?![A-Za-z])"
    r"|\\[,!;: ]|~|\\(?=[$%&#_])|\*\*(?=\s|\S+\*\*)|\*\*|`"
)
_MATH_MODE = re.compile(r"\\\(|\\\)|\\\[|\\\]|\$\$|(?<![A-Za-z])\$(?!\d)|\$(?=\s*$)|\$(?=[A-Za-z\\(\[{-])")
_FRAC = re.compile(
    r"\\frac\s*(\{(?:[^{}]|\{[^{}]*\})*\}|\\?[A-Za-z]+|\d)\s*(\{(?:[^{}]|\{[^{}]*\})*\}|\\?[A-Za-z]+|\d)"
)
_SQRT = re.compile(
    r"(?<![\\A-Za-z])(?:sqrt|√)\s*(?:\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))|\\sqrt\s*(\d|[A-Za-z])(?![A-Za-z{\[])"
)
_SCRIPT = re.compile(r"([\^_])\s*(\\circ|\\[A-Za-z]+|-?\d|[A-Za-z])(?![\d{])")
_FUNCTIONS = re.compile(r"(?<![\\A-Za-z])(pi|infty|infinity|sin|cos|tan|cot|sec|csc|log|ln|exp|theta)(?![A-Za-z])")


def plain_math(text: str) -> str:
    """The text in plain notation. Words and other text that is not mathematics are kept."""
    text = re.sub(r"[₀-₉]+", lambda found: f"_{{{found[0].translate(_SUBSCRIPTS)}}}", text)
    text = re.sub(r"\\text\s*\{\s*,\s*\}", ",", text)
    text = re.sub(r"\\colon(?![A-Za-z])|\{:\}", ":", text)
    text = _unwrapped(plain_numbers(text))
    text = re.sub(r"\\([A-Za-z]+)", lambda found: _named(found[1]), text)
    text = "".join(_SIGNS.get(sign, sign) for sign in _LAYOUT.sub(" ", text))
    text = _FRAC.sub(lambda found: rf"\frac{_braced(found[1])}{_braced(found[2])}", text)
    text = _SQRT.sub(lambda found: rf"\sqrt{{{found[1] or found[2] or found[3]}}}", text)
    text = text.replace("**", "^").replace("<=", r"\le ").replace(">=", r"\ge ").replace("!=", r"\ne ")
    text = _FUNCTIONS.sub(lambda found: "\\" + {"infinity": "infty"}.get(found[1], found[1]) + " ", text)
    text = _SCRIPT.sub(r"\1{\2}", text)
    text = _MATH_MODE.sub(" ", text)
    text = re.sub(r"\b(?:negative|minus)\s+(?=[\d.$\\])", "-", text, flags=re.IGNORECASE)
    return " ".join(text.split())


def same_text(first: str, second: str) -> bool:
    """Whether two plain texts are equal, apart from spaces, case of words and a final full stop."""
    return _bare(first) == _bare(second) != ""


def is_words(text: str) -> bool:
    """Whether a plain text contains a word other than names of functions and variables."""
    return bool(re.search(r"(?<![\\A-Za-z])[A-Za-z]{2,}|[\u4e00-\u9fff]", re.sub(r"\\[A-Za-z]+", " ", text)))


def _bare(text: str) -> str:
    text = re.sub(r"\s+", "" if not is_words(text) else " ", plain_math(text)).strip(" .。,;!")
    return re.sub(r"\s*([(),\[\]{}=+*/<>:-])\s*", r"\1", text.casefold() if is_words(text) else text)


def _named(name: str) -> str:
    new = _NAMES.get(name, name)
    return f"\\{new}" if new.isalpha() else new


def _braced(part: str) -> str:
    return part if part.startswith("{") else f"{{{part}}}"


def _unwrapped(text: str) -> str:
    while (unwrapped := _WRAPPED.sub(r" \1 ", text)) != text:
        text = unwrapped
    return text
