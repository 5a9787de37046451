"""The reference's log-probs are computed once for all trainings that score the same tokens under the same start."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.clean_up.unfinished import find_unfinished
from components.shared.errors import DamagedError
from components.shared.outputs.library import Library
from components.shared.outputs.output import Output
from components.shared.rows import KtoRow, Message, Scores
from components.shared.settings import Settings
from components.shared.step import Product
from components.train.batches.build_dataset import Template
from components.train.batches.split import split_batch
from components.train.engine.divergence import DivergedError, require_finite_reference
from components.train.engine.reference_output import ReferenceOutput, digest_tokens
from components.train.job_file import TrainingJob
from components.train.methods.registry import method_of, parse_train_settings
from components.train.ranks import Ranks

NAMES = ("ref_chosen_logps", "ref_rejected_logps")
TOKENS = {"prompt_ids": [[1, 2], [3]], "chosen_ids": [[4], [5, 6]], "rejected_ids": [[7, 8, 9], [10]]}
VALUES = [[-1.5, -2.25], [-3.0, -0.1]]


class World:
    """A store with a dataset, and a start."""

    def __init__(self, folder: Path) -> None:
        self.library = Library(str(folder / "store"))
        self.dataset = Output(self.library, Product("select", 1, "selection/1"), Settings(), {}).finish()
        self.start = folder / "start"
        self.start.mkdir()
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            (self.start / name).write_text(name)
        self.computed = 0

    def compute(self) -> list[list[float]]:
        """Stands for the forward passes."""
        self.computed += 1
        return VALUES

    def reference(self, **values: Any) -> ReferenceOutput:
        """That of a training by DPO with these settings."""
        return ReferenceOutput(
            TrainingJob(
                root=self.library.root,
                address="train/0123456789abcdef",
                task="train-dpo",
                settings=parse_train_settings({"method": "dpo", **values}),
                dataset=self.dataset.address,
                start=str(self.start),
            ),
            Ranks(0, 1, 0),
        )

    def train(self, tokens: dict[str, Any] | None = None, **values: Any) -> dict[str, np.ndarray]:
        """What a training gets."""
        from datasets import Dataset

        return self.reference(**values).columns(Dataset.from_dict(tokens or TOKENS), NAMES, self.compute)

    def files(self) -> list[Path]:
        """Those that hold log-probs."""
        return sorted(Path(self.library.root).glob("train-reference/*/log_probs.safetensors"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_second_training_gets_the_same_values_without_computing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = world.train(), world.train()
    assert world.computed == 1
    for columns in (first, second):
        assert list(columns) == list(NAMES)
        assert np.array_equal(np.stack(list(columns.values())), np.array(VALUES, np.float32))
    (path,) = world.files()
    address = f"train-reference/{path.parent.name}"
    assert capsys.readouterr().err.splitlines() == [
        f"[train-dpo] reference log-probs: 2 rows computed, written to {address}",
        f"[train-dpo] reference log-probs: 2 rows read from {address}",
    ]


def test_counts_say_what_was_computed(world: World) -> None:
    from datasets import Dataset

    found = []
    for _ in range(2):
        reference = world.reference()
        reference.columns(Dataset.from_dict(TOKENS), NAMES, world.compute)
        found.append(reference.counts)
    assert found == [
        {"reference_rows": 2, "reference_rows_computed": 2},
        {"reference_rows": 2, "reference_rows_computed": 0},
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"learning_rate": 1e-3},
        {"seed": 7},
        {"epochs": 5},
        {"global_batch": 8},
        {"lora": {"rank": 4}},
        {"dpo": {"beta": 0.5, "reference_batch": 2}},
        {"launch": {"processes_per_node": 2}, "deepspeed": {"stage": 3}},
    ],
)
def test_what_does_not_change_the_reference_does_not_compute_again(world: World, other: dict[str, Any]) -> None:
    world.train()
    world.train(**other)
    assert world.computed == 1


@pytest.mark.parametrize("other", [{"max_length": 512}, {"precision": "fp32"}])
def test_what_changes_the_forward_pass_computes_again(world: World, other: dict[str, Any]) -> None:
    world.train()
    world.train(**other)
    assert world.computed == len(world.files()) == 2


@pytest.mark.parametrize("name", TOKENS)
def test_other_tokens_compute_again(world: World, name: str) -> None:
    world.train()
    world.train(TOKENS | {name: TOKENS[name][::-1]})
    world.train(TOKENS | {name: [[*TOKENS[name][0], *TOKENS[name][1]], []]})
    assert world.computed == 3


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_another_start_computes_again(world: World, file: str) -> None:
    world.train()
    (world.start / file).write_text("changed")
    world.train()
    assert world.computed == 2


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_rows_whose_values_are_not_finite_are_named_whether_computed_or_read(world: World, value: float) -> None:
    from datasets import Dataset

    for _ in range(2):
        reference = world.reference()
        reference.columns(Dataset.from_dict(TOKENS), NAMES, lambda: [[-1.5, -2.25], [-3.0, value]])
        with pytest.raises(DivergedError, match="of 1 row are infinite or NaN; the first begins with 'row 1'"):
            require_finite_reference(reference.not_finite, lambda number: f"row {number}")
    assert len(world.files()) == 1
    world.start.joinpath("model.safetensors").write_text("another")
    fine = world.reference()
    fine.columns(Dataset.from_dict(TOKENS), NAMES, world.compute)
    require_finite_reference(fine.not_finite, str)


def test_how_a_data_set_is_stored_does_not_matter() -> None:
    from datasets import Dataset, concatenate_datasets

    plain = Dataset.from_dict(TOKENS | {"label": [True, False]})
    parts = concatenate_datasets([plain.select([0]), plain.select([1])])
    moved = Dataset.from_dict({name: ids[::-1] for name, ids in TOKENS.items()}).select([1, 0])
    assert digest_tokens(plain) == digest_tokens(parts) == digest_tokens(moved)


def test_a_damaged_file_is_an_error(world: World) -> None:
    world.train()
    (path,) = world.files()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"train-reference/[0-9a-f]{16}/log_probs.safetensors is damaged"):
        world.train()
    assert world.computed == 1


def test_a_training_waits_for_another_one_that_computes(world: World) -> None:
    from datasets import Dataset

    started, may_end = threading.Event(), threading.Event()

    def slowly() -> list[list[float]]:
        started.set()
        assert may_end.wait(60)
        return VALUES

    rows = Dataset.from_dict(TOKENS)
    first = threading.Thread(target=world.reference().columns, args=(rows, NAMES, slowly))
    first.start()
    assert started.wait(60)
    threading.Timer(0.3, may_end.set).start()
    assert set(world.train(learning_rate=1e-3)) == set(NAMES)
    first.join(60)
    assert not first.is_alive() and world.computed == 0


def test_its_address_is_known_to_the_clean_up_and_names_where_it_comes_from(world: World) -> None:
    world.train()
    (path,) = world.files()
    address = f"train-reference/{path.parent.name}"
    assert world.library.load(address).parents["dataset"] == world.dataset.parent
    everything = float("inf")
    assert list(find_unfinished(world.library.root, everything)) == []
    (path.parent / "manifest.json").unlink()
    assert [found.address for found in find_unfinished(world.library.root, everything)] == [address]


def kto_tokens(tokenizer: Any, **values: Any) -> str:
    """The digest of what KTO scores."""
    from datasets import Dataset

    rows = [
        KtoRow(
            id=str(number),
            prompt=(Message(role="user", content=f"Hi {number}"),),
            completion="Ho" * (1 + number),
            label=bool(number % 2),
            origin="student",
            scores=Scores(),
        )
        for number in range(17)
    ]
    settings = parse_train_settings({"method": "kto", "global_batch": 8, "kto": {"kl_batch": 4}, **values})
    data = method_of(settings).prepare(rows, Template(tokenizer), settings, split_batch(settings, settings.ranks))
    return digest_tokens(Dataset.from_dict(data.columns))


def test_ktos_pairing_decides_what_it_scores(tokenizer: Any, templates: dict[str, str]) -> None:
    tokenizer.chat_template = templates["plain"]
    plain = kto_tokens(tokenizer)
    for same in ({"learning_rate": 1e-3, "epochs": 1}, {"launch": {"processes_per_node": 2}, "micro_batch": 1}):
        assert kto_tokens(tokenizer, **same) == plain
    for other in ({"seed": 7}, {"global_batch": 16}, {"kto": {"kl_batch": 8}}):
        assert kto_tokens(tokenizer, **other) != plain
