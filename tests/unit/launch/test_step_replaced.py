"""On a cluster a step's pod may be replaced: the second pod waits for the first, and takes the output that it made."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from components.launch.api.resources import RAYJOB
from components.launch.job import Job, Launch
from components.launch.registry import LAUNCHERS, Launcher
from components.shared.errors import LeaseError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Labelled, Message, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from components.shared.store import lease
from components.synthesize import synthesize
from components.synthesize.settings import SynthesizeSettings
from components.synthesize.step import ANSWERED
from components.train import train
from components.train.methods.registry import parse_train_settings
from components.train.step import TRAINED
from tests.deadlines import joined

ON_CLUSTER = {"launcher": "RayJob"}


def second_job(job: Job) -> None:
    pytest.fail(f"{job.name} was started again")


def foreign() -> lease.Lease:
    """The lease of a pod on another node."""
    return lease.Lease(token="theirs", host="elsewhere/boot", process=1, started=1, renewed=time.time())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    unused = Launcher(("ray", "torchrun"), run=f"{__name__}:second_job", resource=RAYJOB)
    monkeypatch.setitem(LAUNCHERS, "RayJob", unused)


def first_pod(output: Output, ends_well: bool) -> threading.Thread:
    """A pod that holds the lease: it renews it, then finishes and releases it, or dies."""

    def live() -> None:
        held = lease.Held(output.store, foreign())
        for _ in range(5):
            held.renew()
            time.sleep(0.05)
        if ends_well:
            output.finish()
            held.release()

    output.store.write(lease.LEASE, foreign().model_dump_json().encode())
    thread = threading.Thread(target=live)
    thread.start()
    return thread


def test_train_takes_the_output_of_the_pod_before_it(tmp_path: Path) -> None:
    root, model = str(tmp_path / "store"), tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (model / name).write_text("{}")
    (model / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    prompt = (Message(role="user", content="?"),)
    rows = [SftRow(id="1", prompt=prompt, completion="!", origin="teacher", scores=Scores())]
    dataset = made(root, "sft/00000", rows)
    settings = parse_train_settings({"method": "sft", "launch": ON_CLUSTER})
    output = Output(
        Library(root),
        replace(TRAINED, content="made-by-the-first/1"),
        settings,
        {"dataset": dataset, "start": train.as_parent(str(model))},
    )
    first = first_pod(output, ends_well=True)
    manifest = train.train_model(Library(root), "train-sft", settings, dataset, str(model))
    joined(first)
    assert manifest.content == "made-by-the-first/1"


def test_synthesize_takes_the_output_of_the_pod_before_it(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    row = {"id": "1", "source": "s", "line": 1, "instruction": "?", "type": "t", "primary": "p", "secondary": "s"}
    rows = [Labelled.model_validate(row)]
    dataset = made(root, "rows/00000", rows)
    settings = SynthesizeSettings.model_validate({"launch": ON_CLUSTER, "origins": ["original"]})
    first = first_pod(
        Output(Library(root), replace(ANSWERED, content="made-by-the-first/1"), settings, {"dataset": dataset}),
        ends_well=True,
    )
    manifest = synthesize.synthesize_responses(Library(root), settings, dataset)
    joined(first)
    assert manifest.content == "made-by-the-first/1"


def test_a_pod_that_died_is_replaced_after_its_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.5)
    output = Output(Library(str(tmp_path)), Product("step", 1, "before/1"), Settings(), {})
    first = first_pod(output, ends_well=False)
    began = time.monotonic()
    with output.writing(Launch.model_validate(ON_CLUSTER).wait_seconds):
        assert 0.5 < time.monotonic() - began < 10
    joined(first)


def test_on_one_machine_a_second_run_is_refused(tmp_path: Path) -> None:
    output = Output(Library(str(tmp_path)), Product("step", 1, "before/1"), Settings(), {})
    first = first_pod(output, ends_well=True)
    with pytest.raises(LeaseError), output.writing(Launch().wait_seconds):
        pytest.fail("two writers")
    joined(first)


def made(root: str, name: str, rows: list[SftRow] | list[Labelled]) -> Manifest:
    """An output of an earlier step."""
    output = Output(Library(root), Product("before", 1, "before/1"), Settings(), {})
    output.write_rows(name, rows)
    return output.finish()
