"""Programs that RL has checked leave nothing behind, whatever they try."""

from benchmarks.sandbox.__main__ import LEAKS, LIMITS
from benchmarks.sandbox.leaks import watched
from benchmarks.sandbox.programs import KINDS, PROBLEM, reply_of
from components.rewards.checks.rollout_judge import RolloutJudge
from components.shared.sandbox.run_python import run_python


def test_programs_leave_no_process_file_descriptor_or_thread() -> None:
    limits = LIMITS.model_copy(update={"wall_seconds": 30.0})
    tried = [kind for kind in KINDS if kind != "sleeps"]
    with watched() as place:
        run_python("", limits=limits)
        before = place.held()
        judge = RolloutJudge(["code"], limits, threads=2)
        verdicts = judge.verdicts([(PROBLEM, reply_of(kind)) for kind in tried])
        judge.close()
        left = place.held().since(before)
    assert dict(zip(tried, verdicts, strict=True)) == {kind: KINDS[kind].is_right for kind in tried}
    assert {name: left[name] for name in LEAKS} == dict.fromkeys(LEAKS, 0)
