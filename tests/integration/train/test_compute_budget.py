"""Trainings with the compute of others: they end within one step of it, whatever their epochs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.launch.here.fork_server import ForkServer, forking_jobs
from components.models.reference import as_parent
from components.shared.errors import InputError, SettingsError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter, address_of
from components.shared.outputs.training_compute import tokens_spent
from components.shared.rows import Message, Scores, SftRow
from components.shared.step import Product
from components.train.methods.registry import parse_train_settings
from components.train.step import TRAINED
from components.train.train import summarise, train_model
from tests.integration.train.conftest import Bench, SelectSettings, make_settings
from tests.integration.train.test_rollout_training import COMMON, GRPO, pupil, write_routed  # noqa: F401
from tests.integration.train.test_rollout_training import problem as routed

pytestmark = pytest.mark.timeout(600)
ALONE: dict[str, Any] = {"launch": {"processes_per_node": 1}, "scheduler": "cosine", "warmup_share": 0.25}


class Trainer:
    """Trainings of one store, with demonstrations and problems for the pupil."""

    def __init__(self, root: str, start: Path) -> None:
        self.root, self.library, self.start = root, Library(root), str(start)
        self.rows = {"sft": write_demonstrations(root), "grpo": write_routed(root, [routed(n) for n in range(4)])}

    def train(self, method: str, *budget: Manifest, start: Manifest | None = None, **values: Any) -> Manifest:
        """One training; `budget` are the trainings whose compute it may spend."""
        own = {**COMMON, "grpo": GRPO} if method == "grpo" else {}
        settings = make_settings(**{**own, "method": method, "max_length": 32, **ALONE, **values})
        uris = [self.library.uri(one.address) for one in budget]
        begin = self.library.uri(start.address) if start else self.start
        return train_model(self.library, f"train-{method}", settings, self.rows[method], begin, budget=uris)

    def losses(self, manifest: Manifest) -> list[dict[str, Any]]:
        """The record of every step."""
        return Bench(self.root, self.rows["sft"], Path(self.start)).losses(manifest)


def write_demonstrations(root: str) -> Manifest:
    output = Output(Library(root), Product("select", 1, "select/1"), SelectSettings(), {})
    writer = RowWriter(output, "sft")
    for number in range(16):
        prompt = (Message(role="user", content="1" * (1 + number % 5)),)
        writer.add(SftRow(id=str(number), prompt=prompt, completion="7", origin="teacher", scores=Scores()))
    writer.close()
    return output.finish()


@pytest.fixture
def trainer(tmp_path: Path, pupil: Path, fork_server: ForkServer) -> Iterator[Trainer]:  # noqa: F811
    with forking_jobs(fork_server):
        yield Trainer(str(tmp_path / "store"), pupil)


def test_each_method_spends_what_others_spent(trainer: Trainer) -> None:
    """SFT with the compute of SFT, for longer and for shorter than its epochs; GRPO with that of SFT then GRPO."""
    first = trainer.train("sft", epochs=3)
    assert "tokens_allowed" not in first.counts
    for epochs in (1, 9):
        same = trainer.train("sft", first, epochs=epochs, seed=5)
        assert_spent(trainer, same, first)
        rates = [record["learning_rate"] for record in trainer.losses(same)]
        assert rates[-1] < 0.2 * max(rates), "the schedule is over the steps that the budget allows"
    second = trainer.train("grpo", start=first, epochs=2)
    alone = trainer.train("grpo", first, second, epochs=1, global_batch=16)
    assert_spent(trainer, alone, first, second)
    assert alone.counts["tokens_generated"] == alone.counts["rollouts"], "answers have one token"
    assert alone.counts["steps"] > second.counts["steps"]
    rates = [record["learning_rate"] for record in trainer.losses(alone)]
    assert rates[0] == 0 and rates[-1] < 0.2 * max(rates)
    assert max(rates) == pytest.approx(COMMON["learning_rate"], rel=0.05)


def test_a_budget_ends_rollouts_of_any_length_on_two_ranks(
    tmp_path: Path, student: Path, fork_server: ForkServer
) -> None:
    """How many steps it allows is known only from what they generate."""
    with forking_jobs(fork_server):
        trainer = Trainer(str(tmp_path / "store"), student)
        first = trainer.train("sft", epochs=40)
        drawn = {"grpo": {**GRPO, "max_response": 6}, "launch": {"processes_per_node": 2}}
        made = trainer.train("grpo", first, **drawn)
    counts = made.counts
    assert counts["tokens_generated"] > 2 * counts["rollouts"], "answers of several tokens"
    assert counts["tokens_allowed"] <= counts["tokens_spent"]
    assert counts["tokens_spent"] < counts["tokens_allowed"] + 2 * counts["tokens_spent"] / counts["steps"]


def assert_spent(trainer: Trainer, made: Manifest, *budget: Manifest) -> None:
    """The compute was reached in the last step."""
    allowed = sum(tokens_spent(one.counts) for one in budget)
    spent, steps = tokens_spent(made.counts), made.counts["steps"]
    assert made.counts["tokens_allowed"] == allowed
    assert made.counts["tokens_spent"] == spent
    last = trainer.losses(made)[-1]["tokens"] + made.counts.get("tokens_generated", 0) / steps
    assert allowed <= spent < allowed + last
    assert f"| compute in tokens, spent and allowed | {spent:,.0f}, {allowed:,.0f} |" in summarise("t", made)
    assert [made.parents[f"budget_{number}"].address for number in range(1, len(budget) + 1)] == [
        one.address for one in budget
    ]


def test_the_budget_is_in_the_address(trainer: Trainer) -> None:
    """An output that is named twice counts once, as where a round hands on the model of an earlier one."""
    first = trainer.train("sft")
    inputs = {"dataset": trainer.rows["sft"].parent, "start": as_parent(trainer.start)}
    assert first.address == address_of(TRAINED, parse_train_settings(first.settings), inputs)
    limited = trainer.train("sft", first, seed=5)
    assert trainer.train("sft", first, first, seed=5).address == limited.address
    assert trainer.train("sft", seed=5).address != limited.address


def test_what_a_budget_cannot_be(trainer: Trainer) -> None:
    first = trainer.train("sft")
    with pytest.raises(InputError, match="which has no count of tokens"):
        trainer.train("sft", trainer.rows["sft"], seed=5)
    with pytest.raises(SettingsError, match="stop_after_epochs is 1, and the training has a budget"):
        trainer.train("sft", first, epochs=2, stop_after_epochs=1)
