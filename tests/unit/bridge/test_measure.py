"""How the student finds a text: against its own logits, step by step."""

from pathlib import Path

import pytest
import torch

from components.bridge.measure import measured, step_bounds
from components.models.likelihood.likelihood import LikelihoodModel
from components.models.not_finite import NotFiniteError
from components.shared.rollout_rows import BridgeText
from components.shared.rows import Message
from tests.tiny_model import save_tiny_model

PROMPT = (Message(role="user", content="Add 3 to 2."),)
TEXT = "Look:\n1. Nimm 2 €.\n2. 加 3。\nThe answer is 5."


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> LikelihoodModel:
    return LikelihoodModel.load(str(save_tiny_model(tmp_path_factory.mktemp("student"))))


def measure(student: LikelihoodModel, text: str, rank_clip: int = 100) -> BridgeText:
    given = BridgeText(origin="rewritten", text=text, passed=True, fate="")
    (found,) = measured(student, [((PROMPT, text), given)], ["demo/0"], rank_clip)
    assert isinstance(found, BridgeText)
    return found


def test_rank_and_surprisal_are_those_of_the_students_logits(tmp_path: Path) -> None:
    alone = LikelihoodModel.load(str(save_tiny_model(tmp_path)))
    tokenizer, model = alone.maker.tokenizer, alone.model
    prompt = tokenizer.apply_chat_template([PROMPT[0].model_dump()], add_generation_prompt=True, tokenize=False)
    ids = tokenizer(prompt + TEXT, add_special_tokens=False, return_tensors="pt")["input_ids"]
    ids = torch.cat([ids, torch.tensor([[tokenizer.eos_token_id]])], dim=1)
    count = ids.shape[1] - len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    found = measure(alone, TEXT, rank_clip=50)
    alone.close()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        log_probs = model(input_ids=ids).logits[0, -count - 1 : -1].float().log_softmax(1)
    own = log_probs.gather(1, ids[0, -count:, None])
    ranks = (1 + (log_probs > own).sum(1)).clamp(max=50).float()
    assert found.tokens == count and ranks.max() == 50
    assert found.nll == pytest.approx(-own.mean().item(), abs=1e-4)
    assert found.rank == pytest.approx(ranks.mean().item(), abs=1e-4)
    assert found.rsr == pytest.approx(ranks.sum().item() / -own.sum().item(), rel=1e-4)


def test_steps_have_the_tokens_of_their_text(student: LikelihoodModel) -> None:
    found = measure(student, TEXT)
    sizes = [len(part.encode()) for part in ("1. Nimm 2 €.\n", "2. 加 3。\nThe answer is 5.")]
    assert [step.tokens for step in found.steps] == [sizes[0], sizes[1] + 1], "bytes are tokens, and the last ends"
    assert measure(student, "It is 5.").steps == ()


def test_a_token_across_two_steps_belongs_to_the_later_one() -> None:
    class Pieces:
        """A tokenizer whose tokens are given pieces."""

        pieces = ("1. a", ".\n2", ". b", "</s>")

        def decode(self, ids: list[int], **_: bool) -> str:
            return "".join(self.pieces[number] for number in ids)

    assert step_bounds("1. a.\n2. b", [0, 1, 2, 3], Pieces()) == [0, 1]


def test_a_text_whose_likelihood_is_not_finite_is_refused_with_its_problem(tmp_path: Path) -> None:
    student = LikelihoodModel.load(str(save_tiny_model(tmp_path)))
    with torch.no_grad():
        student.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(NotFiniteError, match="first in row 'demo/0'"):
        measure(student, TEXT)
