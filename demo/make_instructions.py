"""Make the demo's instruction sources, about 4,000 rows in five formats, with planted defects and a list of them.

`python -m demo.make_instructions` writes `instructions/` beside this file; a seed gives the same bytes.
The rows themselves have no flag. `planted.jsonl` lists the defective rows and their defects; for a near-duplicate also
the original, which always comes earlier when the files are read in alphabetical order.
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import typer

from demo.make_heldout import HERE
from demo.plant_defects import SEED, SOURCES, Defect, DemoRow, all_rows

FOLDER: Final = HERE / "instructions"
TRUTH_FILE: Final = "planted.jsonl"


def alpaca_record(entry: DemoRow) -> dict[str, Any]:
    """An Alpaca row; what follows a colon is its input."""
    head, colon, tail = entry.question.partition(": ")
    instruction, given = (head + colon.strip(), tail) if tail else (entry.question, "")
    return {"instruction": instruction, "input": given, "output": entry.answer}


def chat_record(entry: DemoRow) -> dict[str, Any]:
    """A row of chat messages; one in eight or so begins with a system message."""
    system = (
        [{"role": "system", "content": "You are a helpful assistant."}] if int(entry.position * 1e6) % 8 == 0 else []
    )
    turns = [{"role": "user", "content": entry.question}, {"role": "assistant", "content": entry.answer}]
    return {"messages": system + turns}


def prompt_record(entry: DemoRow) -> dict[str, Any]:
    """A row of prompt and response."""
    return {"prompt": entry.question, "response": entry.answer}


def sharegpt_record(entry: DemoRow) -> dict[str, Any]:
    """A ShareGPT row."""
    return {"conversations": [{"from": "human", "value": entry.question}, {"from": "gpt", "value": entry.answer}]}


RECORDS: Final[dict[str, Callable[[DemoRow], dict[str, Any]]]] = {
    "alpaca.jsonl": alpaca_record,
    "chat.jsonl": chat_record,
    "prompts.jsonl": prompt_record,
}
ASKED: Final = {"alpaca.jsonl": "instruction", "chat.jsonl": "messages", "prompts.jsonl": "prompt"}


def json_bytes(value: Any) -> bytes:
    """One line of JSON in UTF-8, without a line end."""
    return json.dumps(value, ensure_ascii=False).encode()


def emptied(record: dict[str, Any]) -> dict[str, Any]:
    """The record with an empty instruction."""
    if "messages" in record:
        return {"messages": [{"role": "user", "content": ""}, record["messages"][-1]]}
    return {key: "" if key in ("instruction", "input", "prompt") else value for key, value in record.items()}


def unanswered(record: dict[str, Any]) -> dict[str, Any]:
    """The record without its reply."""
    if "messages" in record:
        return {"messages": record["messages"][:-1]}
    return {key: value for key, value in record.items() if key not in ("output", "response")}


def json_line(entry: DemoRow) -> bytes:
    """The entry as one line of its JSONL file, broken in the way of its note if it is malformed."""
    record = RECORDS[entry.source](entry)
    if entry.kind is not Defect.malformed:
        return json_bytes(record)
    whole = json_bytes(record)
    broken: dict[str, Callable[[], bytes]] = {
        "truncated": lambda: whole[: len(whole) * 2 // 3],
        "answer missing": lambda: json_bytes(unanswered(record)),
        "wrong type": lambda: json_bytes(record | {ASKED[entry.source]: 42}),
        "empty instruction": lambda: json_bytes(emptied(record)),
        "invalid UTF-8": lambda: b': "\xff\xfe'.join(whole.rsplit(b': "', 1)),
    }
    return broken[entry.note]()


def csv_row(entry: DemoRow) -> bytes:
    """The entry as one record of the CSV file; a malformed one lacks a column, is empty, or is not valid UTF-8."""
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


def file_bytes(source: str, entries: list[DemoRow]) -> bytes:
    """The file `source` with the entries, in their order."""
    if source.endswith(".json"):
        return json.dumps([sharegpt_record(entry) for entry in entries], ensure_ascii=False, indent=1).encode() + b"\n"
    rows = [csv_row(entry) if source.endswith(".csv") else json_line(entry) for entry in entries]
    header = [b"question,answer"] if source.endswith(".csv") else []
    return b"\n".join([*header, *rows]) + b"\n"


def truth_row(entry: DemoRow, places: dict[int, tuple[str, int]]) -> dict[str, Any]:
    """The line of `planted.jsonl` for a planted entry. `places` gives source and 1-based line by the entry's id()."""
    source, line = places[id(entry)]
    row = {"source": source, "line": line, "kind": entry.kind, "note": entry.note}
    if entry.original is not None:
        row["original_source"], row["original_line"] = places[id(entry.original)]
    return row


def made_files(seed: int = SEED) -> dict[str, bytes]:
    """The folder's files by name: five sources and the list of defects."""
    entries = all_rows(seed)
    by_source = {source: [entry for entry in entries if entry.source == source] for source in SOURCES}
    places = {
        id(entry): (source, line) for source, rows in by_source.items() for line, entry in enumerate(rows, start=1)
    }
    truth = [json_bytes(truth_row(entry, places)) for entry in entries if entry.kind is not None]
    files = {source: file_bytes(source, rows) for source, rows in by_source.items()}
    return files | {TRUTH_FILE: b"\n".join(truth) + b"\n"}


def main(out: Path = FOLDER, seed: int = SEED) -> None:
    """Write the sources and the list of defects."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in made_files(seed).items():
        (out / name).write_bytes(content)


if __name__ == "__main__":
    typer.run(main)
