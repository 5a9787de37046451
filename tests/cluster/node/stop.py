"""Stops the node, and shows that nothing of it is left."""

from pathlib import Path

from tests.cluster.node.cgroups import remaining_cgroups, remove_cgroups
from tests.cluster.node.daemons import wait_until
from tests.cluster.node.isolation import DEVICE, end_namespaces, processes
from tests.cluster.node.places import CONTAINERD_SOCKET, STATE


def stop_node() -> None:
    """End the node, also one that crashed; nothing of it is left but files.

    Raises:
        NodeError: something cannot be ended.
    """
    end_namespaces()
    remove_cgroups()
    CONTAINERD_SOCKET.unlink(missing_ok=True)
    # The kernel removes the namespaces after their last process has ended.
    wait_until("the node's last traces to go", lambda: not leftovers(), seconds=30)


def leftovers() -> list[str]:
    """What is left of the node on this machine besides its files, one line each: nothing when it is down."""
    found = [f"process {number} ({program})" for number, program in processes().items()]
    found += [f"process {number}: {words}" for number, words in _processes_with_files()]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line.split()[4]}" for line in mounts if f"{STATE}/" in line]
    found += [f"network device {DEVICE}"] if Path("/sys/class/net", DEVICE).exists() else []
    found += [f"cgroup {folder}" for folder in remaining_cgroups()]
    return found


def _processes_with_files() -> list[tuple[str, str]]:
    """Processes whose command line names the node's folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if f"{STATE}/" in words:
            found.append((folder.name, words[:100]))
    return found
