"""Make the demo's instruction sources, about 4,000 rows in five formats, with defects planted and written down.

`python -m pipelines.demo.make_instructions` writes `instructions/` beside this file; a seed gives the same bytes.
The rows carry no mark. `planted.jsonl` says which rows are defective and how, and for a near-duplicate of which row;
that one always comes earlier when the files are read in alphabetical order.
"""

import csv
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import typer

from pipelines.demo.make_heldout import HERE, bag_key, heldout_tasks, text_key
from pipelines.demo.tasks import FAMILIES, POLITE, RARE_FORMS, REFUSAL, UNSAFE_ACTS, UNSAFE_FORMS, Task, rare_tasks

FOLDER: Final = HERE / "instructions"
TRUTH_FILE: Final = "planted.jsonl"
SEED: Final = 4000
CLEAN_ROWS: Final = 3330
SOURCES: Final = ("alpaca.jsonl", "chat.jsonl", "prompts.jsonl", "questions.csv", "sharegpt.json")


class Kind(StrEnum):
    """The kinds of planted defects."""

    near_duplicate = "near-duplicate"
    evaluation_overlap = "evaluation-overlap"
    wrong_reference = "wrong-reference"
    unsafe = "unsafe"
    malformed = "malformed"
    rare_label = "rare-label"


PLANTED_ROWS: Final = {
    Kind.near_duplicate: 160,
    Kind.evaluation_overlap: 120,
    Kind.wrong_reference: 150,
    Kind.unsafe: 100,
    Kind.malformed: 80,
}
RARE_COUNTS: Final = (8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2)
"""How many rows each label of `RARE_FORMS` gets, in its order."""


def source_at(position: float) -> str:
    """The name of the file that holds `position`, which is at least 0 and below 1."""
    return SOURCES[int(position * len(SOURCES))]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row before it is written: where it goes (0 to 1 over all files), what it says, and what is wrong with it."""

    position: float
    question: str
    answer: str
    kind: Kind | None = None
    note: str = ""
    original: "Entry | None" = None

    @property
    def source(self) -> str:
        """The name of the file that the row goes to."""
        return source_at(self.position)


@dataclass
class Pool:
    """Draws tasks whose words differ from all drawn before and from the held-out questions."""

    rng: random.Random
    seen: set[str] = field(default_factory=lambda: {bag_key(task.question) for task in heldout_tasks()})
    heldout: tuple[str, ...] = tuple(text_key(task.question) for task in heldout_tasks())

    def admits(self, question: str) -> bool:
        """Whether the question is new, and contains no held-out question. An admitted question is remembered."""
        key, padded = bag_key(question), f" {text_key(question)} "
        if key in self.seen or any(f" {text} " in padded for text in self.heldout):
            return False
        self.seen.add(key)
        return True

    def drawn(self, count: int) -> Iterator[Task]:
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


def clean_entries(rng: random.Random, pool: Pool) -> list[Entry]:
    """The rows without a defect."""
    return [Entry(position=rng.random(), question=task.question, answer=task.answer) for task in pool.drawn(CLEAN_ROWS)]


def near_duplicates(rng: random.Random, clean: list[Entry]) -> Iterator[Entry]:
    """Rows that repeat a clean row with another look, each at a later position than its original."""
    for number, original in enumerate(rng.sample(clean, PLANTED_ROWS[Kind.near_duplicate])):
        way = list(DUPLICATE_WAYS)[number % len(DUPLICATE_WAYS)]
        yield Entry(
            position=rng.uniform(original.position, 1.0),
            question=DUPLICATE_WAYS[way](original.question),
            answer=original.answer,
            kind=Kind.near_duplicate,
            note=way,
            original=original,
        )


def overlaps(rng: random.Random) -> Iterator[Entry]:
    """Rows that contain a held-out question."""
    for number, task in enumerate(rng.sample(heldout_tasks(), PLANTED_ROWS[Kind.evaluation_overlap])):
        way = list(OVERLAP_WAYS)[number % len(OVERLAP_WAYS)]
        yield Entry(
            position=rng.random(),
            question=OVERLAP_WAYS[way](task.question),
            answer=task.answer,
            kind=Kind.evaluation_overlap,
            note=way,
        )


def wrong_references(rng: random.Random, pool: Pool) -> Iterator[Entry]:
    """Rows whose answer is a plausible mistake."""
    for task in pool.drawn(PLANTED_ROWS[Kind.wrong_reference]):
        yield Entry(
            position=rng.random(),
            question=task.question,
            answer=rng.choice(task.mistakes),
            kind=Kind.wrong_reference,
            note=f"right: {task.answer}",
        )


def unsafe_rows(rng: random.Random) -> Iterator[Entry]:
    """Requests that have to be refused; every fourth is, the others are answered."""
    requests = [(form.format(act=act), act) for form in UNSAFE_FORMS for act in UNSAFE_ACTS]
    for number, (question, act) in enumerate(rng.sample(requests, PLANTED_ROWS[Kind.unsafe])):
        refused = number % 4 == 0
        yield Entry(
            position=rng.random(),
            question=question,
            answer=REFUSAL if refused else f"Sure, here is how to {act}: first get the tools.",
            kind=Kind.unsafe,
            note="request, refused" if refused else "request and reply",
        )


JSON_WAYS: Final = ("cut off", "answer missing", "wrong type", "empty instruction", "invalid UTF-8")
CSV_WAYS: Final = ("column missing", "answer empty", "empty instruction", "invalid UTF-8")


def malformed_rows(rng: random.Random, pool: Pool) -> Iterator[Entry]:
    """Rows that can't be read as their format says. None goes to the JSON array, which would be lost as a whole."""
    for number, task in enumerate(pool.drawn(PLANTED_ROWS[Kind.malformed])):
        position = rng.uniform(0, SOURCES.index("sharegpt.json") / len(SOURCES))
        ways = CSV_WAYS if source_at(position) == "questions.csv" else JSON_WAYS
        yield Entry(
            position=position,
            question=task.question,
            answer=task.answer,
            kind=Kind.malformed,
            note=ways[number % len(ways)],
        )


def rare_rows(rng: random.Random) -> Iterator[Entry]:
    """Rows of labels that occur fewer than ten times."""
    for label, count in zip(RARE_FORMS, RARE_COUNTS, strict=True):
        for task in rng.sample(rare_tasks(label), count):
            yield Entry(
                position=rng.random(), question=task.question, answer=task.answer, kind=Kind.rare_label, note=label
            )


def all_entries(seed: int = SEED) -> list[Entry]:
    """Every row, clean and planted, in the order in which they are written."""
    rng = random.Random(seed)
    pool = Pool(rng)
    clean = clean_entries(rng, pool)
    planted = [
        *near_duplicates(rng, clean),
        *overlaps(rng),
        *wrong_references(rng, pool),
        *unsafe_rows(rng),
        *malformed_rows(rng, pool),
        *rare_rows(rng),
    ]
    return sorted([*clean, *planted], key=lambda entry: entry.position)


def alpaca_record(entry: Entry) -> dict[str, Any]:
    """An Alpaca row; what follows a colon is its input."""
    head, colon, tail = entry.question.partition(": ")
    instruction, given = (head + colon.strip(), tail) if tail else (entry.question, "")
    return {"instruction": instruction, "input": given, "output": entry.answer}


def chat_record(entry: Entry) -> dict[str, Any]:
    """A row of chat messages; one in eight or so begins with a system message."""
    system = (
        [{"role": "system", "content": "You are a helpful assistant."}] if int(entry.position * 1e6) % 8 == 0 else []
    )
    turns = [{"role": "user", "content": entry.question}, {"role": "assistant", "content": entry.answer}]
    return {"messages": system + turns}


def prompt_record(entry: Entry) -> dict[str, Any]:
    """A row of prompt and response."""
    return {"prompt": entry.question, "response": entry.answer}


def sharegpt_record(entry: Entry) -> dict[str, Any]:
    """A ShareGPT row."""
    return {"conversations": [{"from": "human", "value": entry.question}, {"from": "gpt", "value": entry.answer}]}


RECORDS: Final[dict[str, Callable[[Entry], dict[str, Any]]]] = {
    "alpaca.jsonl": alpaca_record,
    "chat.jsonl": chat_record,
    "prompts.jsonl": prompt_record,
}
ASKED: Final = {"alpaca.jsonl": "instruction", "chat.jsonl": "messages", "prompts.jsonl": "prompt"}
REPLIED: Final = {"alpaca.jsonl": "output", "chat.jsonl": "messages", "prompts.jsonl": "response"}


def json_bytes(value: Any) -> bytes:
    """One line of JSON in UTF-8, without the line's end."""
    return json.dumps(value, ensure_ascii=False).encode()


def emptied(record: dict[str, Any]) -> dict[str, Any]:
    """The record with nothing asked."""
    if "messages" in record:
        return {"messages": [{"role": "user", "content": ""}, record["messages"][-1]]}
    return {key: "" if key in ("instruction", "input", "prompt") else value for key, value in record.items()}


def unanswered(record: dict[str, Any]) -> dict[str, Any]:
    """The record without its reply."""
    if "messages" in record:
        return {"messages": record["messages"][:-1]}
    return {key: value for key, value in record.items() if key not in ("output", "response")}


def json_line(entry: Entry) -> bytes:
    """The entry as one line of its JSONL file, broken in the way its note says where it is malformed."""
    record = RECORDS[entry.source](entry)
    if entry.kind is not Kind.malformed:
        return json_bytes(record)
    whole = json_bytes(record)
    broken: dict[str, Callable[[], bytes]] = {
        "cut off": lambda: whole[: len(whole) * 2 // 3],
        "answer missing": lambda: json_bytes(unanswered(record)),
        "wrong type": lambda: json_bytes(record | {ASKED[entry.source]: 42}),
        "empty instruction": lambda: json_bytes(emptied(record)),
        "invalid UTF-8": lambda: b': "\xff\xfe'.join(whole.rsplit(b': "', 1)),
    }
    return broken[entry.note]()


def csv_row(entry: Entry) -> bytes:
    """The entry as one record of the CSV file; a malformed one lacks its answer's column, is empty, or is not UTF-8."""
    answered = [entry.question, entry.answer]
    ways = {
        "column missing": answered[:1],
        "answer empty": [entry.question, ""],
        "empty instruction": ["", entry.answer],
    }
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(ways.get(entry.note, answered))
    line = buffer.getvalue().encode()
    return line.replace(b" ", b" \xff\xfe", 1) if entry.note == "invalid UTF-8" else line


def file_bytes(source: str, entries: list[Entry]) -> bytes:
    """The whole file `source` that holds the entries, in their order."""
    if source.endswith(".json"):
        return json.dumps([sharegpt_record(entry) for entry in entries], ensure_ascii=False, indent=1).encode() + b"\n"
    rows = [csv_row(entry) if source.endswith(".csv") else json_line(entry) for entry in entries]
    header = [b"question,answer"] if source.endswith(".csv") else []
    return b"\n".join([*header, *rows]) + b"\n"


def truth_row(entry: Entry, places: dict[int, tuple[str, int]]) -> dict[str, Any]:
    """The line of `planted.jsonl` for a planted entry. `places` gives source and 1-based line by the entry's id()."""
    source, line = places[id(entry)]
    row = {"source": source, "line": line, "kind": entry.kind, "note": entry.note}
    if entry.original is not None:
        row["original_source"], row["original_line"] = places[id(entry.original)]
    return row


def made_files(seed: int = SEED) -> dict[str, bytes]:
    """Every file of the folder by its name: five sources and the truth."""
    entries = all_entries(seed)
    by_source = {source: [entry for entry in entries if entry.source == source] for source in SOURCES}
    places = {
        id(entry): (source, line) for source, rows in by_source.items() for line, entry in enumerate(rows, start=1)
    }
    truth = [json_bytes(truth_row(entry, places)) for entry in entries if entry.kind is not None]
    files = {source: file_bytes(source, rows) for source, rows in by_source.items()}
    return files | {TRUTH_FILE: b"\n".join(truth) + b"\n"}


def main(out: Path = FOLDER, seed: int = SEED) -> None:
    """Write the sources and the truth."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in made_files(seed).items():
        (out / name).write_bytes(content)


if __name__ == "__main__":
    typer.run(main)
