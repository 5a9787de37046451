"""The complete bridge on a real Ray with a tiny teacher and student: killed in the middle, it keeps what was stored."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from components.bridge.bridge import bridge_traces
from components.bridge.settings import BridgeSettings
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rollout_rows import Bridged, Probed, Routed
from components.shared.rows import Check, SftRow
from components.train.methods.registry import METHODS
from tests.processes import kill_once
from tests.stand_in_outputs import kept_keys, stored_rows
from tests.stand_in_teacher import stand_in_teacher
from tests.tiny_model import save_tiny_model

PROBLEMS = 12
REPLIES = "teacher-*"
RUN = """
import sys
from components.bridge.bridge import bridge_traces
from components.bridge.settings import BridgeSettings
from components.shared.outputs.library import Library
root, routed, probed, student, settings = sys.argv[1:]
library = Library(root)
parsed = BridgeSettings.model_validate_json(settings)
bridge_traces(library, parsed, library.load(routed), library.load(probed), student)
"""


def problem(number: int) -> dict[str, Any]:
    facts = {"type": "t", "primary": "p", "secondary": "s", "tries": 8, "successes": 0}
    check = Check(kind="math", answer=str(2 * number))
    text = {"id": f"r{number}", "source": "made", "line": number, "instruction": f"Twice {number}?", "check": check}
    return {**facts, **text, "response": f"It is {2 * number}."}


def teach(prompt: str) -> str:
    """Right about even numbers, in steps when it rewrites; slow enough to be killed."""
    time.sleep(0.05)
    found = re.search(r"Twice (\d+)", prompt)
    assert found is not None
    value = 2 * int(found[1]) + int(found[1]) % 2
    return f"1. Take {found[1]}.\n2. Double it.\nThe answer is {value}." if "Again" in prompt else f"It is {value}."


def inputs(root: Path) -> tuple[Manifest, Manifest]:
    routed = stored_rows(root, "route", "sft", [Routed(**problem(n), pool="hard") for n in range(PROBLEMS)])
    estimate = {"lengths": (), "truncated": 0, "low": 0.0, "high": 1.0, "decided": True, "rollouts": ()}
    return routed, stored_rows(root, "probe", "rows", [Probed(**problem(0), **estimate)])


def settings(teacher: dict[str, Any]) -> BridgeSettings:
    sampling = {"temperature": 1.0, "max_tokens": 24}
    return BridgeSettings.model_validate(
        {
            "teacher": teacher,
            "trace_sampling": sampling,
            "rewrite_sampling": sampling,
            "prompt": "Again: {problem} {trace}",
            "traces": 2,
            "candidates": 2,
            "rows_per_shard": 4,
            "actors": 1,
        }
    )


def test_a_killed_bridge_continues_with_every_stored_reply(tmp_path: Path) -> None:
    root, student = tmp_path / "store", str(save_tiny_model(tmp_path / "student"))
    routed, probed = inputs(root)
    library = Library(str(root))
    with stand_in_teacher(teach) as server:
        asked = settings({"backend": "openai", "model": "t", "endpoints": [server.url]})
        arguments = [str(root), routed.address, probed.address, student, asked.model_dump_json()]
        started = subprocess.Popen([sys.executable, "-c", RUN, *arguments], start_new_session=True)
        kill_once(started, lambda: bool(kept_keys(root, REPLIES)))
        before = set(kept_keys(root, REPLIES))
        assert not list(root.glob("bridge/*/manifest.json"))
        manifest = bridge_traces(library, asked, routed, probed, student)
    stored = kept_keys(root, REPLIES)
    assert before <= set(stored) and max(stored.values()) == 1, "none is lost, and none is asked twice"
    # One trace of each even number and two of each odd one, and rewritings of the even ones.
    assert len(stored) == PROBLEMS // 2 * (1 + 2) + PROBLEMS // 2 * 2
    rows = {row.id: row for row in library.read_rows(manifest, Bridged, "bridged")}
    assert rows.keys() == {f"r{number}" for number in range(PROBLEMS)}
    chosen = {name: row.texts[row.chosen].origin for name, row in rows.items() if row.chosen is not None}
    assert chosen == {f"r{n}": "reference" if n % 2 else "rewritten" for n in range(PROBLEMS)}
    # As the training reads it.
    assert METHODS["sft"].row_type is SftRow
    learnt = {row.id: row for row in library.read_rows(manifest, SftRow, METHODS["sft"].part)}
    assert learnt["r4"].completion == "1. Take 4.\n2. Double it.\nThe answer is 8." and len(learnt) == PROBLEMS
    assert not list(root.glob("bridge/*/written/*")), "what only the job needs is deleted"


def test_a_local_teacher_makes_room_for_the_student(tmp_path: Path) -> None:
    root = tmp_path / "store"
    teacher, student = (str(save_tiny_model(tmp_path / name, seed=seed)) for seed, name in enumerate(("t", "s")))
    manifest = bridge_traces(Library(str(root)), settings({"model": teacher, "batch": 4}), *inputs(root), student)
    # A random teacher solves nothing, so the reference solutions are learnt.
    assert manifest.counts["reference_rows"] == PROBLEMS and manifest.counts["traces_wrong"] == 2 * PROBLEMS
    assert {"routed", "probed", "student", "teacher"} == manifest.parents.keys()
