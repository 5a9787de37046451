"""The node's own network, mount and process namespaces, like a container's.

Ending their first process ends every process of the node, and with them go all its mounts, network devices and
firewall rules: nothing of it can be left on the machine, not even after a crash.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.cluster.node.commands import run
from tests.cluster.node.errors import NodeError
from tests.cluster.node.places import (
    HOST_ADDRESS,
    LOGS,
    NODE_ADDRESS,
    POD_NETWORK,
    SERVICE_NETWORK,
    STATE,
    UPLINK_ADDRESS,
)

FIRST = STATE / "first-process"
"""Id of the first process, and its process namespace: the pair distinguishes a stale file from a running node."""

DEVICE = "tutelage-node"
"""This machine's end of the veth pair to the node."""

# The first process adopts orphans, and ignoring SIGCHLD makes the kernel reap them.
FIRST_COMMAND = "mount --make-rshared / && ip link set lo up && trap '' CHLD && exec sleep infinity"

NODE_NETWORK = f"""
set -e
ip addr add {UPLINK_ADDRESS}/30 dev uplink
ip link set uplink up
ip link add cni0 type bridge
ip addr add {NODE_ADDRESS}/24 dev cni0
ip link set cni0 up
# kube-proxy's rules send packets to services elsewhere, but only if the kernel has a way for them to begin with.
ip route add {SERVICE_NETWORK} dev cni0
echo 1 > /proc/sys/net/ipv4/ip_forward
"""


def first_process() -> int | None:
    """The process whose namespaces are the node's, or None when there is no node."""
    try:
        number, namespace = FIRST.read_text().split()
        return int(number) if _namespace_of(number) == namespace else None
    except (FileNotFoundError, ValueError):
        return None


def create_namespaces() -> None:
    """Make the namespaces and a network between them and this machine."""
    shell = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", FIRST_COMMAND]
    with (LOGS / "first-process.log").open("wb") as log:  # an inherited pipe would keep its reader waiting
        outer = subprocess.Popen(shell, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    first = _first_child(outer)
    FIRST.write_text(f"{first} {_namespace_of(first)}")
    run(["ip", "link", "add", DEVICE, "type", "veth", "peer", "name", "uplink", "netns", str(first)])
    run(["ip", "addr", "add", f"{HOST_ADDRESS}/30", "dev", DEVICE])
    run(["ip", "link", "set", DEVICE, "up"])
    run([*inside(), "sh", "-c", NODE_NETWORK])
    for network in (POD_NETWORK, SERVICE_NETWORK):
        run(["ip", "route", "add", network, "via", UPLINK_ADDRESS, "dev", DEVICE])


def inside() -> list[str]:
    """The beginning of a command that runs inside the namespaces.

    Raises:
        NodeError: the node is not up.
    """
    first = first_process()
    if first is None:
        raise NodeError("the node is not up: make cluster-up")
    return ["nsenter", "--target", str(first), "--net", "--mount", "--pid", "--wd=/", "--"]


def processes() -> dict[int, str]:
    """The ids of the node's processes outside of pods, as this machine sees them, each with its program's name."""
    try:
        namespace = FIRST.read_text().split()[1]
    except (FileNotFoundError, IndexError):
        return {}
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if _namespace_of(folder.name) == namespace:
                found[int(folder.name)] = (folder / "exe").readlink().name
        except OSError:
            continue  # ended meanwhile, or a process of the kernel
    return found


def end_processes(numbers: list[int], how: signal.Signals, seconds: float) -> bool:
    """Signal processes and wait until they are gone; returns whether they are."""
    for number in numbers:
        try:
            os.kill(number, how)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + seconds
    while any(is_alive(number) for number in numbers):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_alive(number: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end_namespaces() -> None:
    """End every process of the node, and with them the namespaces."""
    first = first_process()
    if first is not None and not end_processes([first], signal.SIGKILL, seconds=30):
        raise NodeError(f"process {first}, the node's first, does not end")
    FIRST.unlink(missing_ok=True)


def _namespace_of(number: int | str) -> str:
    return str(Path(f"/proc/{number}/ns/pid").readlink())


def _first_child(outer: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and outer.poll() is None:
        numbers = children.read_text().split()
        # It is ready when its shell has become `sleep`: mounts and loopback are made then.
        if numbers and Path(f"/proc/{numbers[0]}/comm").read_text().strip() == "sleep":
            return int(numbers[0])
        time.sleep(0.02)
    words = (LOGS / "first-process.log").read_text().strip()
    raise NodeError(f"namespaces of their own cannot be had, which a sandbox may forbid: {words}")
