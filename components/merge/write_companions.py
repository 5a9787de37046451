"""Writes what a merged model has besides weights: the configuration, and the donor's tokenizer and chat template."""

import shutil
from pathlib import Path

from components.merge.source import MergeSource
from components.models.reference import UNSAFE_SUFFIXES
from components.models.stored.quantization import QUANTIZATION
from components.models.stored.stored_model import CONFIG

OWN_FILES = (CONFIG, "README.md", "manifest.json", "trainer_state.json")
LEFT_OUT = (".safetensors", ".index.json", ".py", *UNSAFE_SUFFIXES)


def write_config(donor: MergeSource, dtype: str, folder: Path) -> None:
    """Write the donor's configuration with another type of the weights, as transformers spells it today."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(donor.folder, local_files_only=True, trust_remote_code=False)
    if hasattr(config, QUANTIZATION):
        del config.quantization_config
    config.dtype = dtype
    config.save_pretrained(folder)


def copy_companions(donor: MergeSource, folder: Path) -> None:
    """Copy the tokenizer, the chat template and the generation config byte for byte."""
    for path in sorted(donor.folder.iterdir()):
        if path.is_file() and path.name not in OWN_FILES and not path.name.endswith(LEFT_OUT):
            shutil.copyfile(path, folder / path.name)
