"""The configuration files of the node's daemons."""

import json
from pathlib import Path

from tests.cluster.node.places import (
    CERTIFICATES,
    CGROUP,
    CONTAINERD,
    CONTAINERD_SOCKET,
    KUBECONFIG,
    LOGS,
    NODE_ADDRESS,
    POD_NETWORK,
    STATE,
)

FOLDER = STATE / "configuration"
CONTAINERD_FILE = FOLDER / "containerd.toml"
COREDNS_FILE = FOLDER / "Corefile"
KUBE_PROXY_FILE = FOLDER / "kube-proxy.json"
KUBELET_FILE = FOLDER / "kubelet.json"
RESOLVER_FILE = FOLDER / "resolv.conf"
PLUGINS_FOLDER = FOLDER / "cni"

PAUSE_IMAGE = "localhost/tutelage-node/pause:1"

# Raising a process's chance to be killed needs no right, lowering it does: restrict_oom_score_adj.
CONTAINERD_TEXT = f"""
version = 2
root = "{CONTAINERD}/root"
state = "{CONTAINERD}/state"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{PLUGINS_FOLDER}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""

COREDNS_TEXT = f"""
.:53 {{
  bind {NODE_ADDRESS}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {KUBECONFIG}
    ttl 1
  }}
  errors
}}
"""

POD_ADDRESSES = {
    "type": "host-local",
    "ranges": [[{"subnet": POD_NETWORK, "rangeStart": "10.244.0.10", "gateway": NODE_ADDRESS}]],
    "routes": [{"dst": "0.0.0.0/0"}],
    "dataDir": str(STATE / "addresses"),
}

PLUGINS = {
    "cniVersion": "1.0.0",
    "name": "tutelage-node",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": POD_ADDRESSES,
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}

KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{CGROUP}",
    "failCgroupV1": False,
    "oomScoreAdj": 0,  # the usual -999 needs a right that a sandbox may not grant
    "failSwapOn": False,
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": False},
        "x509": {"clientCAFile": f"{CERTIFICATES}/ca.crt"},
    },
    "authorization": {"mode": "AlwaysAllow"},
    "tlsCertFile": f"{CERTIFICATES}/apiserver.crt",
    "tlsPrivateKeyFile": f"{CERTIFICATES}/apiserver.key",
    "address": NODE_ADDRESS,
    "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
    "clusterDNS": [NODE_ADDRESS],
    "clusterDomain": "cluster.local",
    "resolvConf": str(RESOLVER_FILE),
    "podLogsDir": str(LOGS / "pods"),
    # Developers' disks tend to be full; only a nearly full one is an emergency.
    "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    "imageGCHighThresholdPercent": 100,
    # How soon a pod sees a changed Secret: operators wait for the certificate that they make themselves.
    "syncFrequency": "10s",
    "nodeLeaseDurationSeconds": 120,
}

KUBE_PROXY = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
    "clusterCIDR": POD_NETWORK,
    "hostnameOverride": "node",
    "clientConnection": {"kubeconfig": str(KUBECONFIG)},
    # A namespace may not change these limits of the kernel.
    "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
}


def write_configuration() -> None:
    """Write all of it."""
    PLUGINS_FOLDER.mkdir(parents=True, exist_ok=True)
    CONTAINERD_FILE.write_text(CONTAINERD_TEXT)
    COREDNS_FILE.write_text(COREDNS_TEXT)
    RESOLVER_FILE.write_text("nameserver 127.0.0.1\n")
    _write_json(PLUGINS_FOLDER / "10-bridge.conflist", PLUGINS)
    _write_json(KUBELET_FILE, KUBELET)
    _write_json(KUBE_PROXY_FILE, KUBE_PROXY)


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=1))
