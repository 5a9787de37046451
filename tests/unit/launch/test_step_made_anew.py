"""On a cluster a step's pod may be made anew: the second one waits for the first, and takes what it has made."""

import threading
import time
from pathlib import Path

import pytest

from components.launch.job import Launch
from components.shared import lease
from components.shared.errors import LeaseError
from components.shared.manifest import Manifest
from components.shared.output import Output
from components.shared.rows import Labelled, Message, Scores, SftRow
from components.shared.settings import Settings
from components.synthesize import synthesize
from components.synthesize.settings import SynthesizeSettings
from components.train import train
from components.train.settings import TrainSettings
from tests.deadlines import joined

ON_CLUSTER = {"launcher": "RayJob"}


def foreign() -> lease.Lease:
    """The lease of a pod on another node."""
    return lease.Lease(token="theirs", host="elsewhere/boot", process=1, started=1, renewed=time.time())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)


def first_pod(output: Output, ends_well: bool) -> threading.Thread:
    """A pod that holds the address: it renews, then finishes and lets go, or dies."""

    def live() -> None:
        held = lease.Held(output.store, foreign())
        for _ in range(5):
            held.renew()
            time.sleep(0.05)
        if ends_well:
            output.finish("made-by-the-first/1")
            held.release()

    output.store.write(lease.LEASE, foreign().model_dump_json().encode())
    thread = threading.Thread(target=live)
    thread.start()
    return thread


def test_train_takes_what_the_pod_before_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, model = str(tmp_path / "store"), tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (model / name).write_text("{}")
    prompt = (Message(role="user", content="?"),)
    rows = [SftRow(id="1", prompt=prompt, completion="!", origin="teacher", scores=Scores())]
    dataset = made(root, "sft/00000", rows)
    settings = TrainSettings.model_validate({"method": "sft", "launch": ON_CLUSTER})
    monkeypatch.setattr(train, "run_job", lambda job: pytest.fail("a second job"))
    output = Output(root, "train", train.VERSION, settings, {"dataset": dataset, "start": train.as_parent(str(model))})
    first = first_pod(output, ends_well=True)
    manifest = train.train_model(root, "train-sft", settings, dataset, str(model))
    joined(first)
    assert manifest.content == "made-by-the-first/1"


def test_synthesize_takes_what_the_pod_before_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(tmp_path / "store")
    row = {"id": "1", "source": "s", "line": 1, "instruction": "?", "type": "t", "primary": "p", "secondary": "s"}
    rows = [Labelled.model_validate(row)]
    dataset = made(root, "rows/00000", rows)
    settings = SynthesizeSettings.model_validate({"launch": ON_CLUSTER, "origins": ["original"]})
    monkeypatch.setattr(synthesize, "run_job", lambda job: pytest.fail("a second job"))
    first = first_pod(Output(root, "synthesize", synthesize.VERSION, settings, {"dataset": dataset}), ends_well=True)
    manifest = synthesize.synthesize_responses(root, settings, dataset)
    joined(first)
    assert manifest.content == "made-by-the-first/1"


def test_pod_that_died_is_followed_when_its_lease_has_lapsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.5)
    output = Output(str(tmp_path), "step", 1, Settings(), {})
    first = first_pod(output, ends_well=False)
    began = time.monotonic()
    with output.writing(Launch.model_validate(ON_CLUSTER).wait_seconds):
        assert 0.5 < time.monotonic() - began < 10
    joined(first)


def test_on_one_machine_a_second_run_is_refused(tmp_path: Path) -> None:
    output = Output(str(tmp_path), "step", 1, Settings(), {})
    first = first_pod(output, ends_well=True)
    with pytest.raises(LeaseError), output.writing(Launch().wait_seconds):
        pytest.fail("two writers")
    joined(first)


def made(root: str, name: str, rows: list[SftRow] | list[Labelled]) -> Manifest:
    """An output of an earlier step."""
    output = Output(root, "before", 1, Settings(), {})
    output.write_rows(name, rows)
    return output.finish("before/1")
