"""What a machine must have before a node can be made on it."""

import os
import shutil
from pathlib import Path

from tests.cluster.node.build import PAUSE, missing_programs
from tests.cluster.node.errors import NodeError

PLUGIN = Path("/usr/lib/cni/bridge")

PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
"""The Debian package of each program that is needed."""


def check_prerequisites() -> None:
    """Report everything that is missing at once.

    Raises:
        NodeError: something is missing.
    """
    if os.geteuid() != 0:
        raise NodeError("a node can be made by root only: it needs namespaces, cgroups and mounts")
    packages = {package for program, package in PACKAGES.items() if shutil.which(program) is None}
    if not PLUGIN.exists():
        packages.add("containernetworking-plugins")
    if not PAUSE.exists() and shutil.which("gcc") is None:
        packages.add("gcc")
    advice = [f"Debian packages: apt-get install {' '.join(sorted(packages))} (or .ci/packages)"] if packages else []
    if missing_programs() and shutil.which("go") is None:
        advice.append("Go 1.26 or later on PATH, once, to build Kubernetes and the operators")
    if advice:
        raise NodeError("this machine lacks, for a node: " + "; ".join(advice))
