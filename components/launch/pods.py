"""Settings of a job's pods: their content, and where on a cluster they may run. `local` ignores them."""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from components.shared.settings import Settings

Quantity = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(m|[KMGTPE]i?)?$")]
"""A quantity of Kubernetes: 500m, 2, 16Gi."""

_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_NAME}(\.{_NAME})*"
LabelKey = Annotated[
    str,
    StringConstraints(pattern=rf"^({_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$", max_length=317),
]
"""NAME or DOMAIN/NAME, the syntax of the keys of labels and annotations."""
LabelValue = Annotated[str, StringConstraints(pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", max_length=63)]
QueueName = Annotated[str, StringConstraints(pattern=rf"^({_SUBDOMAIN})?$", max_length=63)]
"""A name that is also the value of a label; may be empty."""
ObjectName = Annotated[str, StringConstraints(pattern=rf"^({_SUBDOMAIN})?$", max_length=253)]
"""The name of an object of Kubernetes, a DNS subdomain (RFC 1123); may be empty."""
NamespaceName = Annotated[str, StringConstraints(pattern=rf"^({_NAME})?$", max_length=63)]
"""A DNS label (RFC 1123); may be empty."""

Fields = dict[str, JsonValue]
"""A part of a Kubernetes object, with the fields of the Kubernetes API."""


class SecretKey(Settings):
    """One key of a Secret of the namespace. Its value is never read here: the kubelet sets it in the pod."""

    secret: str = Field(min_length=1, description="name of the Secret")
    key: str = Field(min_length=1, description="key in it")


class CertificateAuthority(Settings):
    """A bundle of certificates in PEM, from a ConfigMap or a Secret of the namespace."""

    config_map: str = Field("", description="name of the ConfigMap")
    secret: str = Field("", description="name of the Secret")
    key: str = Field("ca.crt", min_length=1, description="key in it")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.config_map) == bool(self.secret):
            raise ValueError("name a config_map or a secret, one of the two")
        return self


class PodPlacement(Settings):
    """Settings of every pod of a run: the steps' own and their jobs'."""

    namespace: NamespaceName = Field(
        "", description="namespace of jobs; empty: the one that the step's own pod runs in"
    )
    service_account: ObjectName = Field("", description="service account of a job's pods; they get no token of it")
    image_pull_secrets: tuple[str, ...] = Field((), description="names of Secrets with registry logins")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="when the kubelet pulls the image"
    )
    secrets: dict[str, SecretKey] = Field(
        {}, description="environment variable (AWS_ACCESS_KEY_ID, TEACHER_API_KEY, …) to Secret and key"
    )
    environment: dict[str, str] = Field({}, description="more environment variables, AWS_ENDPOINT_URL; no secrets")
    certificate_authority: CertificateAuthority | None = Field(None, description="CA bundle that replaces the image's")
    node_selector: dict[LabelKey, LabelValue] = Field({}, description="labels that the node must have")
    tolerations: tuple[Fields, ...] = Field(
        (), description="taints that the pods tolerate, in the Kubernetes API's form"
    )
    affinity: Fields = Field({}, description="affinity, in the Kubernetes API's form")
    priority_class: ObjectName = Field("", description="name of a PriorityClass")
    annotations: dict[LabelKey, str] = Field({}, description="annotations of the pods")
    labels: dict[LabelKey, LabelValue] = Field({}, description="labels of the pods")
    user: int = Field(1000, ge=1, description="numeric user that the pods run as; never root")


class Pods(PodPlacement):
    """The pods of one job."""

    image: str = Field("", description="image of the job's pods; a launcher on a cluster needs one")
    cpu: Quantity = Field("1", description="CPU cores that each pod requests")
    cpu_limit: Quantity | None = Field(
        None, description="CPU cores that each pod may use; left out: as many as are idle"
    )
    memory: Quantity = Field("4Gi", description="memory that each pod requests and may not exceed")
    gpus: int = Field(0, ge=0, description="GPUs of each pod")
    gpu_resource: str = Field("nvidia.com/gpu", description="resource name of a GPU")
    shared_memory: Quantity | None = Field(
        None, description="size of /dev/shm, which NCCL and Ray fill; default: half of the memory, at least 64Mi"
    )
    scratch: Quantity = Field("20Gi", description="size limit of the pod's scratch volume, /tmp")
    volumes: tuple[Fields, ...] = Field((), description="extra volumes, in the Kubernetes API's form")
    volume_mounts: tuple[Fields, ...] = Field((), description="their mount paths, in the Kubernetes API's form")
    queue: QueueName = Field("", description="Kueue's LocalQueue that admits the job")
    queue_priority: QueueName = Field(
        "", description="Kueue's WorkloadPriorityClass of the job in its queue; empty: by the pods' priority_class"
    )

    @model_validator(mode="after")
    def _priority_in_a_queue(self) -> Self:
        if self.queue_priority and not self.queue:
            raise ValueError(f"queue_priority {self.queue_priority!r} needs a queue: it orders the jobs of a queue")
        return self
