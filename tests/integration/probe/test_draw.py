"""The complete probe on a real Ray with a tiny model: killed in the middle, it keeps every rollout that was stored."""

import subprocess
import sys
from pathlib import Path

from components.probe.probe import probe_problems
from components.probe.settings import ProbeSettings
from components.shared.outputs.library import Library
from components.shared.rollout_rows import Probed
from components.shared.rows import Check, Labelled
from tests.processes import kill_once
from tests.stand_in_outputs import kept_keys, stored_rows
from tests.tiny_model import save_tiny_model

PROBLEMS = 24
ROLLOUTS = "rollouts"
RUN = """
import sys
from components.probe.probe import probe_problems
from components.probe.settings import ProbeSettings
from components.shared.outputs.library import Library
root, address, model, settings = sys.argv[1:]
library = Library(root)
probe_problems(library, ProbeSettings.model_validate_json(settings), library.load(address), model)
"""


def problem(number: int) -> Labelled:
    facts = {"type": "t", "primary": "p", "secondary": "s", "check": Check(kind="exact", answer=str(2 * number))}
    return Labelled(id=f"r{number}", source="made", line=number, instruction=f"Twice {number}?", **facts)  # type: ignore[arg-type]


def test_a_killed_probe_continues_with_every_stored_rollout(tmp_path: Path) -> None:
    root, model = tmp_path / "store", str(save_tiny_model(tmp_path / "model", max_position_embeddings=256))
    problems = stored_rows(root, "curate", "rows", [problem(number) for number in range(PROBLEMS)])
    settings = ProbeSettings.model_validate(
        {
            "generator": {"batch": 4},
            "sampling": {"temperature": 1.0, "max_tokens": 48},
            "rule": {"tries": 4, "zero_tries": 8},
            "rows_per_shard": 8,
            "actors": 1,
        }
    )
    arguments = [str(root), problems.address, model, settings.model_dump_json()]
    started = subprocess.Popen([sys.executable, "-c", RUN, *arguments], start_new_session=True)
    kill_once(started, lambda: bool(kept_keys(root, ROLLOUTS)))
    before = set(kept_keys(root, ROLLOUTS))
    assert not list(root.glob("probe/*/manifest.json"))

    manifest = probe_problems(Library(str(root)), settings, problems, model)
    rows = list(Library(str(root)).read_rows(manifest, Probed))
    assert {row.id for row in rows} == {f"r{number}" for number in range(PROBLEMS)}
    assert all(row.decided and row.tries == len(row.rollouts) for row in rows)
    stored = kept_keys(root, ROLLOUTS)
    assert before <= set(stored) and max(stored.values()) == 1, "none is lost, and none is drawn twice"
    assert sum(stored.values()) == manifest.counts["rollouts"]
