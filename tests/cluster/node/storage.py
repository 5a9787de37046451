"""The S3 server of the node: versitygw in a pod, with TLS."""

import base64
import json
import secrets
from pathlib import Path

from tests.cluster.node import containers
from tests.cluster.node.commands import kubectl, run
from tests.cluster.node.places import CERTIFICATES, STATE, STORAGE_ADDRESS
from tests.cluster.node.programs import VERSITYGW

MANIFEST = Path(__file__).with_name("storage.yaml")
KEYS = STATE / "storage-keys.json"
ENDPOINT = f"https://{STORAGE_ADDRESS}:7070"
"""Where pods and this machine reach it; the authority's certificate is needed."""


def install_storage() -> None:
    """Install it; nothing is done when it is there."""
    if kubectl("get", "deployment", "storage", "-n", "storage", "--ignore-not-found", "-o", "name"):
        return
    containers.wrap_program(VERSITYGW.file(), VERSITYGW.image, "/versitygw")
    manifest = MANIFEST.read_text().replace("IMAGE", VERSITYGW.image).replace("ADDRESS", STORAGE_ADDRESS)
    objects = [manifest, *map(json.dumps, _secrets())]
    kubectl("apply", "--server-side", "-f", "-", text="\n---\n".join(objects))


def storage_keys() -> dict[str, str]:
    """AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of its root user, made at the first call."""
    if not KEYS.exists():
        keys = {"AWS_ACCESS_KEY_ID": "tutelage-node", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20)}
        KEYS.touch(mode=0o600)
        KEYS.write_text(json.dumps(keys))
    return dict(json.loads(KEYS.read_text()))


def make_user(bucket: str) -> dict[str, str]:
    """Make a user named like a bucket, who owns it and has no other rights; returns the keys, named like the root's."""
    secret = secrets.token_hex(20)
    _administer("create-user", "--access", bucket, "--secret", secret, "--role", "user")
    _administer("change-bucket-owner", "--bucket", bucket, "--owner", bucket)
    return {"AWS_ACCESS_KEY_ID": bucket, "AWS_SECRET_ACCESS_KEY": secret}


def remove_user(bucket: str) -> None:
    """Remove the user of a bucket."""
    _administer("delete-user", "--access", bucket)


def _administer(*command: str) -> None:
    root = storage_keys()
    given = {
        "ADMIN_ACCESS_KEY_ID": root["AWS_ACCESS_KEY_ID"],
        "ADMIN_SECRET_ACCESS_KEY": root["AWS_SECRET_ACCESS_KEY"],
        "ADMIN_ENDPOINT_URL": ENDPOINT,
        "SSL_CERT_FILE": str(CERTIFICATES / "ca.crt"),
    }
    run([VERSITYGW.file(), "admin", *command], environment=given)


def _secrets() -> list[dict[str, object]]:
    certificate = {f"tls.{end}": (CERTIFICATES / f"storage.{end}").read_text() for end in ("crt", "key")}
    return [_secret("keys", storage_keys()), _secret("certificate", certificate)]


def _secret(name: str, values: dict[str, str]) -> dict[str, object]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "storage"}, "data": data}
