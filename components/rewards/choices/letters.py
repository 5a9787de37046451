"""Finds the letters of choices in plain text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from components.rewards.choices import cues

_NEAR = 240
"""Characters before and after a letter that count: the cost of an endless sentence would be quadratic."""
_MOST = 100
"""Letters judged at each end of a reply with more than twice as many, which repeats itself."""

_END_OF_SENTENCE = re.compile(r"(?<=[.!?。！？;；\n])")
_NO_END = re.compile(r"(?:\d|\b(?:e\.g|i\.e|etc|vs|cf|no|fig|dr|mr|mrs|ans))\.$", re.IGNORECASE)
_LETTER = re.compile(
    r"(?<![A-Za-z0-9_°+^&.])(?<![A-Za-z]')(?<!\d )([A-Ja-j])"
    r"(?![A-Za-z0-9_]|'[A-Za-z]|-[A-Za-z0-9]|\.[A-Za-z0-9]|[+#^=]|\s+[=+^]|\s*\(x\))"
)
_RUN = re.compile(r"(?<![A-Za-z0-9])([A-J]{2,4})(?=\s*(?:选?项|都|均|不|错|正确|全|三|两|四))")
_JOINT = re.compile(
    r"[\s\"')\]]*(?:,\s*(?:and|or)|[,、/&]|and|or|nor|和|与|或者?|及|以及|还是|跟)[\s\"'(\[]*"
    r"(?:options?|choices?|answers?|选项)?[\s\"'(\[]*",
    re.IGNORECASE,
)
_SINGULAR = re.compile(
    r"[\"')\]]*\s*(?:is|was|has|does|isn't|doesn't|lacks|fails|seems|looks|would|can|must|should|it)\b", re.IGNORECASE
)
_OPTION = re.compile(r"\b(?:options?|choices?|answers?)\s*[\"'(\[]*$", re.IGNORECASE)
_BEGINS = re.compile(r"\s*(?:[.):\]]\s+\S|、|[.)\]]?\s*$|is (?:correct|right)\b)")
_SMALL = re.compile(r"[\"')\]]*\s*(?:[.,;:!)\]]|$|\b(?:because|since|as it|is (?:correct|right|the))\b)")


@dataclass(frozen=True)
class Letters:
    """Letters that are named together (`A and D`).

    Attributes:
        names: the letters, in upper case.
        start: position of the first in the text.
        before, after: the rest of their sentence.
    """

    names: str
    start: int
    before: str
    after: str


def find_letters(text: str) -> Iterator[Letters]:
    """Every group of letters that denote choices, in order."""
    found: list[tuple[int, str, str, str]] = []
    place = 0
    for sentence in _sentences(text):
        for names, start, end in _groups(sentence):
            before, after = sentence[max(0, start - _NEAR) : start], sentence[end : end + _NEAR]
            found.append((place + start, names, before, after))
        place += len(sentence)
    for start, names, before, after in found if len(found) <= 2 * _MOST else [*found[:_MOST], *found[-_MOST:]]:
        if _is_choice(names, before, after):
            yield Letters(names.upper(), start, before, after)


def has_letter(text: str) -> bool:
    """Whether the text contains a letter of a choice, in upper or lower case."""
    return bool(_LETTER.search(text.upper()))


def _sentences(text: str) -> Iterator[str]:
    """Sentences with their final punctuation; `e.g.` and decimals do not end one."""
    held = ""
    for part in _END_OF_SENTENCE.split(text):
        held += part
        if not _NO_END.search(held):
            yield held
            held = ""
    if held:
        yield held


def _groups(sentence: str) -> Iterator[tuple[str, int, int]]:
    """Letters with their start and end; those joined by `and`, `or` or commas form one group."""
    runs = [(run[1], run.start(1), run.end(1)) for run in _RUN.finditer(sentence)]
    found = [*_LETTER.finditer(sentence)]
    index = 0
    while index < len(found):
        last = index
        while last + 1 < len(found) and _are_joined(sentence, found[last], found[last + 1]):
            last += 1
        if last > index and _stands_apart(sentence, found[index : last + 1]):
            last -= 1
        if last > index and _is_stated_alone(sentence, found[index : last + 1]):
            last = index
        members = found[index : last + 1]
        runs.append(("".join(one[1] for one in members), members[0].start(1), members[-1].end(1)))
        index = last + 1
    yield from sorted(runs, key=lambda run: run[1])


def _are_joined(sentence: str, one: re.Match[str], following: re.Match[str]) -> bool:
    if one[1].isupper() != following[1].isupper() or (following[1] == "I" and sentence[following.end() :][:1] == " "):
        return False
    return bool(_JOINT.fullmatch(sentence, one.end(), following.start()))


def _stands_apart(sentence: str, members: list[re.Match[str]]) -> bool:
    """Whether the last letter after a mere comma begins a new clause: `B, C is too dark`; `not A, B`."""
    joint = sentence[members[-2].end() : members[-1].start()]
    if "," not in joint or re.search(r"\b(?:and|or)\b", joint):
        return False
    alone = len(members) == 2 and re.search(r"\bnot\s+[\"'(]*$", sentence[: members[0].start()], re.IGNORECASE)
    return bool(alone or _SINGULAR.match(sentence, members[-1].end()))


def _is_stated_alone(sentence: str, members: list[re.Match[str]]) -> bool:
    """Whether the first letter is stated and those after a mere comma refuted: `the answer is D, A and B are wrong`."""
    joint = sentence[members[0].end() : members[1].start()]
    if "," not in joint or re.search(r"\b(?:and|or)\b", joint):
        return False
    return bool(
        cues.STATES.search(sentence[: members[0].start()]) and cues.IS_WRONG.match(sentence[members[-1].end() :])
    )


def _is_choice(names: str, before: str, after: str) -> bool:
    """Whether letters denote choices, not an article, a pronoun, a unit or a name."""
    if len(names) > 1:
        return names.isupper() or (names.islower() and bool(_OPTION.search(before)))
    if cues.NAMES.search(before):
        return False
    bracketed = bool(re.search(r"[(\[]\s*$", before) and re.match(r"\s*[)\]]", after))
    named = bool(cues.STATES.search(before) or _OPTION.search(before))
    if names.islower():
        return bracketed or _is_small_choice(names, before, after, named)
    if names == "I":
        return bracketed or (named and not re.match(r"\s+[a-z']", after)) or not (before + after).strip(" .")
    return (
        names != "A"
        or bracketed
        or bool(re.search(r"\b(?:option|choice)\s*$", before, re.IGNORECASE))
        or (not cues.ARTICLE.match(after))
    )


def _is_small_choice(name: str, before: str, after: str, named: bool) -> bool:
    """Whether a lower-case letter denotes a choice: it begins the sentence (`c. blue`), or follows a statement."""
    if not before.strip(" \"'([-") and _BEGINS.match(after):
        return True
    return named and (name != "a" or bool(_SMALL.match(after))) and not after.startswith(" bit")
