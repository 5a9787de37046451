"""A placement that cannot work, or a recipe that a cluster could not run, is refused with file and line."""

from pathlib import Path

import pytest

from components.shared.errors import SettingsError
from pipelines.placement import check_placement
from pipelines.recipe.move_jobs import move_jobs
from pipelines.recipe.read_recipe import read_recipe

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "demo.yaml"
BUCKET = "s3://bucket/demo"


def placed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "placement.yaml"
    path.write_text(text)
    return path


def refusal(recipe: Path, placement: Path | None, *, store: str = BUCKET, **variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_recipe(recipe, variables, check_files=False, placement=placement, store=store, for_cluster=True)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            "image: a\njobs:\n  synthesise: {launcher: RayJob}\n",
            3,
            "synthesize, train, probe, bridge, critique",
        ),
        ("jobs:\n  synthesize:\n    launcher: TrainJob\n", 3, "allowed: local, RayJob"),
        ("jobs:\n  train-kto: {launcher: RayJob}\n", 2, "allowed: local, TrainJob, PyTorchJob, JobSet"),
        ("jobs:\n  train:\n    launcher: TrainJob\n    nodes: 3\n", 4, "not divisible by the 3 ranks"),
        ("tasks:\n  collekt: {cpu: '1'}\n", 2, "allowed: default, collect"),
        ("images: {everything: x}\n", 1, "unknown step 'everything'"),
        ("image: a\nnode: b\n", 2, "unknown key 'node'"),
        ("pods:\n  environment:\n    AWS_SECRET_ACCESS_KEY: hidden-word\n", 3, "secrets are referenced by name"),
        ("jobs:\n  train:\n    pods: {environment: {HF_TOKEN: hidden-word}}\n", 3, "HF_TOKEN holds a secret"),
        ("tasks:\n  default: {memory: lots}\n", 2, "'lots'"),
        ("jobs:\n  train:\n    launcher: TrainJob\n    pods: {priority_class: high}\n", 4, "name the copy"),
        ("pods: {image_pull_policy: Always}\njobs:\n  train: {launcher: TrainJob}\n", 1, "TrainingRuntime"),
        ("pods:\n  certificate_authority: {key: a}\n", 2, "name a config_map or a secret"),
    ],
)
def test_a_fault_names_the_placements_file_and_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = placed(tmp_path, text)
    shown = refusal(DEMO, path)
    assert f"{path}:{line}: " in shown and said in shown
    assert "hidden-word" not in shown


def test_a_custom_runtime_is_trusted_with_what_a_trainjob_cannot_set(tmp_path: Path) -> None:
    job = "{launcher: TrainJob, training_runtime: ours, pods: {priority_class: high}}"
    recipe = read_recipe(DEMO, {}, placement=placed(tmp_path, f"jobs:\n  train: {job}\n"))
    assert recipe.placement.jobs["train"].pods.priority_class == "high"


def test_a_fault_of_the_recipes_own_placement_names_the_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(DEMO.read_text() + "\nplacement:\n  jobs:\n    merge: {launcher: RayJob}\n")
    assert f"{recipe}:{len(recipe.read_text().splitlines())}: placement.jobs.merge" in refusal(recipe, None)


def test_variables_of_both_files_can_be_set_and_others_are_refused(tmp_path: Path) -> None:
    path = placed(tmp_path, 'variables: {registry: ""}\nimage: "${registry}/tutelage:1"\n')
    recipe = read_recipe(DEMO, {"registry": "r", "seed": "3"}, placement=path)
    assert recipe.placement.image == "r/tutelage:1" and recipe.train["sft"].settings.seed == 3
    assert "allowed: registry, seed" in refusal(DEMO, path, registri="r")
    assert f"{path}:2: image" in refusal(DEMO, path)


def test_a_folder_is_refused_as_a_store_for_pods(tmp_path: Path) -> None:
    jobs = placed(tmp_path, "jobs: {train: {launcher: TrainJob}}\n")
    assert f"{DEMO}:5: store" in refusal(DEMO, jobs, store="")
    with pytest.raises(SettingsError, match="which pods do not share"):
        read_recipe(DEMO, check_files=False, placement=jobs, for_cluster=None)
    read_recipe(DEMO, check_files=False, for_cluster=None)


def test_files_and_models_of_this_machine_are_named_with_their_lines(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    text = DEMO.read_text().replace("package:demo/instructions/alpaca.jsonl", "data/mine.jsonl")
    text = text.replace("student: package:demo/student", "student: /models/mine")
    text = text.replace('model: "package:demo/teacher"', "model: ./teacher")
    recipe.write_text(text)
    shown = refusal(recipe, None)
    for wrong in ("data/mine.jsonl", "/models/mine", "./teacher"):
        line = next(number for number, at in enumerate(text.splitlines(), 1) if wrong in at)
        assert f"{recipe}:{line}: " in shown and repr(wrong) in shown
    assert "3 faults" in shown


def test_settings_too_large_for_an_argument_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_placement, "ARGUMENT_BYTES", 500)
    shown = refusal(DEMO, None)
    assert "at most 500" in shown and ": collect: its settings are" in shown


def test_a_deepspeed_configuration_is_compiled_in(tmp_path: Path) -> None:
    config = tmp_path / "ds.json"
    config.write_text('{"zero_optimization": {"stage": 2}}')
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(DEMO.read_text().replace("      seed: ${seed}\n", f"      deepspeed_config: {config}\n"))
    moved = move_jobs(read_recipe(recipe, check_files=False))
    assert moved.train["sft"].settings.deepspeed_config == {"zero_optimization": {"stage": 2}}


def test_a_jobs_own_pods_win_and_mappings_are_put_together(tmp_path: Path) -> None:
    path = placed(
        tmp_path,
        "image: all\nimages: {train: of-train}\n"
        "pods: {environment: {A: all, B: all}, node_selector: {pool: all}, user: 7}\n"
        "jobs:\n  train: {launcher: TrainJob, pods: {environment: {B: own}, user: 8}}\n"
        "  train-kto: {launcher: PyTorchJob, pods: {image: own}}\n",
    )
    moved = move_jobs(read_recipe(DEMO, placement=path))
    sft, kto = (moved.train[name].settings.launch for name in ("sft", "kto"))
    assert sft.pods.environment == {"A": "all", "B": "own"} and sft.pods.user == 8
    assert sft.pods.node_selector == {"pool": "all"} and sft.pods.image == "of-train"
    assert kto.launcher == "PyTorchJob" and kto.pods.image == "own" and kto.pods.user == 7
    assert moved.synthesize.launch.launcher == "local", "no fault is reported"


@pytest.mark.parametrize(
    "line",
    [
        'labels: {team: "' + "a" * 64 + '"}',
        "labels: {a/b/c: team}",
        "node_selector: {pool: -gpu}",
        "namespace: a.b",
        "service_account: Editor",
        "priority_class: a..b",
    ],
)
def test_what_kubernetes_would_refuse_as_a_label_or_a_name_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = placed(tmp_path, f"pods:\n  {line}\n")
    assert f"{path}:2: pods.{line.partition(':')[0]}" in refusal(DEMO, path)


def test_a_queue_is_the_value_of_a_label(tmp_path: Path) -> None:
    path = placed(tmp_path, f"jobs:\n  train:\n    launcher: TrainJob\n    pods: {{queue: {'q' * 64}}}\n")
    assert f"{path}:4: jobs.train.pods.queue" in refusal(DEMO, path)
    read_recipe(
        DEMO, placement=placed(tmp_path, f"jobs: {{train: {{launcher: TrainJob, pods: {{queue: {'q' * 63}}}}}}}\n")
    )
