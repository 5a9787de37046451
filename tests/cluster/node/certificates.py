"""The certificates of the node: an authority of its own, as an on-premises site has."""

import json

from tests.cluster.node.commands import Argument, run
from tests.cluster.node.places import (
    API_SERVER,
    API_SERVICE_ADDRESS,
    CERTIFICATES,
    HOST_ADDRESS,
    KUBECONFIG,
    NODE_ADDRESS,
    STORAGE_ADDRESS,
)

AUTHORITY = CERTIFICATES / "ca.crt"
DAYS = "3650"
KEY_TYPE: tuple[Argument, ...] = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

API_SERVER_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
API_SERVER_ADDRESSES = (NODE_ADDRESS, API_SERVICE_ADDRESS, "127.0.0.1")
STORAGE_NAMES = ("storage.storage", "storage.storage.svc", "storage.storage.svc.cluster.local")
# The fault proxy presents the storage's certificate at an address of this machine.
STORAGE_ADDRESSES = (STORAGE_ADDRESS, HOST_ADDRESS)


def make_certificates() -> None:
    """Make what is missing: the authority, and certificates for API server, storage and administrator."""
    if KUBECONFIG.exists():
        return
    CERTIFICATES.mkdir(parents=True, exist_ok=True)
    CERTIFICATES.chmod(0o700)
    _make_authority()
    _sign("apiserver", "/CN=kube-apiserver", API_SERVER_NAMES, API_SERVER_ADDRESSES)
    _sign("storage", "/CN=storage", STORAGE_NAMES, STORAGE_ADDRESSES)
    _sign("admin", "/O=system:masters/CN=admin")
    run(["openssl", "genrsa", "-out", CERTIFICATES / "tokens.key", "2048"])
    KUBECONFIG.write_text(json.dumps(_kubeconfig(), indent=1))
    KUBECONFIG.chmod(0o600)


def _make_authority() -> None:
    usage = "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
    extensions: list[Argument] = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", usage]
    files: list[Argument] = ["-keyout", CERTIFICATES / "ca.key", "-out", AUTHORITY]
    run(["openssl", "req", "-x509", *KEY_TYPE, *files, "-days", DAYS, "-subj", "/CN=tutelage-node", *extensions])


def _sign(name: str, subject: str, names: tuple[str, ...] = (), addresses: tuple[str, ...] = ()) -> None:
    signer: list[Argument] = ["-CA", AUTHORITY, "-CAkey", CERTIFICATES / "ca.key"]
    files: list[Argument] = ["-keyout", CERTIFICATES / f"{name}.key", "-out", CERTIFICATES / f"{name}.crt"]
    purposes = ["extendedKeyUsage=serverAuth,clientAuth", "basicConstraints=critical,CA:FALSE"]
    alternatives = ",".join([*(f"DNS:{one}" for one in names), *(f"IP:{one}" for one in addresses)])
    if alternatives:
        purposes.append(f"subjectAltName={alternatives}")
    extensions: list[Argument] = [word for purpose in purposes for word in ("-addext", purpose)]
    run(["openssl", "req", "-x509", *KEY_TYPE, *signer, *files, "-days", DAYS, "-subj", subject, *extensions])


def _kubeconfig() -> dict[str, object]:
    authority = {"server": API_SERVER, "certificate-authority": str(AUTHORITY)}
    pair = {"client-certificate": str(CERTIFICATES / "admin.crt"), "client-key": str(CERTIFICATES / "admin.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tutelage-node",
        "clusters": [{"name": "tutelage-node", "cluster": authority}],
        "users": [{"name": "admin", "user": pair}],
        "contexts": [{"name": "tutelage-node", "context": {"cluster": "tutelage-node", "user": "admin"}}],
    }
