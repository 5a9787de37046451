"""Which proxy the environment names for a URL: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, ranges of addresses included.

NO_PROXY lists the hosts that are reached without a proxy, separated by commas or spaces: `*`; a host or a domain with
its subdomains (`example.org`, `.example.org`, `*.example.org`); an IP address; a range of them (`10.0.0.0/8`,
`fd00::/8`), which matches addresses in a URL and not names that resolve to them, as in curl and Go; and each host or
address also with `:PORT`, which matches that port alone. The standard library (boto3, aiohttp) ignores ranges.
"""

import functools
import ipaddress
import os
import urllib.request
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from components.shared.errors import SettingsError
from components.shared.log import say

DEFAULT_PORTS = {"http": 80, "https": 443}
BY_PASSING = "where no proxy is needed, name the host, its domain or its range of addresses (10.0.0.0/8) in NO_PROXY"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Proxy:
    """A proxy; `url` may hold a password and is never shown, `name` is HOST:PORT, `variable` is where it comes from."""

    url: str
    variable: str

    @property
    def name(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]


def proxy_of(url: str) -> Proxy | None:
    """The proxy for a URL; None where it is reached without one. Raises SettingsError for an invalid proxy."""
    parts = urlsplit(url)
    given = urllib.request.getproxies().get(parts.scheme, "")
    if not given or is_bypassed(url):
        return None
    variable = f"{parts.scheme.upper()}_PROXY"
    proxy = Proxy(given if "://" in given else f"http://{given}", variable)
    if urlsplit(proxy.url).scheme not in DEFAULT_PORTS or not proxy.name:
        raise SettingsError(
            f"{variable} names a proxy with the scheme {urlsplit(proxy.url).scheme!r} for {parts.hostname}",
            rule="a proxy is an HTTP proxy",
            allowed=["http://HOST:PORT", "https://HOST:PORT"],
            remedy=f"correct {variable}; {BY_PASSING}",
        )
    return proxy


def through(url: str) -> str:
    """Names a URL's proxy in a message; empty without a proxy."""
    proxy = proxy_of(url) if url else None
    return f" (through the proxy {proxy.name} of {proxy.variable})" if proxy else ""


def is_bypassed(url: str) -> bool:
    """Whether NO_PROXY says that a URL is reached without a proxy."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    entries = _no_proxy().replace(",", " ").split()
    return any(_matches(entry.lower(), host, port) for entry in entries) or _by_system(parts)


def _no_proxy() -> str:
    return os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""


def _by_system(parts: SplitResult) -> bool:
    """What the operating system's own settings say, where no variable names a proxy (macOS, Windows)."""
    return not _no_proxy() and bool(urllib.request.proxy_bypass(parts.hostname or ""))


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        network = _network(entry)
        return address is not None and network is not None and address in network
    name, only_port = _split_port(entry)
    if only_port and only_port != port:
        return False
    wanted = _address(name)
    if wanted is not None or address is not None:
        return wanted == address
    domain = name.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _split_port(entry: str) -> tuple[str, int]:
    """Host and port; 0 for any port. A bare IPv6 address has colons and no port."""
    if _address(entry) is not None:
        return entry, 0
    name, _, port = entry.rpartition(":")
    return (name.strip("[]"), int(port)) if name and port.isdigit() else (entry.strip("[]"), 0)


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@functools.lru_cache(maxsize=256)
def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        say("proxy", f"NO_PROXY holds {entry!r}, which is not a valid range of addresses: it is ignored")
        return None
