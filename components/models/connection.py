"""How an endpoint is reached: its URL, the API key, TLS, proxies, and what it means when that fails."""

import os
import ssl
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

import aiohttp

from components.models.endpoint import Outcome, Verdict
from components.models.teacher import TeacherSettings
from components.shared.errors import SettingsError, TeacherError
from components.shared.proxy import BY_PASSING, through


def no_answer(url: str, error: Exception, seconds: float) -> Outcome:
    """What a failed connection or a missing answer means."""
    what = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        problem = TeacherError(
            f"{url}: its certificate is not trusted: {what}",
            remedy="name your certificate authority's bundle in SSL_CERT_FILE or REQUESTS_CA_BUNDLE",
        )
        return Outcome(Verdict.FATAL, reason=what, error=problem)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Outcome(
            Verdict.UNREACHABLE, reason=f"{url} cannot be reached: its proxy answers {error.status} {error.message}"
        )
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return Outcome(Verdict.UNREACHABLE, reason=f"{url} cannot be reached: {what}")
    if isinstance(error, TimeoutError):
        return Outcome(Verdict.SLOW, reason=f"{url} gave no answer within {seconds:g} s")
    return Outcome(Verdict.BROKEN, reason=f"{url} cut the connection: {what}")


def name_proxy(outcome: Outcome, url: str) -> Outcome:
    """The same outcome; one that failed names the proxy, which may be what answered or kept the answer back."""
    named = through(url)
    if outcome.verdict is Verdict.ANSWERED or not named:
        return outcome
    error = outcome.error
    if error is not None:
        remedy = f"{error.remedy}; {BY_PASSING}" if error.remedy else BY_PASSING
        error = type(error)(error.problem + named, rule=error.rule, remedy=remedy, allowed=error.allowed)
    failed = outcome.failed and outcome.failed.model_copy(update={"text": outcome.failed.text + named})
    return replace(outcome, reason=outcome.reason + named, error=error, failed=failed)


def request_headers(settings: TeacherSettings) -> dict[str, str]:
    """The request's headers, with the key if one is named. Raises SettingsError."""
    headers = {"Content-Type": "application/json"}
    if settings.api_key_variable:
        key = os.environ.get(settings.api_key_variable)
        if not key:
            raise SettingsError(
                f"the environment variable {settings.api_key_variable} is not set",
                rule="api_key_variable names the variable that holds the API key",
                remedy=f"export {settings.api_key_variable}=…; leave api_key_variable empty where no key is needed",
            )
        headers["Authorization"] = f"Bearer {key}"
    return headers


def check_endpoints(settings: TeacherSettings) -> None:
    """See that there are endpoints and that each is a base URL. Raises SettingsError."""
    if not settings.endpoints:
        raise SettingsError(
            "backend 'openai' has no endpoints",
            rule="endpoints are base URLs",
            allowed=["http://HOST:PORT/v1", "https://HOST/v1"],
            remedy="add the server's URL to `endpoints`",
        )
    for url in settings.endpoints:
        if not _is_base_url(url):
            raise SettingsError(
                f"endpoint {url!r} is no base URL",
                rule="scheme, host, port and path",
                allowed=["http://HOST:PORT/v1", "https://HOST/v1"],
                remedy="correct `endpoints`",
            )


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, a half bracket
        return False


def tls_context(urls: Iterable[str]) -> ssl.SSLContext | bool:
    """Certificates are always verified: against the bundle that a variable names, else the system's."""
    if not any(url.startswith("https:") for url in urls):
        return True
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise SettingsError(
            f"the certificate bundle {bundle!r} cannot be read: {error}",
            remedy="correct SSL_CERT_FILE or REQUESTS_CA_BUNDLE",
        ) from error
