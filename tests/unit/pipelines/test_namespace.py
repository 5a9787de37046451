"""Which namespace a command uses: one rule, and the command prints it first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.shared.finding import Finding
from pipelines.doctor import pod as cluster_pod
from pipelines.doctor.cluster import examine_cluster
from pipelines.kubeflow.namespace import Namespace, choose_namespace
from pipelines.placement.placement import Placement
from pipelines.recipe.read_recipe import read_recipe
from tests.unit.pipelines.command import DEMO, SMALL, Tutelage, write_kubeconfig
from tests.unit.pipelines.stand_in import Answer, Kubeflow, Request, served
from tests.unit.pipelines.test_doctor_cluster import Kubernetes

VARIABLE = "TUTELAGE_KFP_NAMESPACE"


class Watched(Kubernetes):
    """A cluster that records in which namespaces it was asked for objects."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, set[str]] = {}

    def __call__(self, request: Request) -> Answer:
        parts = request.path.split("/")
        if "namespaces" in parts and not request.path.endswith("/workflow-controller-configmap"):  # Argo's, wherever
            place = parts.index("namespaces") + 1
            self.asked.setdefault(parts[place], set()).add(parts[place + 1])
        return super().__call__(request)


@pytest.fixture
def cluster() -> Watched:
    return Watched()


@pytest.fixture(autouse=True)
def kubeconfig(cluster: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tutelage: Tutelage) -> Iterator[Path]:
    """A kubeconfig whose context names `mine`."""
    monkeypatch.setattr(cluster_pod, "POLL_SECONDS", 0.01)
    with served(cluster) as url:
        write_kubeconfig(tmp_path / "kubeconfig", url, namespace="mine")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield tmp_path / "kubeconfig"


def test_the_first_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch, kubeconfig: Path, tmp_path: Path) -> None:
    assert str(choose_namespace()) == "mine (the kubeconfig's current context)"
    monkeypatch.setattr("pipelines.kubeflow.namespace.own_namespace", lambda: "pods")
    assert str(choose_namespace()) == "pods (this pod's)"
    monkeypatch.setenv(VARIABLE, "team")
    assert str(choose_namespace()) == "team (TUTELAGE_KFP_NAMESPACE)"
    assert str(choose_namespace(of_run="profile")) == "profile (the run's)"
    assert str(choose_namespace("given", "profile")) == "given (--namespace)"


@pytest.mark.parametrize("there", [True, False])
def test_where_nothing_names_one_it_is_kubernetes_default(
    there: bool, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        write_kubeconfig(kubeconfig, "http://127.0.0.1:9", namespace="")
    else:
        kubeconfig.unlink()
    chosen = choose_namespace()
    assert (chosen.name, chosen.named) == ("default", False) and VARIABLE in str(chosen)


def examined(namespace: Namespace | None = None, jobs: str = "") -> dict[str, Finding]:
    recipe = read_recipe(DEMO, {}, check_files=False, placement=SMALL, store="s3://bucket/demo")
    if jobs:
        pods = recipe.placement.pods.model_copy(update={"namespace": jobs})
        both = Placement(**{**dict(recipe.placement), "pods": pods})
        recipe = recipe.model_copy(update={"placement": both})
    findings = list(examine_cluster(recipe, namespace))
    assert findings[0].what == "namespace"
    return {finding.what: finding for finding in findings}


def test_doctor_looks_where_runs_are_sent_to(cluster: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "team")
    cluster.secrets, cluster.missing_verbs = {}, {("create", "rayjobs")}
    found = examined()
    assert found["namespace"].text == "team (TUTELAGE_KFP_NAMESPACE)"
    wrong = [finding for finding in found.values() if not finding.good]
    assert len(wrong) >= 2 and all("team" in finding.text + finding.remedy for finding in wrong)
    assert set(cluster.asked) == {"team"}, "nothing is read or created in the kubeconfig's namespace"


def test_doctor_takes_the_flag_before_the_variable(cluster: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "team")
    examined(choose_namespace("flag"))
    assert set(cluster.asked) == {"flag"}


def test_jobs_of_another_namespace_are_looked_at_there(cluster: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "team")
    found = examined(jobs="jobs")
    assert found["namespace"].text == "team (TUTELAGE_KFP_NAMESPACE); jobs: jobs (placement.pods.namespace)"
    assert {"secrets", "pods"} <= cluster.asked["team"], "steps' pods need them too"
    assert {"secrets", "pods", "trainingruntimes"} <= cluster.asked["jobs"]
    assert "trainingruntimes" not in cluster.asked["team"]


@pytest.mark.parametrize("flag", ["", "flag"])
def test_the_command_line_prints_it_first(
    tutelage: Tutelage, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    from typer.testing import CliRunner

    from pipelines.cli.main import app

    monkeypatch.setenv(VARIABLE, "team")
    given = ["--namespace", flag] if flag else []
    expected = f"namespace: {'flag (--namespace)' if flag else 'team (TUTELAGE_KFP_NAMESPACE)'}\n"
    kubeflow.states = ["RUNNING"]
    assert tutelage.submit(*given).output.startswith(expected)
    for command in ("status", "cancel", "report"):
        assert tutelage(command, "demo", *given).output.startswith("namespace: "), command
    said = CliRunner().invoke(app, ["doctor", "--cluster", *given]).output
    assert said.startswith(f"ok {expected}")


def test_a_run_stays_where_it_is(tutelage: Tutelage, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeflow.several_users, kubeflow.states = True, ["RUNNING"]
    tutelage.submit("--namespace", "team")
    monkeypatch.setenv(VARIABLE, "elsewhere")
    assert tutelage("status", "demo").output.startswith("namespace: team (the run's)\n")


@pytest.mark.parametrize("namespace", ["kubeflow", "team"])
def test_kubeflow_in_single_user_mode_gets_no_namespace(tutelage: Tutelage, kubeflow: Kubeflow, namespace: str) -> None:
    done = tutelage.submit("--namespace", namespace)
    assert done.exit_code == 0, done.exception
    assert not kubeflow.experiment.get("namespace")


def test_a_profile_may_be_the_kubeconfigs(tutelage: Tutelage, kubeflow: Kubeflow) -> None:
    kubeflow.several_users = True
    assert tutelage.submit().output.startswith("namespace: mine (the kubeconfig's current context)\n")
    assert kubeflow.experiment["namespace"] == "mine"


def test_a_guess_is_not_remembered_as_the_runs(tutelage: Tutelage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the run is in Kubeflow's own namespace" in tutelage.submit().output
    assert tutelage("status", "demo").output.startswith("namespace: mine (the kubeconfig's current context)\n")
    monkeypatch.setenv(VARIABLE, "kubeflow")
    assert tutelage("status", "demo").output.startswith("namespace: kubeflow (TUTELAGE_KFP_NAMESPACE)\n")
