"""Ranks throttled for real, by cgroup CPU quotas, with shares by speed beside even ones.

    python -m benchmarks.unequal.throttled [--speeds 1:0.5 --speeds 1:0.5:0.25] [--rows 84] [--steps 8] [--brief]

Ranks of the real train step (torchrun, DeepSpeed ZeRO-1 on gloo, SFT of the demo's student on made-up rows) on two
cores: the first has a core to itself, the others are on the second, and may use a part of its time each, from the
moment their libraries are loaded. For each set of speeds in turns: each rank alone with its quota, even shares, shares
by speed, and the same backwards. The bound is the sum of what the ranks train alone in a second. Shares come from the
job's own measurement. It needs root and cgroup v1 or v2. The ranks' cgroups have the highest weight, so that other
programs take hardly any of their time; caches and memory they share, so a machine that does nothing else is better.
`--brief` shows that it runs.
"""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from benchmarks.machine import describe_machine
from benchmarks.processes import family_of
from benchmarks.training_data.made_up_rows import write_rows
from components.launch.hand_back.files import JOB_FILE, RESULT_FILE
from components.launch.here.local import LOOPBACK
from components.launch.here.torchrun import PRELOAD
from components.shared.process.signals import sigterm_raises
from components.shared.store.uri import join
from components.train.engine.share_by_speed import EARLY
from components.train.job_file import TrainingJob
from components.train.methods.registry import parse_train_settings
from components.train.train import PROGRAM

RESULTS = Path(__file__).parents[1] / "results" / "unequal_throttled.json"
CGROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))
HIGHEST_WEIGHTS = {"cpu.weight": 10_000, "cpu.shares": 262_144}
"""Of cgroups v2 and v1, beside 100 and 1,024 of a process outside: other programs take hardly any of a rank's time."""
PERIOD_MICROSECONDS = 20_000
"""Short beside a step: a process that has used up its quota pauses for the rest, where a slow device goes on."""
TOKENS, ROWS = 240, 84
"""Of a row, and rows of a step: two and three ranks divide them evenly, and 1 : 0.5 and 1 : 0.5 : 0.25 by speed too.

Passes, reduction and optimizer all grow with the parameters, so their ratio is that of the tokens of a step: 20,160, as
32 rows of some 600 tokens, a recipe's default.
"""
SPEEDS = ("1:0.5", "1:0.25", "1:0.5:0.25")
BRIEF_STEPS = 2
WARM_UP, ALONE_WARM_UP = max(EARLY), 1
"""Steps that are not counted: until then shares follow what the first ones show. A rank alone has the entire step."""
LOADED = "ZeRO stage"
"""The job's log has this once its libraries are loaded and its rows are tokenized."""
LIMIT_SECONDS = 900.0
Shares = Literal["even", "speed"]
SHARES: Sequence[Shares] = ("even", "speed")


class CpuQuota:
    """A cgroup whose processes may use a part of one core's time."""

    def __init__(self) -> None:
        parent = next((path for path in CGROUPS if (path / "cgroup.procs").exists()), None)
        if parent is None:
            raise SystemExit(f"no cgroup with CPU quotas at {' or '.join(map(str, CGROUPS))}")
        self._folder = parent / f"tutelage-{uuid.uuid4().hex[:8]}"
        self._folder.mkdir()
        for name, weight in HIGHEST_WEIGHTS.items():
            if (self._folder / name).exists():
                (self._folder / name).write_text(str(weight))

    def add(self, process: int) -> None:
        """Put a process, and what it starts from now on, into the group."""
        (self._folder / "cgroup.procs").write_text(str(process))

    def limit(self, share: float) -> None:
        """Let the group use this share of one core."""
        quota = round(share * PERIOD_MICROSECONDS)
        if (self._folder / "cpu.max").exists():
            (self._folder / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}")
        else:
            (self._folder / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
            (self._folder / "cpu.cfs_quota_us").write_text(str(quota))

    def close(self) -> None:
        """Remove the group, once its processes have ended."""
        deadline = time.monotonic() + 20
        while (self._folder / "cgroup.procs").read_text().strip() and time.monotonic() < deadline:
            time.sleep(0.1)
        self._folder.rmdir()


@dataclass(frozen=True)
class Training:
    """What a training's counted steps were.

    Attributes:
        tokens_per_second: of all ranks, the median of the steps.
        shares: of each rank, where they follow speed.
        load_average: of the machine's last minute, at the end; the ranks are a part of it.
    """

    tokens_per_second: float
    shares: tuple[float, ...]
    load_average: float


def train(root: str, dataset: str, shares: Shares, quotas: Sequence[float], rows: int) -> Training:
    """Train for an epoch with one rank for each quota; `rows` of a step."""
    address = f"train/{uuid.uuid4().hex}"
    settings = parse_train_settings(
        {
            "method": "sft",
            "precision": "fp32",
            "epochs": 1,
            "global_batch": rows,
            "micro_batch": 8,
            "checkpoint_steps": 0,
            "gradient_checkpointing": False,
            "deepspeed": {"stage": 1},
            "shares": shares,
            "launch": {"nodes": len(quotas)},
        }
    )
    job = TrainingJob(
        root=root, address=address, task=shares, settings=settings, dataset=dataset, start="package:demo/student"
    )
    job.store.write(JOB_FILE, job.model_dump_json().encode())
    _run(join(root, address, JOB_FILE), quotas, Path(root, address, RESULT_FILE))
    records = [json.loads(line) for line in Path(root, address, "losses.jsonl").read_text().splitlines()]
    counted = [record["tokens_per_second"] for record in records[WARM_UP if len(quotas) > 1 else ALONE_WARM_UP :]]
    rate, load = round(statistics.median(counted), 1), round(os.getloadavg()[0], 1)
    return Training(rate, _shares(Path(root, address)), load)


def _shares(folder: Path) -> tuple[float, ...]:
    path = folder / "shares.jsonl"
    return tuple(json.loads(path.read_text().splitlines()[-1])["shares"]) if path.exists() else ()


def _run(uri: str, quotas: Sequence[float], result: Path) -> None:
    """Run the job on one machine for each quota, until its result is there."""
    with ExitStack() as stack:
        port, folder = _free_port(), Path(stack.enter_context(TemporaryDirectory()))
        groups = [stack.enter_context(_group()) for _ in quotas]
        ranks = [
            stack.enter_context(_rank(uri, place, port=port, folder=folder, group=group))
            for place, group in zip(_places(quotas), groups, strict=True)
        ]
        _wait(ranks, lambda: LOADED in (folder / "0.log").read_text(errors="replace"), folder)
        for group, quota in zip(groups, quotas, strict=True):
            if quota < 1:
                group.limit(quota)
        _wait(ranks, result.exists, folder)


@dataclass(frozen=True)
class Place:
    """A rank among those of a training, and its core."""

    rank: int
    ranks: int
    core: int


def _places(quotas: Sequence[float]) -> list[Place]:
    """A rank that is not throttled has the first core, alone too; the others are on the second."""
    return [Place(rank, len(quotas), int(quota < 1)) for rank, quota in enumerate(quotas)]


@contextmanager
def _group() -> Iterator[CpuQuota]:
    group = CpuQuota()
    try:
        yield group
    finally:
        group.close()


@contextmanager
def _rank(uri: str, place: Place, *, port: int, folder: Path, group: CpuQuota) -> Iterator["subprocess.Popen[bytes]"]:
    rank = place.rank
    job = [f"--nnodes={place.ranks}", f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}"]
    command = [sys.executable, "-m", "components.launch.here.torchrun", PRELOAD, *job]
    command += ["--nproc-per-node=1", "--local-addr=127.0.0.1", "-m", PROGRAM, "--job", uri]
    own = {"TUTELAGE_CACHE": str(folder / str(rank)), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    environment = {**os.environ, **LOOPBACK, **own}
    with (folder / f"{rank}.log").open("wb") as log:
        running = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        group.add(running.pid)
        os.sched_setaffinity(running.pid, {place.core})
        yield running
    finally:
        for process in family_of(running.pid):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        running.wait(30)


def _wait(ranks: "Sequence[subprocess.Popen[bytes]]", reached: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not reached():
        if any(rank.poll() not in (None, 0) for rank in ranks) or time.monotonic() > deadline:
            raise SystemExit((folder / "0.log").read_text(errors="replace")[-4000:])
        time.sleep(0.2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@dataclass(frozen=True)
class Turn:
    """One training of a comparison."""

    quotas: tuple[float, ...]
    shares: Shares = "even"

    def __str__(self) -> str:
        return f"alone {self.quotas[0]:g}" if len(self.quotas) == 1 else self.shares


def turns_of(quotas: tuple[float, ...]) -> list[Turn]:
    """Each speed alone, then all ranks with even shares and with shares by speed."""
    alone = [Turn((quota,)) for quota in sorted(set(quotas), reverse=True)]
    return alone + [Turn(quotas, shares) for shares in SHARES]


@dataclass(frozen=True)
class Rows:
    """Made-up rows: datasets of trainings by several ranks and of those by one, and the rows of a step."""

    root: str
    together: str
    alone: str
    of_step: int

    @classmethod
    def write(cls, root: str, of_step: int, steps: int) -> "Rows":
        """Write rows for so many counted steps."""
        together, alone = (
            write_rows(root, "sft", of_step * (warm_up + steps), TOKENS).address for warm_up in (WARM_UP, ALONE_WARM_UP)
        )
        return cls(root, together, alone, of_step)

    def train(self, turn: Turn) -> Training:
        """Train for an epoch."""
        dataset = self.alone if len(turn.quotas) == 1 else self.together
        return train(self.root, dataset, turn.shares, turn.quotas, self.of_step)


def compare(rows: Rows, quotas: tuple[float, ...], *, twice: bool) -> dict[str, object]:
    """Train in turns with ranks of these quotas, once or there and back; rates beside the bound."""
    turns = turns_of(quotas)
    found: dict[str, list[Training]] = {str(turn): [] for turn in turns}
    for turn in turns + turns[::-1] if twice else turns:
        found[str(turn)].append(rows.train(turn))
        print(f"{quotas}, {turn}: {found[str(turn)][-1]}", flush=True)
    rates = {name: statistics.mean(one.tokens_per_second for one in trainings) for name, trainings in found.items()}
    alone = [rates[str(Turn((quota,)))] for quota in quotas]
    return {
        "tokens_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "bound_tokens_per_second": round(sum(alone), 1),
        "of_bound": {shares: round(rates[shares] / sum(alone), 3) for shares in SHARES},
        "even_of_bound_at_best": round(len(alone) * min(alone) / sum(alone), 3),
        "quotas_of_first_alone": round(alone[0] * sum(quotas), 1),
        "trainings": {name: [asdict(one) for one in trainings] for name, trainings in found.items()},
    }


def quotas_of(speeds: str) -> tuple[float, ...]:
    """Each rank's part of a core. Raises typer.BadParameter where the second core cannot give what is asked for."""
    quotas = tuple(float(part) for part in speeds.split(":"))
    if len(quotas) < 2 or quotas[0] != 1 or sum(quotas[1:]) > 1 or min(quotas) <= 0:
        raise typer.BadParameter(f"{speeds}: the first is 1, the others share a core: at most 1 together")
    return quotas


def main(
    speeds: Annotated[list[str] | None, typer.Option(help="of the ranks, such as 1:0.5:0.25")] = None,
    rows: Annotated[int, typer.Option(help="of a step, a multiple of the ranks")] = ROWS,
    steps: Annotated[int, typer.Option(help="counted steps of each training")] = 8,
    brief: Annotated[bool, typer.Option(help="few steps, one turn, the first speeds; writes nothing")] = False,
) -> None:
    """Compare, print and write the results."""
    chosen = {words: quotas_of(words) for words in (speeds or SPEEDS)[: 1 if brief else None]}
    counted = BRIEF_STEPS if brief else steps
    # Throttled ranks must not outlive this process.
    with sigterm_raises(), TemporaryDirectory() as root:
        made = Rows.write(root, rows, counted)
        found = {f"{words}, {rows} rows": compare(made, quotas, twice=not brief) for words, quotas in chosen.items()}
    print(json.dumps(found, indent=2))
    if not brief:
        earlier = json.loads(RESULTS.read_text())["speeds"] if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps({"machine": describe_machine(), "speeds": earlier | found}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
