"""How many programs a second RL can have checked, and whether they leave anything behind.

    python -m benchmarks.sandbox [--programs 4000] [--brief]

Replies with code go through the judge of GRPO and of the probe (`components/rewards/checks/rollout_judge.py`), each
kind by itself and then a mixture of all of them, in steps of 512 as in RL. Every verdict is compared with the one that
the reply deserves. Afterwards processes, files, descriptors and threads are counted: what is left over is a leak, and
the command fails. Results go to `benchmarks/results/sandbox.json`; `--brief` shows that it runs.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.machine import describe_machine
from benchmarks.sandbox.leaks import watched
from benchmarks.sandbox.programs import KINDS, PROBLEM, mixture, reply_of
from components.rewards.checks.rollout_judge import RolloutJudge
from components.shared.sandbox.run_python import SandboxLimits, run_python

RESULTS = Path(__file__).parents[1] / "results" / "sandbox.json"
LIMITS = SandboxLimits(cpu_seconds=1, wall_seconds=5, memory_bytes=256 << 20)
"""Tighter than the defaults: what loops, sleeps or takes memory costs its limit."""
STEP = 512
"""Rollouts that RL draws, and has checked, at a time."""
EACH, SLOW_SECONDS = 100, 20.0
"""Programs of a kind by itself; fewer of a kind that takes longer than these seconds."""
PROGRAMS, BRIEF_PROGRAMS, SEED = 4000, 40, 5
LEAKS = ("processes", "files", "descriptors", "threads")


@dataclass(frozen=True)
class Checked:
    """What became of some replies.

    Attributes:
        programs: their number.
        seconds: on the clock.
        unexpected: verdicts other than those that they deserve.
        without_verdict: checks that failed themselves.
    """

    programs: int
    seconds: float
    unexpected: int
    without_verdict: int

    @property
    def rate(self) -> float:
        """Programs a second."""
        return round(self.programs / self.seconds, 1)

    def as_json(self) -> dict[str, Any]:
        """Its values, with the rate."""
        return asdict(self) | {"programs_per_second": self.rate}


def check(judge: RolloutJudge, kinds: Sequence[str]) -> Checked:
    """Have a reply of each kind checked, in steps."""
    began, verdicts = time.monotonic(), list[bool | None]()
    for first in range(0, len(kinds), STEP):
        verdicts += judge.verdicts([(PROBLEM, reply_of(kind)) for kind in kinds[first : first + STEP]])
    seconds = round(time.monotonic() - began, 2)
    lost = sum(verdict is None for verdict in verdicts)
    wrong = sum(verdict is not KINDS[kind].is_right for kind, verdict in zip(kinds, verdicts, strict=True))
    return Checked(len(kinds), seconds, wrong - lost, lost)


def check_kind(judge: RolloutJudge, kind: str, threads: int, each: int) -> Checked:
    """Have `each` replies of one kind checked, or as many as fit its time."""
    first = check(judge, [kind] * threads)
    fitting = int(SLOW_SECONDS / max(first.seconds, 1e-3)) * threads
    return check(judge, [kind] * min(each, fitting)) if fitting > threads else first


def measure(programs: int, each: int, threads: int) -> dict[str, Any]:
    """Rates of every kind and of the mixture, and what is left afterwards."""
    with watched() as place:
        run_python("", limits=LIMITS)  # what the first run loads, it keeps
        before = place.held()
        judge = RolloutJudge(["code"], LIMITS, threads)
        try:
            kinds = {kind: check_kind(judge, kind, threads, each) for kind in KINDS}
            mixed = check(judge, mixture(programs, SEED))
        finally:
            judge.close()
        left = place.held().since(before)
    return {
        "threads": threads,
        "limits": LIMITS.model_dump(mode="json"),
        "mechanisms": list(run_python("", limits=LIMITS).mechanisms),
        "kinds": {kind: one.as_json() for kind, one in kinds.items()},
        "mixture": mixed.as_json(),
        "left": left,
    }


def main(
    programs: Annotated[int, typer.Option(help="of the mixture")] = PROGRAMS,
    threads: Annotated[int, typer.Option(help="checked at a time; 0: one for each core")] = 0,
    brief: Annotated[bool, typer.Option("--brief", help="show that it runs; nothing is written")] = False,
) -> None:
    """Measure, print the table, and write the results."""
    each = 2 if brief else EACH
    found = measure(BRIEF_PROGRAMS if brief else programs, each, threads or len(os.sched_getaffinity(0)))
    if not brief:
        RESULTS.write_text(json.dumps({"machine": describe_machine(), **found}, indent=2) + "\n")
    print(table(found))
    if failures := list(faults(found)):
        print("\n".join(failures), file=sys.stderr)
        raise typer.Exit(1)


def table(found: dict[str, Any]) -> str:
    """The results in Markdown."""
    lines = ["| programs | number | a second |", "|---|---:|---:|"]
    rows = {**found["kinds"], f"a mixture of all, {found['threads']} at a time": found["mixture"]}
    lines += [f"| {name} | {one['programs']:,} | {one['programs_per_second']:,.1f} |" for name, one in rows.items()]
    left = ", ".join(f"{name} {found['left'][name]:.0f}" for name in LEAKS)
    return "\n".join([*lines, "", f"left behind: {left}; memory grew by {found['left']['resident_mib']:.1f} MiB"])


def faults(found: dict[str, Any]) -> list[str]:
    """What must not be: leaks, and verdicts that a reply does not deserve."""
    leaks = [f"{found['left'][name]:.0f} {name} are left over" for name in LEAKS if found["left"][name] > 0]
    checked = {**found["kinds"], "mixture": found["mixture"]}
    wrong = [f"{name}: {one['unexpected']} unexpected verdicts" for name, one in checked.items() if one["unexpected"]]
    lost = [f"{name}: {one['without_verdict']} without" for name, one in checked.items() if one["without_verdict"]]
    return [*leaks, *wrong, *lost]


if __name__ == "__main__":
    typer.run(main)
