"""The pod of a task as Kubeflow creates it: the compiled container, its platform settings, and Kubeflow's labels."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.kubeflow.compiled import Task

PROGRAM = (Path(__file__).parent / "pod_program.py").read_text()
WRITABLE = ("/s3", "/minio", "/gcs", "/.local", "/.cache", "/.config", "/var/run/argo")
"""Where Kubeflow mounts empty folders, to which the executor writes; and where Argo mounts its own."""
OUTPUT_FILE = "/tmp/kfp_outputs/output_metadata.json"

Object = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a run's pods run."""

    namespace: str
    run: str
    workflow: Object
    service_account: str
    root: str
    """s3://BUCKET/PREFIX of the run's artifacts, Kubeflow's pipeline root."""


def executor_input(task: Task, place: Place, parameters: Object, artifacts: Object) -> Object:
    """The input of kfp's executor."""
    outputs = task.component.get("outputDefinitions", {})
    made = {
        name: {
            "artifacts": [
                {
                    "name": name,
                    "type": fact["artifactType"],
                    "uri": f"{place.root}/{place.run}/{task.name}/{name}",
                    "metadata": {},
                }
            ]
        }
        for name, fact in outputs.get("artifacts", {}).items()
    }
    files = {name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in outputs.get("parameters", {})}
    return {
        "inputs": {
            "parameterValues": parameters,
            "artifacts": {name: {"artifacts": [artifact]} for name, artifact in artifacts.items()},
        },
        "outputs": {"parameters": files, "artifacts": made, "outputFile": OUTPUT_FILE},
    }


def task_pod(task: Task, place: Place, given: Object, attempt: int, policy: str) -> Object:
    """The pod of one attempt.

    Args:
        task: the task as the pipeline describes it.
        place: where the run's pods run.
        given: the executor's input.
        attempt: how many pods there were before.
        policy: the retry policy that Argo's controller merges into every template; OnFailure is its own default.
    """
    name = f"{place.run}-{task.name}-{attempt}"
    meta = task.platform.get("podMetadata", {})
    labels = {"pipeline/runid": place.run, "workflows.argoproj.io/workflow": place.workflow["name"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": place.namespace,
            "labels": {**labels, **meta.get("labels", {})},
            "annotations": meta.get("annotations", {}),
            "ownerReferences": [{**place.workflow, "controller": True}],
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": place.service_account,
            "terminationGracePeriodSeconds": 30,
            "nodeSelector": task.platform.get("nodeSelector", {}).get("labels", {}),
            "imagePullSecrets": [{"name": _name(s, "secretName")} for s in task.platform.get("imagePullSecret", [])],
            "containers": [_container(task, given, attempt, _template(task, policy))],
            "volumes": [volume for volume, _ in _volumes(task)],
            **_security_of_pod(task),
        },
    }


def _template(task: Task, policy: str) -> Object:
    """The part of Argo's template that the pod reads."""
    asked = task.spec.get("retryPolicy")
    if not asked:
        return {"name": "system-container-impl"}
    backoff = {"duration": asked["backoffDuration"], "maxDuration": asked["backoffMaxDuration"]}
    merged = {"retryPolicy": policy} if policy != "OnFailure" else {}
    strategy = {"limit": str(task.retries), "backoff": backoff, **merged}
    return {"name": "system-container-impl", "retryStrategy": strategy}


def _container(task: Task, given: Object, attempt: int, template: Object) -> Object:
    text = json.dumps(given)
    arguments = [text if argument == "{{$}}" else argument for argument in task.executor.get("args", [])]
    plain = {
        "KUBEFLOW_EXECUTOR_INPUT": text,
        "KUBEFLOW_TEMPLATE": json.dumps(template),
        "KFP_RETRY_INDEX": str(attempt),
        "HOME": "/",
        **{item["name"]: item["value"] for item in task.executor.get("env", [])},
    }
    fields = {
        "KFP_POD_NAME": "metadata.name",
        "KFP_POD_UID": "metadata.uid",
        **{item["name"]: item["fieldPath"] for item in task.platform.get("fieldPathAsEnv", [])},
    }
    resources = task.executor.get("resources", {})
    return {
        "name": "main",
        "image": task.executor["image"],
        "imagePullPolicy": task.platform.get("imagePullPolicy") or "IfNotPresent",
        "command": ["python3", "-c", PROGRAM, *task.executor["command"]],
        "args": arguments,
        "env": [
            *({"name": name, "value": value} for name, value in plain.items()),
            *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
            *_secret_variables(task),
        ],
        "resources": {
            "requests": {"cpu": resources.get("resourceCpuRequest", "20m")},
            "limits": {"memory": resources.get("resourceMemoryLimit", "2Gi")},
        },
        "volumeMounts": [mount for _, mount in _volumes(task)],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _name(item: Object, old: str) -> str:
    """A name that kfp-kubernetes writes in an old field, a new one (a parameter), or both."""
    return str(item.get(old) or item[f"{old}Parameter"]["runtimeValue"]["constant"])


def _secret_variables(task: Task) -> list[Object]:
    found = []
    for item in task.platform.get("secretAsEnv", []):
        for pair in item["keyToEnv"]:
            source = {
                "name": _name(item, "secretName"),
                "key": pair["secretKey"],
                "optional": bool(item.get("optional")),
            }
            found.append({"name": pair["envVar"], "valueFrom": {"secretKeyRef": source}})
    return found


def _volumes(task: Task) -> list[tuple[Object, Object]]:
    found = [_volume(f"kubeflow{number}", {"emptyDir": {}}, path) for number, path in enumerate(WRITABLE)]
    for number, item in enumerate(task.platform.get("emptyDirMounts", [])):
        size = {"sizeLimit": item["sizeLimit"]} if item.get("sizeLimit") else {}
        medium = {"medium": item["medium"]} if item.get("medium") else {}
        found.append(_volume(f"empty{number}", {"emptyDir": {**size, **medium}}, item["mountPath"]))
    for number, item in enumerate(task.platform.get("configMapAsVolume", [])):
        source = {"configMap": {"name": _name(item, "configMapName")}}
        found.append(_volume(f"config{number}", source, item["mountPath"]))
    for number, item in enumerate(task.platform.get("secretAsVolume", [])):
        source = {"secret": {"secretName": _name(item, "secretName")}}
        found.append(_volume(f"secret{number}", source, item["mountPath"]))
    return found


def _volume(name: str, source: Object, path: str) -> tuple[Object, Object]:
    return {"name": name, **source}, {"name": name, "mountPath": path}


def _security_of_pod(task: Task) -> Object:
    wanted = task.platform.get("securityContext", {})
    names = {"runAsUser", "runAsGroup", "runAsNonRoot"}
    context = {name: _whole(value) for name, value in wanted.items() if name in names}
    tolerations = [item for item in task.platform.get("tolerations", []) if "toleration" not in item]
    return {"securityContext": context, "tolerations": tolerations}


def _whole(value: Any) -> Any:
    """Protobuf's JSON writes 64-bit numbers as strings."""
    return int(value) if isinstance(value, str) else value
