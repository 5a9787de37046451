"""Settings of critique."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.critique.prompts import (
    ATTEMPT,
    BEGINNING,
    DIAGNOSE,
    DIAGNOSIS,
    DIAGNOSIS_TASK,
    PROBLEM,
    REFERENCE,
    REPAIR,
    REPAIR_TASK,
    STEP,
    VERDICT,
)
from components.launch.ray.settings import RayActors
from components.models.generators.generator import Sampling
from components.models.generators.registry import AnyGeneratorSettings
from components.models.rollouts.teacher_replies import TeacherReplies, require_samples
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.settings import Settings

NEEDED = {
    "diagnosis_prompt": (PROBLEM, ATTEMPT, VERDICT),
    "repair_prompt": (PROBLEM, BEGINNING, STEP),
    "diagnosis_task": (PROBLEM, ATTEMPT, VERDICT),
    "repair_task": (PROBLEM, ATTEMPT),
}
"""What each prompt must contain."""


class CritiqueSettings(RayActors):
    """How failed rollouts become rows to learn: what is wrong in them, and how they are corrected.

    The method is that of He and others (arXiv 2606.04466), whose prompts and numbers cannot be read here: all are ours.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = RayActors.not_in_cache_key | {"failed_share", "check_threads"}

    teacher: AnyGeneratorSettings = Field(description="the large model, which diagnoses and corrects")
    system_prompt: str = Field(
        "", description="system message for problems without one, as in the probe; it is not written into the rows"
    )
    attempts: int = Field(
        1, ge=1, le=64, description="wrong rollouts of each unsolved problem that are critiqued, chosen by the seed"
    )
    right_share: float = Field(
        0.5,
        ge=0,
        le=0.9,
        description="share of the diagnoses that are of right solutions, 0 to 0.9: who learns from wrong ones alone "
        "learns to find a fault in everything",
    )
    diagnosis_prompt: str = Field(
        DIAGNOSE,
        description=f"asks the teacher for a diagnosis; {PROBLEM}, {ATTEMPT} and `{VERDICT}` must be in it, "
        f"{REFERENCE} is replaced by a correct solution where there is one",
    )
    diagnosis_sampling: Sampling = Field(
        Sampling(max_tokens=1024), description="how diagnoses are sampled; there is one of each rollout"
    )
    repair_prompt: str = Field(
        REPAIR,
        description=f"asks the teacher to continue; {PROBLEM}, {BEGINNING} and {STEP} must be in it, {DIAGNOSIS} is "
        "replaced by the reason",
    )
    repairs: int = Field(4, ge=1, le=64, description="continuations of each rollout whose fault was found")
    repair_sampling: Sampling = Field(
        Sampling(temperature=0.7, max_tokens=1024), description="how the continuations are sampled"
    )
    keep: Literal["shortest", "first"] = Field(
        "shortest", description="which of several right continuations is learnt; length is in characters"
    )
    diagnosis_task: str = Field(
        DIAGNOSIS_TASK,
        description=f"what the student is asked in rows with a diagnosis; {PROBLEM}, {ATTEMPT} and `{VERDICT}` must be "
        "in it",
    )
    repair_task: str = Field(
        REPAIR_TASK,
        description=f"what the student is asked in rows with a corrected solution; {PROBLEM} and {ATTEMPT} must be in "
        f"it, {DIAGNOSIS} is replaced by the reason",
    )
    diagnosis_share: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="most diagnoses, as a share of all rows to learn, 0 to 1; traces are never left out",
    )
    repair_share: float = Field(
        0.3, ge=0, lt=1, description="most corrected solutions, as a share of all rows to learn, 0 to 1"
    )
    seed: int = Field(0, description="seed of every choice: of rollouts, for balance, and under the caps")
    code_limits: SandboxLimits = Field(SandboxLimits(), description="limits of one run of code in the sandbox")
    check_threads: int | None = Field(
        None, ge=1, description="texts that one actor checks at a time; None: one for each core"
    )
    rows_per_shard: int = Field(
        128, ge=1, le=100_000, description="rollouts of one shard, which is also one task of an actor"
    )
    failed_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the diagnoses that may fail for good, 0 to 1. A failed one costs at most its rows: this "
        "is for a teacher that does not answer at all. Continuations may all fail",
    )

    @property
    def diagnosis_source(self) -> TeacherReplies:
        """What diagnoses depend on, besides their prompts."""
        return TeacherReplies(teacher=self.teacher, sampling=self.diagnosis_sampling)

    @property
    def repair_source(self) -> TeacherReplies:
        """What continuations depend on, besides their prompts."""
        return TeacherReplies(teacher=self.teacher, sampling=self.repair_sampling)

    @model_validator(mode="after")
    def _can_critique(self) -> Self:
        for name, needed in NEEDED.items():
            if missing := [each for each in needed if each not in getattr(self, name)]:
                raise ValueError(f"{name} must contain {' and '.join(missing)}")
        if self.diagnosis_share + self.repair_share >= 1:
            raise ValueError(
                f"diagnosis_share {self.diagnosis_share:g} and repair_share {self.repair_share:g} must add up to less "
                "than 1: the rest are the traces"
            )
        require_samples("repairs", self.repairs, self.repair_sampling, self.teacher)
        return self


class CritiqueAssignment(Settings):
    """The content of the job file. It holds no secrets: keys are read from the variables that the settings name.

    `address`, `probed` and `bridged` (the inputs), `diagnoses` and `repairs` (the teacher's kept replies) are
    addresses, relative to `root`.
    """

    root: str
    address: str
    probed: str
    bridged: str
    diagnoses: str
    repairs: str
    settings: CritiqueSettings
