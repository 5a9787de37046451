"""The step's side: it hands a job file to its job, runs the job, and gets a result or the job's own error.

handed = HandedJob(output, JobResult)
result = handed.result() or handed.run(task, Job(…, arguments=handed.arguments))
"""

from typing import Generic, TypeVar

from pydantic import BaseModel

from components.launch.hand_back.files import FAILURE_FILE, JOB_FILE, RESULT_FILE, JobFailure, JobResult, parse
from components.launch.job import Job, Launch, ProgramFailedError, run_job
from components.launch.slots import slot
from components.shared.errors import JobError, NotFoundError
from components.shared.log import say
from components.shared.outputs.output import Output
from components.shared.store.uri import join

SomeJobResult = TypeVar("SomeJobResult", bound=JobResult)


class HandedJob(Generic[SomeJobResult]):
    """One job and its files at an output's address.

    Args:
        output: the output that the job makes; its lease is held by the caller.
        result: what the job hands back.
    """

    def __init__(self, output: Output, result: type[SomeJobResult]) -> None:
        self._store, self._model, self._root = output.store, result, output.library.store
        self._uri, self._address = join(output.library.absolute_root, output.address), output.address

    @property
    def arguments(self) -> tuple[str, str]:
        """What tells the job's program where its job file is: `--job URI`."""
        return "--job", join(self._uri, JOB_FILE)

    def result(self) -> SomeJobResult | None:
        """What the job handed back; None when it has not succeeded. Raises DamagedError."""
        try:
            return parse(self._model, self._store.read(RESULT_FILE), join(self._uri, RESULT_FILE))
        except NotFoundError:
            return None

    def failure(self) -> JobFailure | None:
        """What the job's program recorded; None when it recorded nothing. Raises DamagedError."""
        try:
            return parse(JobFailure, self._store.read(FAILURE_FILE), join(self._uri, FAILURE_FILE))
        except NotFoundError:
            return None

    def run(self, task: BaseModel, job: Job) -> SomeJobResult:
        """Write the job file, run the job to its end, and return its result.

        Args:
            task: the content of the job file. It holds no secrets.
            job: what runs; its program gets `arguments`.

        Raises:
            TutelageError: the error that the job's program recorded, of the same class.
            JobError: the launcher's own words, where the program recorded nothing or did not end by itself.
        """
        self._store.delete(FAILURE_FILE)
        self._store.write(JOB_FILE, (task.model_dump_json(indent=1) + "\n").encode())
        try:
            with slot(self._root, job.launch.slots, job.name):
                run_job(job)
        except ProgramFailedError as error:
            failure = self.failure()
            if failure is None or not _explains(failure, error):
                raise
            say("launch", error.problem.partition("\n")[0].removesuffix("; its last lines:"))
            raise failure.error() from error
        result = self.result()
        if result is None:
            raise JobError(
                f"job {job.name} succeeded but left no {RESULT_FILE} at {self._uri}",
                rule="a job's program writes its result beside its job file",
                remedy="check that the job's pods use the same store as this step",
            )
        return result

    def run_on_ray(self, task: BaseModel, module: str, launch: Launch) -> SomeJobResult:
        """Run a module as the driver of a Ray job, which is named after the address. Raises what `run` raises."""
        name = self._address.replace("/", "-")
        return self.run(task, Job(name=name, program="ray", module=module, arguments=self.arguments, launch=launch))

    def clear(self) -> None:
        """Delete what the job handed back, when it is part of the output."""
        self._store.delete(RESULT_FILE)
        self._store.delete(FAILURE_FILE)


def _explains(failure: JobFailure, error: ProgramFailedError) -> bool:
    """Whether a record is of this end of the job.

    A start whose pods were lost can leave a temporary failure of the pods that remained. It does not explain the end
    of a later start, which has another exit code.
    """
    return not failure.temporary or error.program_exit_code in (None, failure.exit_code)
