"""A reply as plain text: without markup of Markdown and LaTeX, full-width characters made narrow, quotes straight."""

import re
import unicodedata

_MARKUP = re.compile(
    r"\*+|`+|\\[()\[\]]|\$|\\(?:[,;! ]|quad\b)|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])|(?m:^\s*#+\s)"
    r"|<\|[a-z_]+\|>|</?(?:b|s|i|em|strong)>"
)
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathsf|bf|rm|bold|boldsymbol|underline)\s*\{([^{}]*)\}"
)
_BOXED = re.compile(r"\\f?box(?:ed)?\s*\{([^{}]*)\}")
_TAG = re.compile(r"<(/?)(?:final_?)?answer>", re.IGNORECASE)
_QUOTES = str.maketrans("’‘“”【】「」『』", '\'\'""[]""""')
_NEXT_LINE = re.compile(r"(?i)(\b(?:is|be|answer|choice|option)|[:：是为])[ \t]*:?[ \t]*\n\s*(?=[(\[\"']?[A-Ja-j]\b)")


def plain(text: str) -> str:
    """The plain text; a box becomes `answer: …`, and a statement that ends on the next line stands on one."""
    text = unicodedata.normalize("NFKC", text.replace("\r\n", "\n")).translate(_QUOTES)
    while (unwrapped := _WRAPPED.sub(r"\1", text)) != text:
        text = unwrapped
    text = _BOXED.sub(r" answer: \1 ", text)
    text = _TAG.sub(lambda found: "\n" if found[1] else "\nanswer: ", text)
    return _NEXT_LINE.sub(r"\1: ", _MARKUP.sub("", text)).strip()
