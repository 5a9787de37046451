"""How an endpoint is reached: its URL, the API key, TLS, proxies; and what a failed connection means."""

import os
import ssl
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from components.models.service.endpoint import Answer, TryOutcome, TryStatus
from components.models.service.service import Service
from components.models.service.settings import ServiceSettings
from components.shared.errors import SettingsError
from components.shared.proxy import BY_PASSING, through


def no_answer(service: Service[Answer], url: str, error: Exception, seconds: float) -> TryOutcome[Answer]:
    """The outcome of a failed connection, or of a response that did not come within `seconds`."""
    what = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        problem = service.error(
            f"{url}: its certificate is not trusted: {what}",
            remedy="set SSL_CERT_FILE or REQUESTS_CA_BUNDLE to your certificate authority's bundle",
        )
        return TryOutcome(TryStatus.FATAL, reason=what, error=problem)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        reason = f"{url} cannot be reached: its proxy answers {error.status} {error.message}"
        return TryOutcome(TryStatus.UNREACHABLE, reason=reason)
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return TryOutcome(TryStatus.UNREACHABLE, reason=f"{url} cannot be reached: {what}")
    if isinstance(error, TimeoutError):
        return TryOutcome(TryStatus.SLOW, reason=f"{url} did not answer within {seconds:g} s")
    return TryOutcome(TryStatus.BROKEN, reason=f"{url} cut the connection: {what}")


def name_proxy(outcome: TryOutcome[Answer], url: str) -> TryOutcome[Answer]:
    """The same outcome; a failed one names the proxy, which may be what answered or what held the answer back."""
    named = through(url)
    if outcome.status is TryStatus.ANSWERED or not named:
        return outcome
    error = outcome.error
    if error is not None:
        remedy = f"{error.remedy}; {BY_PASSING}" if error.remedy else BY_PASSING
        error = type(error)(error.problem + named, rule=error.rule, remedy=remedy, allowed=error.allowed)
    return replace(outcome, reason=outcome.reason + named, error=error)


def request_headers(settings: ServiceSettings) -> dict[str, str]:
    """The request's headers, with the key if a variable names one. Raises SettingsError."""
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


def check_endpoints(settings: ServiceSettings, service: Service[Any]) -> None:
    """Check that there are endpoints and that each is a base URL. Raises SettingsError."""
    if not settings.endpoints:
        raise SettingsError(
            f"{service.name}: no endpoints",
            rule=f"endpoints are base URLs of {service.api}",
            allowed=service.base_urls,
            remedy="add the server's URL to `endpoints`",
        )
    for url in settings.endpoints:
        if not _is_base_url(url):
            raise SettingsError(
                f"endpoint {url!r} is not a valid base URL",
                rule="scheme, host, port and path",
                allowed=service.base_urls,
                remedy="correct `endpoints`",
            )


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port, or an unclosed bracket
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
