"""The complete probe on a real Ray: of a tiny model, killed in the middle, and of a model behind an endpoint."""

import re
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
from tests.stand_in_teacher import stand_in_teacher
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


def double(prompt: str) -> str:
    """A model that is right about even numbers."""
    found = re.search(r"Twice (\d+)", prompt)
    assert found is not None
    return str(2 * int(found[1]) + int(found[1]) % 2)


def test_an_endpoint_is_probed_in_place_of_files_and_later_asked_only_about_new_problems(tmp_path: Path) -> None:
    root = tmp_path / "store"
    library = Library(str(root))
    few, more = (
        stored_rows(root, "curate", "rows", [problem(number) for number in range(count)]) for count in (6, PROBLEMS)
    )
    with stand_in_teacher(double) as server:
        settings = ProbeSettings.model_validate(
            {
                "generator": {"backend": "openai", "model": "m", "endpoints": [server.url]},
                "rule": {"tries": 4, "zero_tries": 8},
                "rows_per_shard": 8,
            }
        )
        first = probe_problems(library, settings, few, "")
        asked = len(server.prompts)
        second = probe_problems(library, settings, more, "")
        questions = {re.search(r"Twice \d+", prompt)[0] for prompt in server.prompts[asked:]}  # type: ignore[index]
    assert first.parents["model"].address == "openai:m"
    # Each even number is right 4 times, each odd one wrong 8 times.
    assert (asked, len(server.prompts)) == (3 * 4 + 3 * 8, PROBLEMS // 2 * (4 + 8))
    assert questions == {f"Twice {number}" for number in range(6, PROBLEMS)}
    found = {row.id: (row.successes, row.tries) for row in library.read_rows(second, Probed)}
    assert found == {f"r{n}": (0, 8) if n % 2 else (4, 4) for n in range(PROBLEMS)}
