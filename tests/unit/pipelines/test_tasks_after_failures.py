"""After a task failed, kfp.local runs those that do not depend on it, and what comes last; the run still fails."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from contextlib import nullcontext
from kfp import dsl, local
from pipelines.local.task_order import independent_tasks_go_on, tasks_in_order
from pipelines.placement.place_tasks import Placer
from pipelines.placement.task import Task
from components.registry import STEPS

NAMES = ["first", "broken", "needs-broken", "needs-first", "last"]

@dsl.component(base_image="x", install_kfp_package=False)
def work(name: str, needs: str) -> str:
    if name == "broken":
        raise SystemExit(2)
    print(f"<{name} after {needs}>", flush=True)
    return name

placed = Placer([Task(name, STEPS["select"]) for name in NAMES], None)
ending = placed.ending(lambda root: placed(work(name="last", needs=root), "last"))

@dsl.pipeline(name="it")
def pipeline(root: str = "ROOT"):
    with placed.cleaned_up(ending, root) if sys.argv[2] == "ending" else nullcontext():
        first = placed(work(name="first", needs=root), "first")
        broken = placed(work(name="broken", needs=root), "broken")
        placed(work(name="needs-broken", needs=broken.output), "needs-broken")
        placed(work(name="needs-first", needs=first.output), "needs-first")

local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1], raise_on_error=True)
with tasks_in_order(NAMES), independent_tasks_go_on():
    pipeline()
"""


@pytest.mark.parametrize(("last", "worked"), [("ending", ["<last after ROOT>"]), ("none", [])])
def test_what_does_not_depend_on_the_failed_task_runs(tmp_path: Path, last: str, worked: list[str]) -> None:
    program = tmp_path / "run_it.py"
    program.write_text(PROGRAM)
    environment = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    command = [sys.executable, str(program), str(tmp_path / "kfp"), last]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith("<")]
    assert lines == ["<first after ROOT>", "<needs-first after first>", *worked], done.stdout + done.stderr
    assert done.returncode == 1 and "RuntimeError" in done.stderr
