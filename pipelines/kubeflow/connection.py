"""The connection to Kubeflow Pipelines: login, certificates, and errors that say what to do."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.shared.errors import SettingsError, TutelageError
from pipelines.kubeflow.submission import Access

IN_CLUSTER_HOST = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
PROJECTED_TOKEN = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - the path that Kubeflow's PodDefault mounts
NAMESPACE_VARIABLE = "TUTELAGE_KFP_NAMESPACE"
TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - Kubeflow's own name
TEMPORARY = (429, 500, 502, 503, 504)


class KubeflowError(TutelageError):
    """Kubeflow Pipelines refused a request or cannot be reached; `temporary`: the same request may succeed later."""


def complete(access: Access) -> Access:
    """The access, completed with the defaults of a pod in the cluster. Raises SettingsError when no host is set."""
    here = os.environ.get("KUBERNETES_SERVICE_HOST")
    host = (access.host or (IN_CLUSTER_HOST if here else "")).rstrip("/")
    if not host.startswith(("http://", "https://")):
        raise SettingsError(
            f"invalid host of Kubeflow Pipelines: {host!r}",
            rule="a URL with its path, such as https://kubeflow.example.org/pipeline",
            remedy="--host URL, or TUTELAGE_KFP_HOST",
        )
    if access.token_file and access.cookies_file:
        raise SettingsError("--token-file and --cookies-file", rule="mutually exclusive", remedy="use one of them")
    token = access.token_file
    if not token and not access.cookies_file:
        projected = os.environ.get(TOKEN_VARIABLE) or PROJECTED_TOKEN
        token = projected if Path(projected).exists() else ""
    files = {"token_file": token, "cookies_file": access.cookies_file, "ca_bundle": access.ca_bundle}
    paths = {name: str(Path(path).expanduser().absolute()) if path else "" for name, path in files.items()}
    for name, path in paths.items():
        if path and not Path(path).is_file():
            raise SettingsError(f"--{name.replace('_', '-')} {path}: no such file", remedy="give the path of a file")
    return access.model_copy(update={"host": host, **paths})


def connect(access: Access) -> Any:
    """A kfp.Client, after a health check.

    Raises:
        KubeflowError: it cannot be reached, or refuses the login.
    """
    several = has_many_users(access)
    with explained(access), quiet():
        from kfp import Client

        return Client(
            host=access.host,
            # The client sends the namespace with its requests, which Kubeflow in single-user mode refuses.
            namespace=access.namespace if several and access.namespace else "kubeflow",
            credentials=_credentials(access),
            cookies=_cookies(access),
            ssl_ca_cert=access.ca_bundle or None,
        )


def profile_for_runs(access: Access) -> str | None:
    """The profile namespace of a run; None in single-user mode, in which Kubeflow accepts none.

    Raises:
        KubeflowError: it cannot be reached, or refuses the login.
        SettingsError: Kubeflow is in multi-user mode, and no namespace is set.
    """
    if not has_many_users(access):
        return None
    if not access.namespace:
        raise SettingsError(
            f"{access.host} is in multi-user mode, and no namespace is set",
            rule="a run belongs to the namespace of a profile",
            remedy=f"--namespace NAME, or {NAMESPACE_VARIABLE}",
        )
    return access.namespace


def has_many_users(access: Access) -> bool:
    """Check Kubeflow's health; True in multi-user mode. kfp.Client would retry five times and hide the reason.

    Raises KubeflowError.
    """
    with explained(access):
        return _ask_health(access)


def _ask_health(access: Access) -> bool:
    import kfp_server_api

    settings = kfp_server_api.Configuration()
    settings.host, settings.ssl_ca_cert = access.host, access.ca_bundle or None
    credentials = _credentials(access)
    if credentials is not None:
        settings.api_key, settings.api_key_prefix = (
            {"authorization": "set for each request"},
            {"authorization": "Bearer"},
        )
        settings.refresh_api_key_hook = credentials.refresh_api_key_hook
    client = kfp_server_api.ApiClient(settings, cookie=_cookies(access))
    found, _, headers = kfp_server_api.HealthzServiceApi(client).healthz_service_get_healthz_with_http_info()
    if "json" not in headers.get("Content-Type", ""):
        raise KubeflowError(
            f"{access.host} returns a web page instead of an answer of the Kubeflow Pipelines API",
            rule="the host is the API's URL with its path (often …/pipeline); an expired login redirects to a web page",
            remedy="log in again and update the file of --cookies-file or --token-file; check --host",
        )
    return found.multi_user is True


def _credentials(access: Access) -> Any:
    if not access.token_file:
        return None
    from kfp.client import ServiceAccountTokenVolumeCredentials

    # It reads the file again for each request: tokens are short-lived.
    return ServiceAccountTokenVolumeCredentials(access.token_file)


def _cookies(access: Access) -> str | None:
    return Path(access.cookies_file).read_text(encoding="utf-8").strip() if access.cookies_file else None


@contextlib.contextmanager
def explained(access: Access) -> Iterator[None]:
    """Turn errors of the client into a KubeflowError with a remedy."""
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    log = logging.getLogger("urllib3.connectionpool")
    level = log.level
    # It warns about every failed attempt; we report the last one.
    log.setLevel(logging.ERROR)
    try:
        yield
    except ApiException as error:
        raise _refusal(access, int(error.status or 0), str(error.reason), str(error.body or "")) from None
    except (HTTPError, OSError) as error:
        raise _unreachable(access, str(error)) from None
    finally:
        log.setLevel(level)


def _refusal(access: Access, status: int, reason: str, body: str) -> KubeflowError:
    if status == 0:
        return _unreachable(access, reason)
    text = f"{access.host} answers {status} {reason}: {body.strip()[:300]}".rstrip(": ")
    if status == 401:
        remedy = "log in: --token-file FILE, or --cookies-file FILE of a new login"
    elif status == 403:
        remedy = f"request permission to run pipelines in namespace {access.namespace or '(none given: --namespace)'}"
    elif status == 404:
        remedy = "check --host (its path is often …/pipeline) and the run's id"
    else:
        remedy = "see the message; the log of ml-pipeline on the cluster has more"
    return KubeflowError(text, remedy=remedy, temporary=status in TEMPORARY)


def _unreachable(access: Access, reason: str) -> KubeflowError:
    if "CERTIFICATE_VERIFY_FAILED" in reason or "SSLError" in reason:
        return KubeflowError(
            f"{access.host}: the certificate is not trusted: {reason[:300]}",
            rule="TLS is always verified",
            remedy="--ca-bundle FILE, with the certificates of your certificate authority",
        )
    return KubeflowError(
        f"{access.host} cannot be reached: {reason[:300]}",
        remedy="check --host and the network; kubectl port-forward -n kubeflow svc/ml-pipeline 8888:8888 makes it "
        "http://localhost:8888",
        temporary=True,
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what the client prints (links, version warnings)."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
