"""A checkpoint that DeepSpeed cannot convert is refused with the reason, and random states are dealt to other ranks."""

from pathlib import Path

import pytest
import torch

from components.shared.errors import SettingsError
from components.train.checkpoints.checkpoint import Fetched, random_state_name
from components.train.checkpoints.convert_checkpoint import convert, deal_random_states


def test_an_optimizer_other_than_adam_is_refused(tmp_path: Path) -> None:
    """Lion has one moment; the converter needs two."""
    (folder := tmp_path / "global_step4").mkdir()
    (tmp_path / "latest").write_text("global_step4")
    optimizer = {
        "zero_stage": 3,
        "fp32_flat_groups": [torch.zeros(2)],
        "optimizer_state_dict": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{}]},
    }
    torch.save({"optimizer_state_dict": optimizer}, folder / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    torch.save({"param_shapes": [{"w": torch.Size([2])}]}, folder / "zero_pp_rank_0_mp_rank_00_model_states.pt")
    with pytest.raises(SettingsError) as raised:
        convert(Fetched(4, tmp_path, 1), 2)
    assert "step 4 was written by 1 process and cannot be converted for 2: KeyError: 'exp_avg_sq'" in str(raised.value)
    assert "run it on 1 process" in str(raised.value)


@pytest.mark.parametrize(("before", "now"), [(2, 1), (1, 2), (2, 4)])
def test_random_states_are_dealt(tmp_path: Path, before: int, now: int) -> None:
    for rank in range(before):
        (tmp_path / random_state_name(rank, before)).write_text(f"of {rank}")
    deal_random_states(tmp_path, before, now)
    dealt = [(tmp_path / random_state_name(rank, now)).read_text() for rank in range(now)]
    assert dealt == [f"of {rank % before}" for rank in range(now)]
