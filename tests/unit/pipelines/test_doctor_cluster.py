"""The doctor of a cluster: the client is the real one, the API server a stand-in over loopback HTTP."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.launch.registry import resources_used
from components.shared.finding import Finding
from pipelines.doctor import pod as cluster_pod
from pipelines.doctor.cluster import examine_cluster
from pipelines.doctor.machine import print_findings
from pipelines.recipe.read_recipe import read_recipe
from tests.unit.pipelines.stand_in import Answer, Kubeflow, Request, served

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "pipelines" / "recipes" / "demo.yaml"
SMALL = ROOT / "pipelines" / "placements" / "small-cluster.yaml"
LAUNCHER, RAY, TRAIN = (f"tutelage/{name}:0.1.0" for name in ("launcher", "ray", "train"))
SUCCEEDED = {"phase": "Succeeded", "containerStatuses": [{"name": "doctor", "state": {"terminated": {"exitCode": 0}}}]}


@dataclass
class Kubernetes:
    """A cluster in which everything works, until a test removes something."""

    groups: dict[str, list[str]] = field(
        default_factory=lambda: {"ray.io": ["rayjobs"], "trainer.kubeflow.org": ["trainjobs", "trainingruntimes"]}
    )
    versions: dict[str, str] = field(
        default_factory=lambda: {"ray.io": "v1", "trainer.kubeflow.org": "v1alpha1", "kubeflow.org": "v1"}
    )
    overrides: str = "runtimePatches"
    missing_verbs: set[tuple[str, str]] = field(default_factory=set)
    """Of the steps' account; the person may do everything but what `ways` leaves out."""
    login: str = "me"
    ways: set[str] = field(default_factory=lambda: {"localsubjectaccessreviews", "subjectaccessreviews", "impersonate"})
    accounts: set[str] = field(default_factory=lambda: {"default", "default-editor"})
    asked_about: set[str] = field(default_factory=set)
    secrets: dict[str, dict[str, str]] = field(
        default_factory=lambda: {"tutelage-s3": {"access-key": "aGlkZGVu", "secret-key": "aGlkZGVu"}}
    )
    forbidden: set[str] = field(default_factory=set)
    controller: dict[str, str] | None = None
    """What Argo's controller is configured with, in namespace kubeflow."""
    pod_status: dict[str, Any] = field(default_factory=lambda: SUCCEEDED)
    log: str = "write, read, list, conditional put and delete work"
    nodes: list[dict[str, Any]] = field(default_factory=list)
    pods: dict[str, Any] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("/")
        if request.path == "/version/":
            return 200, dict.fromkeys(VERSION_KEYS, "") | {"gitVersion": "v1.34.4"}
        if parts[0] == "openapi":
            return 200, self._openapi()
        if "reviews" in parts[-1]:
            return self._review(parts[-1], request)
        if parts[-1] == "nodes":
            return (403, status("nodes is forbidden")) if "nodes" in self.forbidden else (200, {"items": self.nodes})
        if parts[0] == "apis" and "namespaces" not in parts:
            return self._discover(parts[1], parts[2:])
        return self._objects(request, parts[parts.index("namespaces") + 2 :])

    def _openapi(self) -> dict[str, Any]:
        spec = {"properties": {"spec": {"properties": {self.overrides: {}}}}}
        kind = {"group": "trainer.kubeflow.org", "version": "v1alpha1", "kind": "TrainJob"}
        return {"components": {"schemas": {"TrainJob": {**spec, "x-kubernetes-group-version-kind": [kind]}}}}

    def _review(self, kind: str, request: Request) -> Answer:
        as_other = request.headers.get("impersonate-user", "")
        if (as_other and "impersonate" not in self.ways) or (not kind.startswith("self") and kind not in self.ways):
            return 403, status(f'{kind} is forbidden: User "{self.login}" cannot do that')
        if kind == "selfsubjectreviews":
            return 201, {**request.body, "status": {"userInfo": {"username": self.login}}}
        who = as_other or request.body["spec"].get("user") or self.login
        asked = request.body["spec"]["resourceAttributes"]
        self.asked_about.add(who)
        allowed = who == "me" or (asked["verb"], asked["resource"]) not in self.missing_verbs
        return 201, {**request.body, "status": {"allowed": allowed}}

    def _discover(self, group: str, version: list[str]) -> Answer:
        if group not in self.groups:
            return 404, status("not found")
        if not version:
            return 200, {"versions": [{"version": self.versions[group]}]}
        return 200, {"resources": [{"name": name} for name in self.groups[group]]}

    def _objects(self, request: Request, rest: list[str]) -> Answer:
        plural, name = rest[0], "/".join(rest[1:])
        group = request.path.split("/")[2]
        if request.path.startswith("/apis/") and plural not in self.groups.get(group, []):
            return self._unserved(plural, group)
        if plural in self.forbidden:
            user = 'User "me" cannot get resource' if request.method == "GET" else 'User "me" cannot create resource'
            return 403, status(f'{plural} is forbidden: {user} "{plural}" in API group ""')
        if plural == "pods":
            return self._pods(request, name)
        found = self._there(plural, name, "/namespaces/kubeflow/" in request.path)
        return (
            (404, {**status(f'{plural} "{name}" not found'), "reason": "NotFound"}) if found is None else (200, found)
        )

    def _unserved(self, plural: str, group: str) -> Answer:
        """Rights before existence: a service account's Role names what is served; an administrator may do all."""
        if self.login == "me":
            return 404, "404 page not found"
        said = f'User "{self.login}" cannot get resource "{plural}" in API group "{group}" in the namespace "team"'
        return 403, status(f"{plural}.{group} is forbidden: {said}")

    def _there(self, plural: str, name: str, in_kubeflow: bool) -> dict[str, Any] | None:
        meta = {"metadata": {"name": name}}
        if plural == "configmaps" and in_kubeflow and name == "workflow-controller-configmap":
            return None if self.controller is None else {**meta, "data": self.controller}
        if plural == "secrets":
            return {**meta, "data": self.secrets[name]} if name in self.secrets else None
        there = plural == "trainingruntimes" or (plural == "serviceaccounts" and name in self.accounts)
        return meta if there else None

    def _pods(self, request: Request, name: str) -> Answer:
        if request.method == "POST":
            self.pods[request.body["metadata"]["name"]] = request.body
            return 201, request.body
        if request.method == "DELETE":
            self.deleted.append(name)
            return 200, {}
        if name.endswith("/log"):
            return 200, self.log
        return 200, {**self.pods[name], "status": self.pod_status}


VERSION_KEYS = (
    *("major", "minor", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform", "gitVersion"),
)


def status(message: str) -> dict[str, Any]:
    return {"kind": "Status", "message": message, "reason": "Forbidden" if "forbidden" in message else ""}


@pytest.fixture
def kubernetes() -> Kubernetes:
    return Kubernetes()


@pytest.fixture(autouse=True)
def reached(kubernetes: Kubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kubeconfig that names the stand-in."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(cluster_pod, "POLL_SECONDS", 0.01)
    with served(kubernetes) as url:
        config = {
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
            "current-context": "x",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield


def examined(**variables: str) -> dict[str, Finding]:
    recipe = read_recipe(DEMO, variables, check_files=False, placement=SMALL, store="s3://bucket/demo")
    return {finding.what: finding for finding in examine_cluster(recipe)}


def test_a_cluster_in_which_everything_works(kubernetes: Kubernetes) -> None:
    found = examined()
    assert [finding for finding in found.values() if not finding.good] == []
    assert "v1.34.4" in found["cluster"].text
    assert "rayjobs.ray.io in v1" in found["RayJob"].text
    assert "2.2 or later" in found["TrainJob"].text
    assert "not needed" in found["PyTorchJob"].text
    assert "s3://bucket/demo (write, read" in found[f"store from a pod of {TRAIN}"].text
    assert "TUTELAGE_KFP_HOST" in found["kubeflow"].text


def test_its_pods_are_those_of_a_run_and_are_deleted(kubernetes: Kubernetes) -> None:
    examined(s3_endpoint="http://s3.example:9000")
    images = set()
    for pod in kubernetes.pods.values():
        (container,) = pod["spec"]["containers"]
        images.add(container["image"])
        environment = {item["name"]: item for item in container["env"]}
        assert environment["AWS_ENDPOINT_URL"]["value"] == "http://s3.example:9000"
        assert environment["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "tutelage-s3"
        assert pod["spec"]["securityContext"]["runAsNonRoot"] and pod["spec"]["activeDeadlineSeconds"]
        assert "hidden" not in json.dumps(pod)
    assert images == {LAUNCHER, RAY, TRAIN}
    assert sorted(kubernetes.deleted) == sorted(kubernetes.pods)


def test_the_image_of_a_backend_with_packages_of_its_own_is_tried_for_them(
    kubernetes: Kubernetes, tmp_path: Path
) -> None:
    """The site's image for evaluate, whose models vLLM runs; other images are not asked for it."""
    written = yaml.safe_load(DEMO.read_text())
    written["evaluate"]["generator"] = {"backend": "vllm"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(written))
    placement = yaml.safe_load(SMALL.read_text())
    placement["images"]["evaluate"] = "registry.example/with-vllm:1"
    (tmp_path / "placement.yaml").write_text(yaml.safe_dump(placement))
    kubernetes.log = "No module named 'vllm'"
    kubernetes.pod_status = {**SUCCEEDED, "phase": "Failed"}
    recipe = read_recipe(
        tmp_path / "recipe.yaml", check_files=False, placement=tmp_path / "placement.yaml", store="s3://bucket/demo"
    )
    found = {finding.what: finding for finding in examine_cluster(recipe)}
    wrong = found["image registry.example/with-vllm:1"]
    assert not wrong.good and "'vllm'" in wrong.text and "Tutelage with vllm is installed" in wrong.remedy
    asked = {
        container["image"]: "--package=vllm" in json.dumps(container)
        for pod in kubernetes.pods.values()
        for container in pod["spec"]["containers"]
    }
    assert asked == {LAUNCHER: False, RAY: False, TRAIN: False, "registry.example/with-vllm:1": True}


def test_the_older_schema_of_a_trainjob_is_reported_and_an_unknown_one_refused(kubernetes: Kubernetes) -> None:
    kubernetes.overrides = "podTemplateOverrides"
    assert "Trainer 2.1" in examined()["TrainJob"].text
    kubernetes.overrides = "somethingElse"
    assert not examined()["TrainJob"].good


def test_a_kind_that_is_not_served_names_its_operator(kubernetes: Kubernetes) -> None:
    del kubernetes.groups["ray.io"]
    missing = examined()["RayJob"]
    assert not missing.good and "KubeRay" in missing.remedy
    kubernetes.groups["ray.io"], kubernetes.versions["ray.io"] = ["rayjobs"], "v1alpha1"
    assert "only v1alpha1" in examined()["RayJob"].text


@pytest.mark.parametrize("login", ["me", "system:serviceaccount:team:default-editor"])
def test_an_object_of_a_kind_that_is_not_served_names_its_operator(kubernetes: Kubernetes, login: str) -> None:
    """An account with rights to the served kinds alone gets 403 for the others, which does not count as missing."""
    kubernetes.login = login
    del kubernetes.groups["trainer.kubeflow.org"]
    missing = examined()["TrainingRuntime tutelage"]
    assert not missing.good and "Kubeflow Trainer" in missing.remedy
    assert "does not serve TrainingRuntime" in missing.text


def test_each_missing_verb_is_named(kubernetes: Kubernetes) -> None:
    kubernetes.missing_verbs = {("delete", "rayjobs"), ("watch", "rayjobs"), ("get", "pods")}
    found = examined()
    assert "may not delete, watch" in found["right to rayjobs.ray.io"].text
    assert "k8s/base/role.yaml" in found["right to rayjobs.ray.io"].remedy
    assert "may not get in" in found["right to pods"].text
    assert "right to pytorchjobs.kubeflow.org" not in found, "the recipe has none"


RAYJOBS = "right to rayjobs.ray.io"


@pytest.mark.parametrize("way", ["localsubjectaccessreviews", "subjectaccessreviews", "impersonate"])
def test_the_rights_are_those_of_the_account_that_the_steps_run_as(kubernetes: Kubernetes, way: str) -> None:
    """A user with all rights asks about an account without them, in whichever way the user may."""
    kubernetes.ways, kubernetes.missing_verbs = {way}, {("create", "rayjobs")}
    wrong = examined()[RAYJOBS]
    assert not wrong.good and "service account team/default-editor may not create in namespace team" in wrong.text
    assert "bind it to service account team/default-editor" in wrong.remedy
    assert kubernetes.asked_about == {"system:serviceaccount:team:default-editor"}


@pytest.mark.parametrize(
    ("accounts", "named", "account"),
    [
        ({"default", "default-editor"}, "", "default-editor"),
        ({"default", "pipeline-runner"}, "", "pipeline-runner"),
        ({"default"}, "", "default-editor"),
        ({"default-editor", "tutelage"}, "tutelage", "tutelage"),
    ],
)
def test_the_account_is_the_placements_else_kubeflows_own(
    kubernetes: Kubernetes, accounts: set[str], named: str, account: str, tmp_path: Path
) -> None:
    kubernetes.accounts = accounts
    placement = yaml.safe_load(SMALL.read_text()) | ({"service_account": named} if named else {})
    (tmp_path / "placement.yaml").write_text(yaml.safe_dump(placement))
    recipe = read_recipe(DEMO, check_files=False, placement=tmp_path / "placement.yaml", store="s3://bucket/demo")
    right = {finding.what: finding for finding in examine_cluster(recipe)}[RAYJOBS]
    assert right.good and f"service account team/{account} may create" in right.text


def test_jobs_in_another_namespace_are_run_by_the_account_of_the_steps_own(
    kubernetes: Kubernetes, tmp_path: Path
) -> None:
    placement = yaml.safe_load(SMALL.read_text())
    placement["pods"]["namespace"] = "gpus"
    (tmp_path / "placement.yaml").write_text(yaml.safe_dump(placement))
    recipe = read_recipe(DEMO, check_files=False, placement=tmp_path / "placement.yaml", store="s3://bucket/demo")
    kubernetes.missing_verbs = {("create", "rayjobs")}
    right = {finding.what: finding for finding in examine_cluster(recipe)}[RAYJOBS]
    assert "service account team/default-editor may not create in namespace gpus" in right.text


def test_a_login_that_may_not_check_other_accounts_gets_a_note(kubernetes: Kubernetes) -> None:
    kubernetes.ways, kubernetes.missing_verbs = set(), {("create", "rayjobs")}
    found = examined()
    assert RAYJOBS not in found, "the user's own rights do not count"
    unknown = found["rights of the steps"]
    assert unknown.good and unknown.text.startswith("not checked: this login may not check")
    assert "service account team/default-editor" in unknown.text and "k8s/base/role.yaml" in unknown.text
    assert kubernetes.asked_about == set()


def test_the_steps_own_account_may_always_ask_about_itself(kubernetes: Kubernetes) -> None:
    """With a token of `kubectl create token default-editor`, or in a notebook of the profile."""
    kubernetes.ways, kubernetes.login = set(), "system:serviceaccount:team:default-editor"
    kubernetes.missing_verbs = {("create", "rayjobs")}
    assert "team/default-editor may not create" in examined()[RAYJOBS].text


def test_where_one_of_kubeflows_accounts_asks_the_steps_run_as_it(kubernetes: Kubernetes) -> None:
    """It may not look up accounts, the only way to distinguish a single-user installation from a multi-user one."""
    kubernetes.ways, kubernetes.forbidden = set(), {"serviceaccounts"}
    kubernetes.login = "system:serviceaccount:team:pipeline-runner"
    assert "service account team/pipeline-runner may create" in examined()[RAYJOBS].text


def test_an_account_that_cannot_be_looked_up_is_taken_for_the_profiles(kubernetes: Kubernetes) -> None:
    kubernetes.forbidden = {"serviceaccounts"}
    assert "team/default-editor may create" in examined()[RAYJOBS].text


DEFAULTS = """
spec:
  ttlStrategy: {secondsAfterCompletion: 3600}
  templateDefaults:
    retryStrategy: {limit: '2', retryPolicy: OnError}
"""


@pytest.mark.parametrize("key", ["workflowDefaults", "config"])
def test_a_controller_that_does_not_retry_failed_steps_gets_a_warning(
    kubernetes: Kubernetes, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in the default install of KFP 2.17. Steps retry by themselves, so it is not a fault."""
    whole = yaml.safe_dump({"workflowDefaults": yaml.safe_load(DEFAULTS)})
    kubernetes.controller = {key: DEFAULTS if key == "workflowDefaults" else whole}
    found = examined()["retries"]
    assert found.good and found.warning
    assert "kubeflow/workflow-controller-configmap say retryPolicy OnError" in found.text
    assert "within its pod" in found.text and "templateDefaults.retryStrategy" in found.remedy
    assert print_findings(iter([found]))
    said = capsys.readouterr().out
    assert said.startswith("-- retries: ") and "do: " in said


@pytest.mark.parametrize(
    "controller",
    [
        {},
        {"workflowDefaults": ""},
        {"workflowDefaults": "spec: {}"},
        {"workflowDefaults": DEFAULTS.replace("OnError", "Always")},
        {"workflowDefaults": DEFAULTS.replace("OnError", "OnFailure")},
        {"config": "parallelism: 10"},
    ],
)
def test_a_controller_that_retries_failed_steps_is_good(kubernetes: Kubernetes, controller: dict[str, str]) -> None:
    kubernetes.controller = controller
    found = examined()["retries"]
    assert found.good and not found.warning and "are retried" in found.text


@pytest.mark.parametrize(
    ("controller", "said"),
    [
        (None, "no ConfigMap"),
        ({"workflowDefaults": "a: [b"}, "are not YAML"),
        ({"config": "text"}, "YAML"),
    ],
)
def test_an_unknown_controller_is_not_a_fault(
    kubernetes: Kubernetes, controller: dict[str, str] | None, said: str
) -> None:
    kubernetes.controller = controller
    found = examined()["retries"]
    assert found.good and found.text.startswith("not checked") and said in found.text


def test_a_controller_that_may_not_be_read_is_not_a_fault(kubernetes: Kubernetes) -> None:
    kubernetes.forbidden = {"configmaps"}
    found = examined()["retries"]
    assert found.good and found.text.startswith("not checked: ") and "may not get configmaps" in found.text


def test_a_missing_secret_and_a_missing_key_say_how_to_make_them(kubernetes: Kubernetes) -> None:
    del kubernetes.secrets["tutelage-s3"]["secret-key"]
    wrong = examined()["Secret tutelage-s3"]
    assert not wrong.good and "lacks the key secret-key; it has access-key" in wrong.text
    kubernetes.secrets = {}
    gone = examined()["Secret tutelage-s3"]
    assert not gone.good
    assert "kubectl create -n team secret generic tutelage-s3 --from-file=access-key=FILE" in gone.remedy


def test_what_the_login_may_not_read_is_reported_and_is_not_a_fault(kubernetes: Kubernetes) -> None:
    kubernetes.forbidden = {"secrets", "pods", "nodes"}
    found = examined()
    assert all(finding.good for finding in found.values())
    assert "cannot be read" in found["Secret tutelage-s3"].text
    assert "cannot be tried" in found[f"image {TRAIN}"].text


def test_an_image_that_cannot_be_pulled_is_reported_with_the_kubelets_message(kubernetes: Kubernetes) -> None:
    waiting = {"reason": "ErrImagePull", "message": 'image "x" not found'}
    kubernetes.pod_status = {
        "phase": "Pending",
        "containerStatuses": [{"name": "doctor", "state": {"waiting": waiting}}],
    }
    wrong = examined()[f"image {TRAIN}"]
    assert not wrong.good and "ErrImagePull" in wrong.text and "image_pull_secrets" in wrong.remedy
    assert sorted(kubernetes.deleted) == sorted(kubernetes.pods), "whatever the outcome"


def test_a_store_that_refuses_a_pod_is_reported_with_its_message(kubernetes: Kubernetes) -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    kubernetes.pod_status = {"phase": "Failed", "containerStatuses": [{"name": "doctor", "state": ended}]}
    kubernetes.log = "s3://bucket/demo refuses the key"
    found = examined()
    assert found[f"image {TRAIN}"].good, "it started"
    wrong = found[f"store from a pod of {TRAIN}"]
    assert not wrong.good and "refuses the key" in wrong.text and "AWS_ENDPOINT_URL" in wrong.remedy


def test_gpus_are_counted_by_node(kubernetes: Kubernetes, tmp_path: Path) -> None:
    kubernetes.nodes = [{"metadata": {"name": "a"}, "status": {"allocatable": {"nvidia.com/gpu": "4"}}}]
    path = tmp_path / "placement.yaml"
    path.write_text("jobs: {train: {launcher: TrainJob, pods: {gpus: 8}}}\n")
    recipe = read_recipe(DEMO, check_files=False, placement=path, store="s3://bucket/demo")
    found = {finding.what: finding for finding in examine_cluster(recipe)}["GPUs (nvidia.com/gpu)"]
    assert not found.good and "the most on one node: 4" in found.text
    kubernetes.nodes[0]["status"]["allocatable"]["nvidia.com/gpu"] = "8"
    assert {finding.what: finding for finding in examine_cluster(recipe)}["GPUs (nvidia.com/gpu)"].good


def test_kubeflow_is_tried_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    kubeflow = Kubeflow()
    with served(kubeflow) as url:
        monkeypatch.setenv("TUTELAGE_KFP_HOST", url)
        assert "accepts the login" in examined()["kubeflow"].text
        kubeflow.status = 403
        refused = examined()["kubeflow"]
        assert not refused.good and "403" in refused.text and refused.remedy


def test_a_cluster_out_of_reach_ends_the_examination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    namespace, only = examine_cluster(None)
    assert namespace.what == "namespace"
    assert not only.good and "KUBECONFIG" in only.remedy


def test_the_rights_are_those_of_the_role_that_ships() -> None:
    rules = yaml.safe_load((ROOT / "k8s" / "base" / "role.yaml").read_text())["rules"]
    granted = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == {(right.group, right.plural, verb) for right in resources_used() for verb in right.verbs}
