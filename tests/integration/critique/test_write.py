"""The complete critique on a real Ray with a tiny teacher: killed in the middle, it keeps every stored reply."""

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from components.critique.critique import critique_rollouts
from components.critique.settings import CritiqueSettings
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rollout_rows import Critique, Probed, Rollout
from components.shared.rows import Check, Message, Scores, SftRow
from components.train.methods.registry import METHODS
from tests.processes import kill_once
from tests.stand_in_outputs import kept_keys, stored_rows
from tests.stand_in_teacher import stand_in_teacher
from tests.tiny_model import save_tiny_model

WRONG_PROBLEMS, RIGHT_PROBLEMS = 12, 12
REPLIES = "teacher-*"
RUN = """
import sys
from components.critique.critique import critique_rollouts
from components.critique.settings import CritiqueSettings
from components.shared.outputs.library import Library
root, probed, bridged, settings = sys.argv[1:]
library = Library(root)
parsed = CritiqueSettings.model_validate_json(settings)
critique_rollouts(library, parsed, library.load(probed), library.load(bridged))
"""


def probed_row(number: int) -> Probed:
    """Twice a number: the student can double those from WRONG_PROBLEMS on."""
    value = 2 * number + (number < WRONG_PROBLEMS)
    rollout = Rollout(text=f"1. Take {number}.\n2. Double it.\nThe answer is {value}.", passed=number >= WRONG_PROBLEMS)
    facts = {"type": "t", "primary": "p", "secondary": "s", "tries": 1, "successes": int(number >= WRONG_PROBLEMS)}
    estimate = {"lengths": (), "truncated": 0, "low": 0.0, "high": 1.0, "decided": True, "rollouts": (rollout,)}
    row = {"id": f"r{number}", "source": "made", "line": number, "instruction": f"Twice {number}?"}
    return Probed.model_validate({**row, **facts, **estimate, "check": Check(kind="math", answer=str(2 * number))})


def inputs(root: Path) -> tuple[Manifest, Manifest]:
    rows = [probed_row(number) for number in range(WRONG_PROBLEMS + RIGHT_PROBLEMS)]
    prompt = (Message(role="user", content="Twice 1?"),)
    traces = [
        SftRow(id=f"t{number}", prompt=prompt, completion="2", origin="teacher", scores=Scores())
        for number in range(50)
    ]
    return stored_rows(root, "probe", "rows", rows), stored_rows(root, "bridge", "sft", traces)


def criticise(prompt: str) -> str:
    """Right about every number; slow enough to be killed."""
    time.sleep(0.05)
    found = re.search(r"Twice (\d+)", prompt)
    assert found is not None
    number = int(found[1])
    if "Rest:" in prompt:
        return f"2. Double it.\nThe answer is {2 * number}."
    if f"is {2 * number}." in prompt:
        return "The double is right.\nFirst wrong step: none"
    return "The double is not right.\nFirst wrong step: 2"


def settings(teacher: dict[str, Any]) -> CritiqueSettings:
    return CritiqueSettings.model_validate(
        {
            "teacher": teacher,
            "diagnosis_prompt": "{problem} {attempt} First wrong step:",
            "repair_prompt": "{problem} {beginning} Rest: {step}",
            "diagnosis_sampling": {"max_tokens": 24},
            "repair_sampling": {"temperature": 1.0, "max_tokens": 24},
            "repairs": 2,
            "rows_per_shard": 5,
            "actors": 1,
        }
    )


def test_a_killed_critique_continues_with_every_stored_reply(tmp_path: Path) -> None:
    root = tmp_path / "store"
    probed, bridged = inputs(root)
    library = Library(str(root))
    with stand_in_teacher(criticise) as server:
        asked = settings({"backend": "openai", "model": "t", "endpoints": [server.url]})
        arguments = [str(root), probed.address, bridged.address, asked.model_dump_json()]
        started = subprocess.Popen([sys.executable, "-c", RUN, *arguments], start_new_session=True)
        kill_once(started, lambda: bool(kept_keys(root, REPLIES)))
        before = set(kept_keys(root, REPLIES))
        assert not list(root.glob("critique/*/manifest.json"))
        manifest = critique_rollouts(library, asked, probed, bridged)
    stored = kept_keys(root, REPLIES)
    assert before <= set(stored) and max(stored.values()) == 1, "none is lost, and none is asked twice"
    assert len(stored) == WRONG_PROBLEMS * (1 + 2) + RIGHT_PROBLEMS
    rows = list(library.read_rows(manifest, Critique, "critiques"))
    assert Counter(row.kind for row in rows) == {"diagnosis": WRONG_PROBLEMS + RIGHT_PROBLEMS, "repair": WRONG_PROBLEMS}
    # As the training reads it.
    learnt = {row.id: row for row in library.read_rows(manifest, SftRow, METHODS["sft"].part)}
    # At most a fifth of the rows are diagnoses: 15 of 77.
    assert Counter(row.kind for row in learnt.values()) == {"trace": 50, "diagnosis": 15, "repair": WRONG_PROBLEMS}
    assert learnt["r4/repair-0"].completion == "1. Take 4.\n2. Double it.\nThe answer is 8."
    assert not list(root.glob("critique/*/written/*")), "what only the job needs is deleted"


def test_a_local_teacher_that_writes_nothing_readable_leaves_the_traces(tmp_path: Path) -> None:
    root, teacher = tmp_path / "store", str(save_tiny_model(tmp_path / "teacher", max_position_embeddings=1024))
    manifest = critique_rollouts(Library(str(root)), settings({"model": teacher, "batch": 8}), *inputs(root))
    counts = manifest.counts
    assert counts["diagnoses"] == WRONG_PROBLEMS + RIGHT_PROBLEMS and counts["sft_rows"] == counts["trace_rows"] == 50
    assert {"probed", "bridged", "teacher"} == manifest.parents.keys()
