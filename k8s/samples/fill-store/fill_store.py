"""Fill a store with what the samples work on: rows of the demo, and each job's own file, as the steps write them.

python fill_store.py s3://tutelage/samples
"""

import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from typing import Any

from components.launch.hand_back.files import JOB_FILE
from components.shared.errors import TutelageError
from components.shared.outputs.library import Library
from components.shared.outputs.output import Output
from components.shared.rows import KtoRow, Labelled, Message, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from components.shared.store.open_store import open_store
from components.synthesize.settings import Assignment, SynthesizeSettings
from components.train.job_file import TrainingJob
from components.train.methods.registry import parse_train_settings

ROWS = 320
STUDENT, TEACHER = "package:demo/student", "package:demo/teacher"
SCHEDULE: dict[str, Any] = {
    "learning_rate": 1e-3,
    "epochs": 1,
    "global_batch": 16,
    "max_length": 64,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "checkpoint_steps": 10,
}
TWO_NODES = {"nodes": 2}
TRAININGS: dict[str, dict[str, Any]] = {
    "train/sft-zero2": {"method": "sft", "deepspeed": {"stage": 2}, "launch": TWO_NODES},
    "train/kto-zero3": {"method": "kto", "deepspeed": {"stage": 3}, "launch": TWO_NODES},
    "train/sft-pytorchjob": {"method": "sft", "deepspeed": {"stage": 2}, "launch": TWO_NODES},
    "train/sft-groups": {"method": "sft", "shares": "speed", "deepspeed": {"stage": 2}, "launch": TWO_NODES},
    "train/kto-8gpu": {
        "method": "kto",
        "deepspeed": {"stage": 3},
        "precision": "bf16",
        "launch": {"processes_per_node": 8},
    },
}
"""Trainings by address; which of ZeRO's stages is a matter of the job's file, not of its manifest."""


def main() -> None:
    """Fill the store that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: fill_store.py ROOT, for example s3://tutelage/samples")
    root = sys.argv[1].rstrip("/")
    try:
        fill_synthesis(root)
        fill_trainings(root)
    except TutelageError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def fill_synthesis(root: str) -> None:
    """Instructions, and the file of a synthesis that lets teacher and student answer them."""
    instructions = Output(Library(root), Product("curate", 1, Labelled.content), Settings(), {})
    instructions.write_rows("rows/00000", (labelled(number, *pair) for number, pair in enumerate(pairs())))
    short = {"max_tokens": 40}
    models = {"teacher": {"backend": "transformers", "model": TEACHER}, "student": STUDENT}
    settings = SynthesizeSettings.model_validate(
        {**models, "teacher_sampling": short, "student_sampling": short, "actors": 1}
    )
    dataset = instructions.finish().address
    assignment = Assignment(root=root, address="synthesize/sample", dataset=dataset, settings=settings)
    put(root, assignment.address, JOB_FILE, assignment.model_dump_json().encode())


def fill_trainings(root: str) -> None:
    """Rows to learn from, and the file of each training."""
    selected = Output(Library(root), Product("select", 1, "selection/1"), Settings(), {})
    selected.write_rows("sft/00000", (demonstration(number, *pair) for number, pair in enumerate(pairs())))
    selected.write_rows("kto/00000", (judged(number, *pair) for number, pair in enumerate(pairs())))
    dataset = selected.finish().address
    for address, changes in TRAININGS.items():
        settings = parse_train_settings({**SCHEDULE, **changes})
        job = TrainingJob(root=root, address=address, task=address, settings=settings, dataset=dataset, start=STUDENT)
        put(root, address, JOB_FILE, job.model_dump_json(indent=1).encode())


def pairs() -> Iterator[tuple[str, str]]:
    """Questions and answers of the demo."""
    lines = (files("demo") / "instructions" / "alpaca.jsonl").read_bytes().splitlines()
    for row in islice(filter(None, map(whole_row, lines)), ROWS):
        yield f"{row['instruction']} {row.get('input', '')}".strip(), row["output"]


def whole_row(line: bytes) -> dict[str, str] | None:
    """A row, unless it is one of the defects that the demo's instructions hold on purpose."""
    try:
        row: dict[str, str] = json.loads(line)
    except ValueError:
        return None
    return row if row.get("instruction") and row.get("output") else None


def labelled(number: int, question: str, answer: str) -> Labelled:
    """A curated instruction with the response it came with."""
    place = {"id": str(number), "source": "samples", "line": number + 1}
    kinds = {"type": "other", "primary": "demo", "secondary": "demo"}
    return Labelled.model_validate({**place, **kinds, "instruction": question, "response": answer})


def demonstration(number: int, question: str, answer: str) -> SftRow:
    """A row of SFT."""
    return SftRow(id=str(number), prompt=ask(question), completion=answer, origin="original", scores=Scores())


def judged(number: int, question: str, answer: str) -> KtoRow:
    """A row of KTO: every other answer is a wrong one."""
    good = number % 2 == 0
    text = answer if good else "I cannot say."
    return KtoRow(id=str(number), prompt=ask(question), completion=text, label=good, origin="original", scores=Scores())


def ask(question: str) -> tuple[Message, ...]:
    """The prompt of one question."""
    return (Message(role="user", content=question),)


def put(root: str, address: str, name: str, data: bytes) -> None:
    """Write one file at an address."""
    open_store(root).at(address).write(name, data)
    say(root, address, name)


def say(root: str, address: str, name: str) -> None:
    """Name what was written."""
    print(f"{root}/{address}/{name}", flush=True)


if __name__ == "__main__":
    main()
