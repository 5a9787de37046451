"""How the API server is found and who asks: the pod's service account, else the kubeconfig of a person."""

import os
from pathlib import Path

from kubernetes import client, config
from kubernetes.config import ConfigException

from components.shared.errors import JobError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_NAMESPACE = "default"


def connect() -> client.ApiClient:
    """A client with the credentials as they are now; called again, it reads them again.

    Raises:
        JobError: there is no cluster to talk to, or its certificate would not be verified.
    """
    settings = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)
    except ConfigException as not_in_a_pod:
        _read_kubeconfig(settings, str(not_in_a_pod))
    if not settings.verify_ssl:
        raise JobError(
            "the kubeconfig's cluster has insecure-skip-tls-verify",
            rule="TLS is always verified",
            remedy="give it certificate-authority or certificate-authority-data instead",
        )
    # Whoever asks waits and asks again by itself, with words.
    settings.retries = False
    return client.ApiClient(settings)


def own_namespace() -> str:
    """The namespace of the pod that this process runs in; empty outside a cluster."""
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text().strip()
    except OSError:
        return ""


def context_namespace() -> str:
    """The namespace of the kubeconfig's current context; `default` where it names none."""
    return named_context_namespace() or DEFAULT_NAMESPACE


def named_context_namespace() -> str:
    """The namespace that the kubeconfig's current context names; empty where it names none, or where there is none."""
    try:
        _, context = config.list_kube_config_contexts(_kubeconfig())
    except (ConfigException, OSError):
        return ""
    return str(context["context"].get("namespace") or "")


def _read_kubeconfig(settings: client.Configuration, otherwise: str) -> None:
    try:
        config.load_kube_config(_kubeconfig(), client_configuration=settings)
    except (ConfigException, OSError) as error:
        raise JobError(
            f"no Kubernetes cluster can be found: {error}; and in a pod: {otherwise}",
            remedy="set KUBECONFIG, or run in a pod with a service account; launcher local needs no cluster",
        ) from error


def _kubeconfig() -> str | None:
    return os.environ.get("KUBECONFIG") or None
