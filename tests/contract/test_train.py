"""The train component, as Kubeflow calls it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.launch.hand_back import hand_over
from components.launch.hand_back.files import JobResult
from components.launch.hand_back.report import read_job, write_result
from components.launch.job import Job
from components.models.reference import as_parent, local_model
from components.models.stored.stored_model import read_model
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, parse_manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import Instruction, KtoRow, Message, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from components.train.checkpoints.checkpoint import folder_key
from components.train.component import train
from components.train.job_file import TrainingJob
from components.train.methods.sft import SftSettings

STUDENT_FILES = {
    "config.json": b'{"model_type": "llama"}',
    # A header of two bytes, and no tensors.
    "model.safetensors": b"\x02\0\0\0\0\0\0\0{}",
    "tokenizer.json": b"{}",
}
SETTINGS = {"method": "sft", "precision": "fp32", "global_batch": 4.0, "launch": {"processes_per_node": 2.0}}


class SelectSettings(Settings):
    """Settings of a made-up select step."""


@pytest.fixture
def student(tmp_path: Path) -> Path:
    """A model's folder, as far as the step itself reads it."""
    folder = tmp_path / "student"
    folder.mkdir()
    for name, data in STUDENT_FILES.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def selected(root: str) -> Manifest:
    """A select output with one row for each method."""
    output = Output(Library(root), Product("select", 1, "select/1"), SelectSettings(), {})
    prompt = (Message(role="user", content="2+2?"),)
    output.write_rows("sft/00000", [SftRow(id="1", prompt=prompt, completion="4", origin="teacher", scores=Scores())])
    output.write_rows(
        "kto/00000", [KtoRow(id="1", prompt=prompt, completion="5", label=False, origin="student", scores=Scores())]
    )
    return output.finish()


class Runner:
    """Replaces the job: records what it is given, and writes a model as the job does."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        given = read_job(job.arguments[1], TrainingJob)
        output = Output(Library(given.root), Product("train", 1, "select/1"), given.settings, {})
        output.store = given.store
        shards = [output.write_bytes(f"model/{name}", data) for name, data in STUDENT_FILES.items()]
        shards.append(output.write_bytes("losses.jsonl", b'{"step": 1, "loss": 2.0}\n'))
        given.store.write(f"{folder_key(1)}/weights.pt", b"weights")
        write_result(job.arguments[1], result_of(shards))


ROW_COUNTS = [
    *("rows", "rows_truncated", "rows_dropped", "rows_refused", "rows_with_control_text", "rows_without_thought")
]


def result_of(shards: list[Any]) -> JobResult:
    counts = dict.fromkeys((*ROW_COUNTS, "steps", "loss_first", "loss_last", "tokens", "parameters"), 1.0)
    counts |= {"parameters_trained": 1.0, "ranks": 2.0, "peak_memory_mib": 900.0, "seconds_train": 1.0}
    return JobResult.model_validate({"shards": shards, "counts": counts, "cost": {"seconds": 3.0}})


def artifact(folder: Path, name: str) -> Any:
    return SimpleNamespace(path=str(folder / name), uri="", metadata={})


@dataclass
class Bench:
    """Everything that the component is called with."""

    root: str
    student: Path
    selected: Manifest
    folder: Path
    runner: Runner
    patch: pytest.MonkeyPatch

    def run(
        self, dataset: Manifest | None = None, start: str = "", budget: Sequence[str] = (), **settings: Any
    ) -> tuple[str, Any]:
        """Call the component's function as KFP does."""
        handed = artifact(self.folder, "dataset")
        Path(handed.path).write_text((dataset or self.selected).model_dump_json())
        model, summary = artifact(self.folder, "model"), artifact(self.folder, "summary")
        logged: dict[str, float] = {}
        metrics = SimpleNamespace(path=str(self.folder / "metrics"), log_metric=logged.__setitem__)
        values = SETTINGS | settings
        given = start or str(self.student)
        outputs = (model, metrics, summary, list(budget))
        uri = train.python_func(self.root, "train-sft", values, handed, given, *outputs)
        return uri, SimpleNamespace(model=model, summary=Path(summary.path).read_text(), metrics=logged)


@pytest.fixture
def bench(root: str, student: Path, selected: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    runner = Runner()
    monkeypatch.setattr(hand_over, "run_job", runner)
    return Bench(root, student, selected, tmp_path, runner, monkeypatch)


def test_a_model_is_handed_over(bench: Bench) -> None:
    uri, handed = bench.run()
    manifest = parse_manifest(Path(handed.model.path).read_bytes(), "model")
    assert uri == f"{bench.root}/{manifest.address}"
    assert (manifest.step, manifest.content) == ("train", "model/1")
    assert {"model/config.json", "model/model.safetensors", "losses.jsonl"} <= {s.name for s in manifest.shards}
    assert manifest.parents["dataset"] == bench.selected.parent
    assert handed.metrics["steps"] == 1.0
    assert "| method | sft |" in handed.summary


def test_the_job_is_torchrun_on_the_training_program(bench: Bench) -> None:
    uri, _ = bench.run()
    (job,) = bench.runner.jobs
    assert (job.program, job.module) == ("torchrun", "components.train.engine.run_training")
    assert job.arguments == ("--job", f"{uri}/job.json")
    assert job.name == f"train-sft-{uri.rpartition('/')[2]}"
    assert job.launch.processes_per_node == 2


def test_a_finished_output_is_reused(bench: Bench) -> None:
    first, _ = bench.run()
    second, _ = bench.run(micro_batch=1, launch={})
    assert first == second
    assert len(bench.runner.jobs) == 1


def test_only_the_output_remains(bench: Bench) -> None:
    uri, _ = bench.run()
    files = {path.relative_to(uri).as_posix() for path in Path(uri).rglob("*") if path.is_file()}
    assert files == {*(f"model/{name}" for name in STUDENT_FILES), "losses.jsonl", "manifest.json", "job.json"}


def test_a_result_of_an_earlier_job_is_used(bench: Bench) -> None:
    """The step was killed after its job had ended well."""

    def killed(job: Job) -> None:
        bench.runner(job)
        raise KeyboardInterrupt

    bench.patch.setattr(hand_over, "run_job", killed)
    with pytest.raises(SystemExit):
        bench.run()
    bench.patch.setattr(hand_over, "run_job", bench.runner)
    uri, _ = bench.run()
    assert len(bench.runner.jobs) == 1
    assert Library(bench.root).load(uri.removeprefix(f"{bench.root}/")).counts["steps"] == 1


def failed(capsys: pytest.CaptureFixture[str]) -> str:
    log = capsys.readouterr().err
    assert "Traceback" not in log
    return log[log.index("[train-sft] FAILED ") :]


def test_wrong_rows_name_the_step_and_the_field(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Library(bench.root), Product("select", 1, "select/1"), SelectSettings(), {})
    writer = RowWriter(output, "sft")
    writer.add(Instruction(id="1", source="a", line=1, instruction="2+2?", response="4"))
    writer.close()
    with pytest.raises(SystemExit) as ended:
        bench.run(output.finish())
    message = failed(capsys)
    assert ended.value.code == 1
    assert "is not a valid SftRow: prompt: Field required; completion: Field required" in message
    assert bench.runner.jobs == []


def test_no_rows_are_an_error(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    empty = Output(Library(bench.root), Product("select", 1, "select/1"), SelectSettings(), {}).finish()
    with pytest.raises(SystemExit):
        bench.run(empty)
    assert f"{empty.address} has no sft rows" in failed(capsys)


def test_without_rows_the_start_is_handed_on_where_that_is_asked_for(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    library = Library(bench.root)
    empty = Output(library, Product("select", 1, "select/1"), SelectSettings(), {}).finish()
    uri, handed = bench.run(empty, when_empty="pass_through")
    assert bench.runner.jobs == []
    manifest = parse_manifest(Path(handed.model.path).read_bytes(), "model")
    assert uri == f"{bench.root}/{manifest.address}" and manifest.content == "model/1"
    assert {shard.name for shard in manifest.shards} == {"passed_through.json"}, "no weights are copied"
    assert handed.metrics == {"passed_through": 1, "rows": 0, "steps": 0, "tokens": 0}
    assert f"{empty.address} has no sft rows: {bench.student} is handed on as it is" in handed.summary
    assert as_parent(uri) == as_parent(str(bench.student)), "so what was made of the start is found again"
    read = read_model(uri)
    assert local_model(uri) == bench.student and read is not None and read.reference == str(bench.student)

    with pytest.raises(SystemExit):
        bench.run(empty)
    assert f"{empty.address} has no sft rows" in failed(capsys), "the address is the same, the demand is not"


def test_who_may_spend_the_compute_of_trainings_without_rows_trains_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = Output(Library(bench.root), Product("select", 1, "select/1"), SelectSettings(), {}).finish()
    spent_nothing, _ = bench.run(empty, when_empty="pass_through")
    uri, handed = bench.run(budget=[spent_nothing], when_empty="pass_through")
    assert bench.runner.jobs == [] and uri != spent_nothing
    assert (handed.metrics["passed_through"], handed.metrics["tokens_allowed"]) == (1, 0)
    assert "the trainings whose compute it may spend had nothing to learn" in handed.summary
    with pytest.raises(SystemExit):
        bench.run(budget=[spent_nothing])
    assert "had nothing to learn" in failed(capsys)


def test_a_model_that_is_handed_on_twice_moves_with_its_store(bench: Bench, tmp_path: Path) -> None:
    empty = Output(Library(bench.root), Product("select", 1, "select/1"), SelectSettings(), {}).finish()
    trained, _ = bench.run()
    first, _ = bench.run(empty, start=trained, when_empty="pass_through")
    second, handed = bench.run(empty, start=first, when_empty="pass_through", learning_rate=1e-5)
    assert second != first and trained.removeprefix(f"{bench.root}/") in handed.summary
    moved = Path(bench.root).rename(tmp_path / "moved")
    there = second.replace(bench.root, str(moved))
    assert local_model(there) == Path(trained.replace(bench.root, str(moved)), "model")
    assert as_parent(there).address == trained.removeprefix(f"{bench.root}/")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": -1}, "learning_rate = -1"),
        ({"epoch": 3}, "epoch = 3"),
        ({"deepspeed_config": {"zero_optimization": {"stage": 4}}}, "ZeRO stage 4"),
        (
            {"deepspeed_config": {"zero_optimization": {"stage": 2}, "gradient_clipping": 0.1}},
            "gradient_clipping is 0.1, but max_grad_norm makes it 1.0",
        ),
    ],
)
def test_wrong_settings_end_with_code_2(
    bench: Bench, settings: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.run(**settings)
    assert ended.value.code == 2
    assert message in failed(capsys)
    assert bench.runner.jobs == []


def test_keys_that_a_ds_config_leaves_out_are_logged(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"zero_optimization": {"stage": 2}, "optimizer": {"type": "AdamW"}}
    bench.run(deepspeed_config=own, learning_rate=3e-5, weight_decay=0.1)
    log = capsys.readouterr().err
    assert "deepspeed_config leaves out these keys, set from the settings: " in log
    for text in ("gradient_clipping: 1.0 (max_grad_norm)", "lr: 3e-05 (learning_rate)", "weight_decay: 0.1"):
        assert text in log
    assert len(bench.runner.jobs) == 1


def test_pickled_weights_are_refused_unless_asked_for(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    (bench.student / "model.safetensors").rename(bench.student / "pytorch_model.bin")
    with pytest.raises(SystemExit):
        bench.run()
    assert "lacks safetensors weights, only pytorch_model.bin" in failed(capsys)
    bench.run(allow_pickled_weights=True)
    assert len(bench.runner.jobs) == 1


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        ({"model_type": "gptj", "n_positions": 512}, 2, "max_length 1024 is above the 512 positions"),
        ({"quantization_config": {"quant_method": "awq"}}, 1, "is quantised (awq)"),
    ],
    ids=["max_length", "quantised"],
)
def test_a_start_that_does_not_fit_starts_no_job(
    bench: Bench, config: dict[str, Any], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.student / "config.json").write_text(json.dumps(config))
    with pytest.raises(SystemExit) as ended:
        bench.run()
    assert ended.value.code == code
    assert message in failed(capsys)
    assert bench.runner.jobs == []


def test_the_job_file_is_complete_and_holds_no_secret(root: str, student: Path, selected: Manifest) -> None:
    job = TrainingJob(
        root=root, address="train/1", task="train-sft", settings=SftSettings(), dataset="select/1", start=str(student)
    )
    job.store.write("job.json", job.model_dump_json().encode())
    assert read_job(f"{root}/train/1/job.json", TrainingJob) == job
    assert set(json.loads(job.store.read("job.json"))) == {
        *("root", "address", "task", "settings", "dataset", "start"),
        *("earlier", "allowed_tokens"),
    }
