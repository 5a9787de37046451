"""Keeps libraries from asking a hub, or writing a cache into a home folder, once all models are on this machine."""

import os
import sys

from components.models.reference import cache_folder

FLAGS = (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE"))
"""Where the libraries keep what they read when they are imported; transformers asks huggingface_hub."""


def stay_offline() -> None:
    """Put Hugging Face's libraries into offline mode, whether they are imported already or not.

    A pod's home may be read-only or `/`, so their caches go below Tutelage's own cache.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ.setdefault("HF_HOME", str(cache_folder() / "huggingface"))
    for module, flag in FLAGS:
        if module in sys.modules:
            setattr(sys.modules[module], flag, True)
