"""A tiny chat model with random weights: 2 layers, byte-level tokenizer, 256 positions."""

from pathlib import Path

import pytest
import torch

from tests.tiny_model import save_tiny_model

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=256)
