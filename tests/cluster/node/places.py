"""Where the node keeps its files, and its addresses. One machine has one node, so all checkouts share both."""

import os
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tutelage"
"""Programs by name and version; a node that is down needs nothing else."""

STATE = Path("/var/tmp/tutelage-node")
"""All that the node writes. Images are kept when it goes down, everything else is created again."""

LOGS = STATE / "log"
CERTIFICATES = STATE / "certificates"
CONTAINERD = STATE / "containerd"
CONTAINERD_SOCKET = STATE / "containerd.sock"
KUBECONFIG = STATE / "kubeconfig"

CGROUP = "tutelage-node"
"""The cgroup below which the kubelet puts its pods."""

HOST_ADDRESS = "10.244.255.1"
"""This machine, as pods see it: the fault proxy of a test listens here."""

UPLINK_ADDRESS = "10.244.255.2"
NODE_ADDRESS = "10.244.0.1"
POD_NETWORK = "10.244.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
STORAGE_ADDRESS = "10.96.70.70"
API_SERVER = f"https://{NODE_ADDRESS}:6443"
