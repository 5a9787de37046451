"""What the synthesis job leaves for its step when it fails."""

from pathlib import Path

import pytest

from components.shared.errors import JobError, SettingsError, TeacherError, TutelageError
from components.shared.store import join, open_store
from components.synthesize import generate, synthesize
from components.synthesize.assignment import ASSIGNMENT, FAILURE


@pytest.mark.parametrize(
    "met",
    [
        TeacherError("no answer from http://teacher", remedy="see whether it runs", temporary=True),
        TeacherError("40 of 40 answers failed", rule="at most 10 %", remedy="mend it"),
        SettingsError("no such origin", allowed=["teacher", "student"]),
    ],
)
def test_the_step_raises_what_the_job_met(met: TutelageError, tmp_path: Path) -> None:
    """Its kind, its words, and whether it may pass, by which the step tries again or does not."""
    generate._record(met, join(str(tmp_path), "synthesize/abc", ASSIGNMENT))
    store = open_store(str(tmp_path)).at("synthesize/abc")
    assert FAILURE in {entry.key for entry in store.list()}
    with pytest.raises(type(met)) as caught:
        synthesize._raise_recorded(store, JobError("the job ended with exit code 75"))
    raised = caught.value
    assert (raised.problem, raised.remedy, raised.temporary) == (met.problem, met.remedy, met.temporary)
    assert raised.exit_code == met.exit_code
