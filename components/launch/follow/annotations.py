"""What a launcher writes on a job's resource, so that another start of the step recognises it."""

import copy

from components.launch.api.resources import Object
from components.launch.fewer_nodes import parse_nodes
from components.launch.job import Job
from components.launch.kinds.kind import (
    ATTEMPT_ANNOTATION,
    NODES_ANNOTATION,
    RUN_LABEL,
    Identity,
    JobAttempt,
    labels_of,
    resource_name,
)
from components.shared.outputs.digest import digest_value, hex_of

TTL_ANNOTATION = "tutelage.dev/ttl-seconds"
PROGRAM_ANNOTATION = "tutelage.dev/program"
ACKNOWLEDGED_ANNOTATION = "tutelage.dev/acknowledged"
"""A step has acted on the end of this job: a step that asks for the job again triggers a re-run."""


def annotated(manifest: Object, job: Job, attempt: JobAttempt) -> Object:
    """A manifest with the name, namespace, labels, owner and annotations that all kinds have in common."""
    made = copy.deepcopy(manifest)
    meta = made.setdefault("metadata", {})
    meta |= {"name": resource_name(job), "namespace": attempt.identity.namespace}
    meta["labels"] = {**meta.get("labels", {}), **labels_of(job, attempt)}
    meta["annotations"] = {
        **meta.get("annotations", {}),
        **attempt.annotations,
        TTL_ANNOTATION: str(job.launch.ttl_seconds),
        PROGRAM_ANNOTATION: program_of(job),
    }
    if attempt.identity.owner:
        meta["ownerReferences"] = [attempt.identity.owner]
    return made


def program_of(job: Job) -> str:
    """A digest of what the job runs, and on which inputs; where and how fast it runs is left out."""
    return hex_of(digest_value([job.module, *job.arguments]), 16)


def annotation(resource: Object, name: str) -> str:
    """An annotation of a resource; empty when it lacks it."""
    return str((resource["metadata"].get("annotations") or {}).get(name, ""))


def attempt_of(resource: Object) -> int:
    """The number of the job's attempt that a resource or a pod belongs to."""
    text = annotation(resource, ATTEMPT_ANNOTATION)
    return int(text) if text.isdigit() else 0


def nodes_of(resource: Object) -> tuple[int, ...]:
    """The numbers of the nodes that a resource runs on; empty where its job does not continue on fewer."""
    return parse_nodes(annotation(resource, NODES_ANNOTATION))


def is_for(resource: Object, job: Job) -> bool:
    """Whether a resource runs this very job: another of the same name may write to another store."""
    return annotation(resource, PROGRAM_ANNOTATION) in ("", program_of(job))


def run_of(resource: Object) -> str:
    """The pipeline run that a resource belongs to."""
    return str((resource["metadata"].get("labels") or {}).get(RUN_LABEL, ""))


def as_ours(identity: Identity) -> Object:
    """The patch after which a resource belongs to this run, and no longer to the one that started it."""
    return {
        "metadata": {
            "labels": {RUN_LABEL: identity.run or None},
            "ownerReferences": [identity.owner] if identity.owner else None,
        }
    }
