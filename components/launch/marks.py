"""What a launcher writes on a job's resource, so that another start of the step knows what it finds."""

import copy
import hashlib
import json

from components.launch.job import Job
from components.launch.kind import ATTEMPT_ANNOTATION, RUN_LABEL, Attempt, Identity, Object, labels_of, resource_name

TTL_ANNOTATION = "tutelage.dev/ttl-seconds"
PROGRAM_ANNOTATION = "tutelage.dev/program"
TOLD_ANNOTATION = "tutelage.dev/told"
"""A step has heard of this job's end: a step that asks for the job again wants it run anew."""


def marked(manifest: Object, job: Job, attempt: Attempt) -> Object:
    """A manifest with the name, namespace, labels, owner and annotations that all kinds have in common."""
    made = copy.deepcopy(manifest)
    meta = made.setdefault("metadata", {})
    meta |= {"name": resource_name(job), "namespace": attempt.identity.namespace}
    meta["labels"] = {**meta.get("labels", {}), **labels_of(job, attempt)}
    meta["annotations"] = {
        **meta.get("annotations", {}),
        ATTEMPT_ANNOTATION: str(attempt.number),
        TTL_ANNOTATION: str(job.launch.ttl_seconds),
        PROGRAM_ANNOTATION: program_of(job),
    }
    if attempt.identity.owner:
        meta["ownerReferences"] = [attempt.identity.owner]
    return made


def program_of(job: Job) -> str:
    """A digest of what the job runs and on what; where and how fast is left out."""
    return hashlib.sha256(json.dumps([job.module, *job.arguments]).encode()).hexdigest()[:16]


def annotation(resource: Object, name: str) -> str:
    """An annotation of a resource; empty when it has none."""
    return str((resource["metadata"].get("annotations") or {}).get(name, ""))


def attempt_of(resource: Object) -> int:
    """Which start of the job a resource is."""
    text = annotation(resource, ATTEMPT_ANNOTATION)
    return int(text) if text.isdigit() else 0


def is_for(resource: Object, job: Job) -> bool:
    """Whether a resource runs this very job; one of the same name may write to another store."""
    return annotation(resource, PROGRAM_ANNOTATION) in ("", program_of(job))


def run_of(resource: Object) -> str:
    """The pipeline run that a resource belongs to."""
    return str((resource["metadata"].get("labels") or {}).get(RUN_LABEL, ""))


def as_ours(identity: Identity) -> Object:
    """The patch that makes a resource belong to this run, and no more to the one that started it."""
    return {
        "metadata": {
            "labels": {RUN_LABEL: identity.run or None},
            "ownerReferences": [identity.owner] if identity.owner else None,
        }
    }
