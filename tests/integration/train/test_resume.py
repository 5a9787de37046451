"""A training that is killed with -9 continues from its newest complete checkpoint, on other machines and ranks too.

On the same number of ranks its losses are those of a run that was not killed, bit for bit. On another number they
differ as those of an uninterrupted run on that number would: sums are rounded in another order (some 1e-7 at first,
and the difference grows with the steps), which a relative tolerance of 1e-3 allows, unlike a wrong state.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.launch.hand_back import hand_over
from components.launch.here.fork_server import ForkedProcess, ForkedProgram, job_server
from components.launch.here.local import environment_of
from components.launch.job import Job
from components.shared.errors import JobError
from components.shared.outputs.manifest import Manifest
from components.shared.store.folder import FolderStore
from components.train.checkpoints.checkpoint import complete_steps
from components.train.settings import TrainSettings
from tests.conftest import free_port
from tests.processes import alive, descendants, wait_until

pytestmark = pytest.mark.timeout(1500)
WAIT_SECONDS, SECONDS = 500.0, 60.0
STEPS = 120
OTHER_RANKS = 1e-5
REPOSITORY = Path(__file__).parents[3]
COMMON = {"epochs": 10, "checkpoint_steps": 20, "weight_decay": 0.1}


def on(nodes: int, processes: int) -> dict[str, Any]:
    """Where a training runs."""
    return {"nodes": nodes, "processes_per_node": processes}


def start_step(root: str, settings: TrainSettings, dataset: Manifest, student: Path) -> ForkedProcess:
    """The step in a session of its own, forked from the process that forks the bench's trainings."""
    server = job_server()
    assert server is not None
    given = [root, settings.model_dump(mode="json"), dataset.model_dump(mode="json"), str(student)]
    program = "tests.integration.train.step_to_kill"
    return server.start(ForkedProgram(program, (json.dumps(given),), dict(os.environ), own_session=True))


def wait_for_two_checkpoints(root: str, is_running: Callable[[], bool]) -> FolderStore:
    """Wait until two checkpoints are complete; returns the store at the output's address."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and is_running():
        for folder in Path(root, "train").glob("*"):
            if len(complete_steps(FolderStore(folder))) > 1:
                return FolderStore(folder)
        time.sleep(0.01)
    raise AssertionError("no checkpoint was complete in time")


def kill_after_two_checkpoints(root: str, running: ForkedProcess) -> FolderStore:
    """Kill the step's process group once two checkpoints are complete; returns the store at the output's address."""
    log: list[str] = []
    reader = threading.Thread(target=log.extend, args=(running.stdout,), daemon=True)
    reader.start()
    below: set[int] = set()
    try:
        store = wait_for_two_checkpoints(root, lambda: running.poll() is None)
        below = descendants(running.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait(SECONDS)
        # What it has started shares its output.
        reader.join(SECONDS)
        print(*log, sep="")
    assert len(below) > 2, "torchrun and its ranks"
    wait_until(lambda: not any(alive(each) for each in below), SECONDS)
    return store


def wait_for_ranks(address: str) -> None:
    """Wait until no process has the address in its command line."""
    deadline = time.monotonic() + SECONDS
    while any(address.encode() in _command(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline, "ranks outlived their step"
        time.sleep(0.05)


def _command(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def killed(bench: Any, root: str, **chosen: Any) -> int:
    """Kill a training into a copy of the bench's store; returns the step of its newest complete checkpoint."""
    shutil.copytree(bench.root, root)
    running = start_step(root, bench.settings(**chosen), bench.selected, bench.student)
    newest = complete_steps(kill_after_two_checkpoints(root, running))[0]
    assert newest < STEPS, "it was killed too late to show anything"
    return newest


def assert_continues(
    bench: Any, uninterrupted: Manifest, root: str, newest: int, capfd: pytest.CaptureFixture[str], **chosen: Any
) -> Manifest:
    """Resume at `root` and compare every loss with the uninterrupted run's: equal on as many ranks, else nearly.

    Where shares follow speed, the ranks compute other rows than those of the uninterrupted run.
    """
    capfd.readouterr()
    resumed: Manifest = bench.train(**chosen, root=root)
    log = capfd.readouterr().err
    assert f"continuing from the checkpoint of step {newest}" in log
    assert ("reference log-probs: 96 rows read from" in log) == ("reference_rows" in uninterrupted.counts)
    every = chosen["checkpoint_steps"]
    saved = [int(step) for step in re.findall(r"checkpoint at step (\d+)", log)]
    assert saved == [step for step in range(every, STEPS, every) if step > newest], "as often as the settings say now"
    before, after = bench.losses(uninterrupted), bench.losses(resumed, root)
    assert [record["step"] for record in after] == list(range(1, STEPS + 1))
    if resumed.counts["ranks"] == uninterrupted.counts["ranks"] and "shares" not in chosen:
        assert after == before
        assert resumed.shard("model/model.safetensors").digest == uninterrupted.shard("model/model.safetensors").digest
    else:
        for name in ("rows", "tokens", "learning_rate"):
            assert [record[name] for record in after] == [record[name] for record in before]
        losses = [record["loss"] for record in before]
        worst = max(abs(r["loss"] / loss - 1) for r, loss in zip(after, losses, strict=True))
        print(f"worst relative difference {worst:.2e}")
        assert [record["loss"] for record in after] == pytest.approx(losses, rel=OTHER_RANKS)
    assert complete_steps(FolderStore(Path(root, resumed.address))) == []
    return resumed


def test_all_weights_on_two_ranks_continue_on_two_and_on_one(
    bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = COMMON | {"method": "kto", "deepspeed": {"stage": 3}}
    two, one = str(tmp_path / "two"), str(tmp_path / "one")
    newest = killed(bench, two, **chosen)
    shutil.copytree(two, one)
    uninterrupted = bench.train(**chosen)
    assert_continues(bench, uninterrupted, two, newest, capfd, **chosen)
    assert_continues(bench, uninterrupted, one, newest, capfd, **chosen | {"checkpoint_steps": 15}, launch=on(1, 1))


def test_adapters_on_one_rank_continue_on_one_and_on_two(
    bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The reference is the start without the adapter, so its log-probs are the same before and after."""
    chosen = COMMON | {"method": "dpo", "deepspeed": {"stage": 3}, "lora": {"rank": 4}, "dpo": {"rpo_alpha": 0.5}}
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    newest = killed(bench, one, **chosen, launch=on(1, 1))
    (record,) = Path(one, "train").glob("*/losses.jsonl")
    assert json.loads(record.read_text().splitlines()[0])["step"] == 1, "the record is there before the end"
    shutil.copytree(one, two)
    uninterrupted = bench.train(**chosen, launch=on(1, 1))
    assert_continues(bench, uninterrupted, one, newest, capfd, **chosen, launch=on(1, 1))
    assert_continues(bench, uninterrupted, two, newest, capfd, **chosen, launch=on(1, 2))


def test_a_training_continues_with_other_shares(bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chosen = COMMON | {"method": "sft", "deepspeed": {"stage": 1}}
    root = str(tmp_path / "by speed")
    newest = killed(bench, root, **chosen, shares="speed", launch=on(1, 2) | {"speeds": (1, 0.25)})
    uninterrupted = bench.train(**chosen)
    later = on(1, 2) | {"speeds": (1, 0.5)}
    resumed = assert_continues(bench, uninterrupted, root, newest, capfd, **chosen, shares="speed", launch=later)
    dealt = [json.loads(line) for line in Path(root, resumed.address, "shares.jsonl").read_text().splitlines()]
    assert [(record["step"], record["shares"][0]) for record in dealt] == [(1, 0.8), (newest + 1, 0.666667)]


class Machines:
    """Runs a job as one torchrun for each node; each has a scratch folder; they share only the store."""

    def __init__(self, folder: Path, kill_at: str = "") -> None:
        self.folder, self.kill_at = folder, kill_at

    def __call__(self, job: Job) -> None:
        """Run the job to its end, or kill it once two checkpoints are complete."""
        port = free_port()
        with contextlib.ExitStack() as stack:
            nodes = [stack.enter_context(one) for one in self._nodes(job, port)]
            if self.kill_at:
                wait_for_two_checkpoints(self.kill_at, lambda: all(node.poll() is None for node in nodes))
                raise JobError("killed")
            codes = [node.wait(WAIT_SECONDS) for node in nodes]
        if any(codes):
            raise JobError(f"the machines ended with {codes}")

    def _nodes(self, job: Job, port: int) -> list[contextlib.AbstractContextManager["subprocess.Popen[bytes]"]]:
        processes = [equal.processes_per_node for equal in job.launch.equal_nodes for _ in range(equal.nodes)]
        meeting = [f"--nnodes={len(processes)}", "--master-addr=127.0.0.1", f"--master-port={port}"]
        return [
            self._node(job, node, [*meeting, f"--node-rank={node}", f"--nproc-per-node={count}"])
            for node, count in enumerate(processes)
        ]

    @contextlib.contextmanager
    def _node(self, job: Job, node: int, place: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
        command = [sys.executable, "-m", "components.launch.here.torchrun", "--preload", *place]
        command += ["--local-addr=127.0.0.1", "-m", job.module, *job.arguments]
        environment = environment_of(job) | {"TUTELAGE_CACHE": str(self.folder / f"node{node}")}
        with subprocess.Popen(command, cwd=REPOSITORY, env=environment, start_new_session=True) as process:
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def test_two_machines_continue_as_two_as_one_and_as_one_rank(
    bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each machine uploads what it wrote, and what comes next begins with empty folders."""
    chosen = COMMON | {"method": "sft", "deepspeed": {"stage": 2}}
    roots = [str(tmp_path / name) for name in ("machines", "ranks", "one")]
    shutil.copytree(bench.root, roots[0])
    with monkeypatch.context() as patch:
        patch.setattr(hand_over, "run_job", Machines(tmp_path / "first", kill_at=roots[0]))
        with pytest.raises(JobError, match="killed"):
            bench.train(**chosen, root=roots[0], launch=on(2, 1))
    address = next(Path(roots[0], "train").iterdir())
    wait_for_ranks(str(address))
    newest = complete_steps(FolderStore(address))[0]
    for root in roots[1:]:
        shutil.copytree(roots[0], root)
    uninterrupted = bench.train(**chosen)
    with monkeypatch.context() as patch:
        patch.setattr(hand_over, "run_job", Machines(tmp_path / "second"))
        assert_continues(bench, uninterrupted, roots[0], newest, capfd, **chosen, launch=on(2, 1))
    assert_continues(bench, uninterrupted, roots[1], newest, capfd, **chosen, launch=on(1, 2))
    assert_continues(bench, uninterrupted, roots[2], newest, capfd, **chosen, launch=on(1, 1))


def test_groups_of_unequal_machines_learn_what_equal_ranks_do(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes on one machine and one on the other, which measure their speeds."""
    chosen = COMMON | {"epochs": 3, "method": "sft", "deepspeed": {"stage": 1}}
    root = str(tmp_path / "groups")
    shutil.copytree(bench.root, root)
    group = {"nodes": 1, "accelerator": "CPU", "memory": "8G", "speed": 1000}
    launch = {"launcher": "JobSet", "groups": [{**group, "processes_per_node": 2}, group]}
    with monkeypatch.context() as patch:
        patch.setattr(hand_over, "run_job", Machines(tmp_path / "machines"))
        dealt = bench.train(**chosen, shares="speed", launch=launch, root=root)
    even = bench.train(**chosen)
    assert (dealt.counts["ranks"], even.counts["ranks"]) == (3, 2)
    losses = [record["loss"] for record in bench.losses(even)]
    assert [record["loss"] for record in bench.losses(dealt, root)] == pytest.approx(losses, rel=OTHER_RANKS)
