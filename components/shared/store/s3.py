"""A store in an S3-compatible bucket (AWS, MinIO, SeaweedFS, Ceph, versitygw, …).

Endpoint, region, keys and certificate authority come from the usual variables: AWS_ENDPOINT_URL, AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_CA_BUNDLE. AWS has none for the addressing style, so there is
TUTELAGE_S3_ADDRESSING (`auto`, `path` or `virtual`; default: `path` with a custom endpoint, else `auto`).
AWS_MAX_ATTEMPTS sets the attempts of each request (attempts.py).
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3.session
from boto3.exceptions import Boto3Error, S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from urllib3.exceptions import HTTPError as URLLibError

from components.shared.errors import ExistsError, NotFoundError, SettingsError, StoreError
from components.shared.proxy import BY_PASSING, proxy_of, through
from components.shared.store.attempts import attempts
from components.shared.store.folder import PARTIAL, explained
from components.shared.store.store import Entry

ADDRESSING_VARIABLE = "TUTELAGE_S3_ADDRESSING"
ADDRESSING_STYLES = ("auto", "path", "virtual")
MISSING = {"404", "NoSuchKey", "NotFound"}
TAKEN = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
FULL = "the store is full: free space or raise the quota; running again goes on where it stopped"
UNKNOWN_KEY = "check AWS_ACCESS_KEY_ID: the store does not know this key"
REMEDIES = {
    "NoSuchBucket": "create the bucket, or correct the name in the recipe's `store`",
    "InvalidAccessKeyId": UNKNOWN_KEY,
    "XAdminUserNotFound": UNKNOWN_KEY,
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY and AWS_REGION",
    "AccessDenied": "give this key the right to list, read, write and delete in the bucket",
    "403": "check the key and its secret, and give it the right to list, read, write and delete in the bucket",
    "ExpiredToken": "get a new session token (AWS_SESSION_TOKEN)",
    "RequestTimeTooSkewed": "set this machine's clock",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the bucket's region",
    "PermanentRedirect": "set AWS_REGION to the bucket's region, and check AWS_ENDPOINT_URL",
    "QuotaExceeded": FULL,
    "XMinioStorageFull": FULL,
    "InsufficientStorage": FULL,
}
BUSY = (408, 429, 500, 502, 503, 504)
BUSY_CODES = ("RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests")
"""Transient errors: by HTTP status, and by error codes that some stores return with another status."""
INTERRUPTED = (NoConnectionError, HTTPClientError, IncompleteReadError, URLLibError)
CONNECT_SECONDS = 5
READ_SECONDS = 60
RESUMES = 5
"""How often an interrupted download is resumed."""


def addressing_style() -> str:
    """The addressing style to use. Raises SettingsError for an unknown one."""
    style = os.environ.get(ADDRESSING_VARIABLE) or ("path" if os.environ.get("AWS_ENDPOINT_URL") else "auto")
    if style not in ADDRESSING_STYLES:
        raise SettingsError(
            f"{ADDRESSING_VARIABLE}={style!r} is not a valid addressing style",
            allowed=ADDRESSING_STYLES,
            remedy=f"set {ADDRESSING_VARIABLE} to one of the allowed values, or unset it",
        )
    return style


def make_client() -> Any:
    """A boto3 client that also works with stores that are not AWS (checksums only where required).

    One client is cached for each process and environment: creating one takes a tenth of a second, and boto3's default
    session would keep the first credentials that it found. A request to an unreachable endpoint fails after about half
    a minute.

    Raises:
        SettingsError: an environment variable is invalid.
    """
    _require_plain_endpoint(os.environ.get("AWS_ENDPOINT_URL", ""))
    shaping = ("aws_", ADDRESSING_VARIABLE.lower(), "http_proxy", "https_proxy", "no_proxy")
    relevant = {name: value for name, value in os.environ.items() if name.lower().startswith(shaping)}
    return _client_for(os.getpid(), tuple(sorted(relevant.items())))


def _require_plain_endpoint(endpoint: str) -> None:
    if "@" in endpoint:
        raise SettingsError(
            "AWS_ENDPOINT_URL contains a user or a password",
            rule="an endpoint appears in logs and messages, so it must not contain secrets",
            remedy="set the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and remove them from the URL",
        )


@lru_cache(maxsize=8)
def _client_for(process: int, environment: tuple[tuple[str, str], ...]) -> Any:
    try:
        return boto3.session.Session().client(
            "s3",
            region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
            config=Config(
                s3={"addressing_style": addressing_style()},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": attempts()},
                max_pool_connections=32,
                proxies=_proxies(),
            ),
        )
    except (ValueError, BotoCoreError) as error:
        raise SettingsError(
            f"cannot create the S3 client: {error}",
            rule="AWS_ENDPOINT_URL is a URL such as https://s3.example.com:9000",
            remedy="correct AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE or AWS_CA_BUNDLE",
        ) from error


def _proxies() -> dict[str, str] | None:
    """The endpoint's proxy, empty for a host in NO_PROXY; None, without a custom endpoint, leaves it to botocore."""
    endpoint = _endpoint()
    if not endpoint:
        return None
    proxy = proxy_of(endpoint)
    return {urlsplit(endpoint).scheme: proxy.url} if proxy else {}


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except NoCredentialsError as error:
        raise StoreError(
            f"{where}: no credentials found", remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    except ClientError as error:
        raise _translate(where, error) from error
    except S3UploadFailedError as error:
        # boto3 wraps the store's response to an upload.
        cause = error.__context__
        known = _translate(where, cause) if isinstance(cause, ClientError) else _unreachable(where, cause or error)
        raise known from error
    except (BotoCoreError, Boto3Error, URLLibError) as error:
        raise _unreachable(where, error) from error


def _unreachable(where: str, error: BaseException) -> StoreError:
    remedy = "check AWS_ENDPOINT_URL, the network and AWS_CA_BUNDLE, then run again"
    return StoreError(
        f"{where}: {error}{through(_endpoint())}",
        remedy=_with_proxy(remedy),
        temporary=isinstance(error, INTERRUPTED) and not isinstance(error, SSLError),
    )


def _with_proxy(remedy: str) -> str:
    return f"{remedy}; {BY_PASSING}" if through(_endpoint()) else remedy


def _translate(where: str, error: ClientError) -> StoreError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in MISSING:
        return NotFoundError(f"no object {where}", remedy="check the URI")
    if code in TAKEN:
        return ExistsError(f"{where} exists already")
    message = error.response.get("Error", {}).get("Message", "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return StoreError(
        f"{where}: the store answered {code}: {message}{through(_endpoint())}",
        remedy=_with_proxy(REMEDIES.get(code, "see the store's log")),
        temporary=code not in REMEDIES and (status in BUSY or code in BUSY_CODES),
    )


class S3Store:
    """Objects below one prefix of one bucket."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self.bucket, self.prefix = client, bucket, prefix.strip("/")

    @classmethod
    def from_uri(cls, uri: str) -> "S3Store":
        """Open `s3://BUCKET/PREFIX`. Raises SettingsError when the bucket is missing."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket:
            raise SettingsError(f"store {uri!r} lacks a bucket", rule="s3://BUCKET/PREFIX")
        return cls(make_client(), bucket, prefix)

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def at(self, prefix: str) -> "S3Store":
        return S3Store(self._client, self.bucket, self._key(prefix))

    def exists(self, key: str) -> bool:
        # Not a HEAD: its 404 lacks a body, so a missing bucket or invalid credentials would look like a missing object.
        wanted = self._key(key)
        with self._explained(key):
            found = self._client.list_objects_v2(Bucket=self.bucket, Prefix=wanted, MaxKeys=1).get("Contents", ())
        return any(item["Key"] == wanted for item in found)

    def read(self, key: str) -> bytes:
        return b"".join(self.read_chunks(key))

    def read_chunks(self, key: str, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """The object in chunks; an interrupted download is resumed. Raises NotFoundError."""
        place, rest = 0, dict[str, str]()
        for left in reversed(range(RESUMES + 1)):
            with self._explained(key):
                answer = self._get(key, rest)
                body = answer["Body"]
                try:
                    with body:
                        for chunk in body.iter_chunks(chunk_bytes):
                            place += len(chunk)
                            yield chunk
                    return
                except (BotoCoreError, URLLibError):
                    if not left:
                        raise
            # IfMatch: the rest of the same object, not of one that has replaced it since.
            rest = {"Range": f"bytes={place}-", "IfMatch": answer["ETag"]}

    def write(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        with self._explained(key):
            self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, **condition)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        full = f"{self.prefix}/{prefix}" if self.prefix else prefix
        skip = len(self.prefix) + 1 if self.prefix else 0
        with self._explained(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=full):
                for item in page.get("Contents", ()):
                    yield Entry(item["Key"][skip:], item["Size"], item["LastModified"].timestamp())

    def upload(self, path: Path, key: str) -> None:
        with explained(path), self._explained(key):
            self._client.upload_file(str(path), self.bucket, self._key(key), Config=TransferConfig())

    def download(self, key: str, path: Path) -> None:
        """Download an object to `path`, atomically. Raises NotFoundError and StoreError."""
        partial = path.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with explained(path), self._explained(key):
                self._client.download_file(self.bucket, self._key(key), str(partial), Config=TransferConfig())
                partial.replace(path)
        except NotFoundError:
            # The download begins with a HEAD, which cannot tell a missing bucket from a missing object; a listing can.
            self.exists(key)
            raise
        finally:
            partial.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        with self._explained(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def _get(self, key: str, rest: dict[str, str]) -> Any:
        try:
            return self._client.get_object(Bucket=self.bucket, Key=self._key(key), **rest)
        except ClientError as error:
            if rest and error.response.get("Error", {}).get("Code") in TAKEN:
                raise StoreError(
                    f"s3://{self.bucket}/{self._key(key)}: the object was replaced while it was being read",
                    remedy="run again",
                    temporary=True,
                ) from error
            raise

    def _key(self, key: str) -> str:
        return "/".join(part for part in (self.prefix, key.strip("/")) if part)

    def _explained(self, key: str) -> Any:
        return _explained(f"s3://{self.bucket}/{self._key(key)}")
