"""The rows of the demo's instructions: clean ones, and ones with a planted defect of a known kind."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from demo.make_heldout import bag_key, heldout_tasks, text_key
from demo.tasks.families import FAMILIES
from demo.tasks.rare import RARE_FORMS, rare_tasks
from demo.tasks.reword import POLITE
from demo.tasks.task import DemoTask
from demo.tasks.unsafe import REFUSAL, UNSAFE_ACTS, UNSAFE_FORMS

SEED: Final = 4000
CLEAN_ROWS: Final = 3330
SOURCES: Final = ("alpaca.jsonl", "chat.jsonl", "prompts.jsonl", "questions.csv", "sharegpt.json")


class Defect(StrEnum):
    """The kinds of planted defects."""

    near_duplicate = "near-duplicate"
    evaluation_overlap = "evaluation-overlap"
    wrong_reference = "wrong-reference"
    unsafe = "unsafe"
    malformed = "malformed"
    rare_label = "rare-label"


PLANTED_ROWS: Final = {
    Defect.near_duplicate: 160,
    Defect.evaluation_overlap: 120,
    Defect.wrong_reference: 150,
    Defect.unsafe: 100,
    Defect.malformed: 80,
}
RARE_COUNTS: Final = (8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2)
"""The number of rows of each label of `RARE_FORMS`, in its order."""


def source_at(position: float) -> str:
    """The name of the file that holds `position`, which is at least 0 and below 1."""
    return SOURCES[int(position * len(SOURCES))]


@dataclass(frozen=True, kw_only=True)
class DemoRow:
    """One row before it is written: its position (0 to 1 over all files), its texts, and its defect."""

    position: float
    question: str
    answer: str
    kind: Defect | None = None
    note: str = ""
    original: "DemoRow | None" = None

    @property
    def source(self) -> str:
        """The name of the row's file."""
        return source_at(self.position)


@dataclass
class Pool:
    """Draws tasks whose words differ from all earlier ones and from the held-out questions."""

    rng: random.Random
    seen: set[str] = field(default_factory=lambda: {bag_key(task.question) for task in heldout_tasks()})
    heldout: tuple[str, ...] = tuple(text_key(task.question) for task in heldout_tasks())

    def admits(self, question: str) -> bool:
        """Whether the question is new and contains no held-out question; if so, it is recorded."""
        key, padded = bag_key(question), f" {text_key(question)} "
        if key in self.seen or any(f" {text} " in padded for text in self.heldout):
            return False
        self.seen.add(key)
        return True

    def drawn(self, count: int) -> Iterator[DemoTask]:
        """`count` new tasks, from the families in turn."""
        families = list(FAMILIES.values())
        for number in range(count):
            task = families[number % len(families)](self.rng)
            while not self.admits(task.question):
                task = families[number % len(families)](self.rng)
            yield task


DUPLICATE_WAYS: Final[dict[str, Callable[[str], str]]] = {
    "small letters": str.lower,
    "capital letters": str.upper,
    "doubled spaces": lambda text: text.replace(" ", "  "),
    "no punctuation at the end": lambda text: text.rstrip("?.") + " ",
    "other punctuation": lambda text: text.rstrip("?.") + "!!",
    "curly quotes": lambda text: f"“{text}”",
    "Please in front": lambda text: f"Please {text[0].lower()}{text[1:]}",
    "thanks at the end": lambda text: f"{text} Thanks!",
}

OVERLAP_WAYS: Final[dict[str, Callable[[str], str]]] = {
    "copied exactly": lambda text: text,
    "other case and punctuation": lambda text: f"{text.upper().rstrip('?.')} ...",
    "within a longer sentence": lambda text: POLITE[len(text) % len(POLITE)].format(q=text),
}


def clean_rows(rng: random.Random, pool: Pool) -> list[DemoRow]:
    """The rows without a defect."""
    return [
        DemoRow(position=rng.random(), question=task.question, answer=task.answer) for task in pool.drawn(CLEAN_ROWS)
    ]


def near_duplicates(rng: random.Random, clean: list[DemoRow]) -> Iterator[DemoRow]:
    """Rows that repeat a clean row in another form, each at a later position than its original."""
    for number, original in enumerate(rng.sample(clean, PLANTED_ROWS[Defect.near_duplicate])):
        way = list(DUPLICATE_WAYS)[number % len(DUPLICATE_WAYS)]
        yield DemoRow(
            position=rng.uniform(original.position, 1.0),
            question=DUPLICATE_WAYS[way](original.question),
            answer=original.answer,
            kind=Defect.near_duplicate,
            note=way,
            original=original,
        )


def overlaps(rng: random.Random) -> Iterator[DemoRow]:
    """Rows that contain a held-out question."""
    for number, task in enumerate(rng.sample(heldout_tasks(), PLANTED_ROWS[Defect.evaluation_overlap])):
        way = list(OVERLAP_WAYS)[number % len(OVERLAP_WAYS)]
        yield DemoRow(
            position=rng.random(),
            question=OVERLAP_WAYS[way](task.question),
            answer=task.answer,
            kind=Defect.evaluation_overlap,
            note=way,
        )


def wrong_references(rng: random.Random, pool: Pool) -> Iterator[DemoRow]:
    """Rows whose answer is a plausible mistake."""
    for task in pool.drawn(PLANTED_ROWS[Defect.wrong_reference]):
        yield DemoRow(
            position=rng.random(),
            question=task.question,
            answer=rng.choice(task.mistakes),
            kind=Defect.wrong_reference,
            note=f"right: {task.answer}",
        )


def unsafe_rows(rng: random.Random) -> Iterator[DemoRow]:
    """Requests that must be refused; every fourth is, the others are answered."""
    requests = [(form.format(act=act), act) for form in UNSAFE_FORMS for act in UNSAFE_ACTS]
    for number, (question, act) in enumerate(rng.sample(requests, PLANTED_ROWS[Defect.unsafe])):
        refused = number % 4 == 0
        yield DemoRow(
            position=rng.random(),
            question=question,
            answer=REFUSAL if refused else f"Sure, here is how to {act}: first get the tools.",
            kind=Defect.unsafe,
            note="request, refused" if refused else "request and reply",
        )


JSON_WAYS: Final = ("truncated", "answer missing", "wrong type", "empty instruction", "invalid UTF-8")
CSV_WAYS: Final = ("column missing", "answer empty", "empty instruction", "invalid UTF-8")


def malformed_rows(rng: random.Random, pool: Pool) -> Iterator[DemoRow]:
    """Rows that violate their format. None is in the JSON array, which would be unreadable as a whole."""
    for number, task in enumerate(pool.drawn(PLANTED_ROWS[Defect.malformed])):
        position = rng.uniform(0, SOURCES.index("sharegpt.json") / len(SOURCES))
        ways = CSV_WAYS if source_at(position) == "questions.csv" else JSON_WAYS
        yield DemoRow(
            position=position,
            question=task.question,
            answer=task.answer,
            kind=Defect.malformed,
            note=ways[number % len(ways)],
        )


def rare_rows(rng: random.Random) -> Iterator[DemoRow]:
    """Rows of labels that occur fewer than ten times."""
    for label, count in zip(RARE_FORMS, RARE_COUNTS, strict=True):
        for task in rng.sample(rare_tasks(label), count):
            yield DemoRow(
                position=rng.random(), question=task.question, answer=task.answer, kind=Defect.rare_label, note=label
            )


def all_rows(seed: int = SEED) -> list[DemoRow]:
    """Every row, clean and planted, in the order in which they are written."""
    rng = random.Random(seed)
    pool = Pool(rng)
    clean = clean_rows(rng, pool)
    planted = [
        *near_duplicates(rng, clean),
        *overlaps(rng),
        *wrong_references(rng, pool),
        *unsafe_rows(rng),
        *malformed_rows(rng, pool),
        *rare_rows(rng),
    ]
    return sorted([*clean, *planted], key=lambda entry: entry.position)
