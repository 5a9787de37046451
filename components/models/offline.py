"""Keeps libraries from asking a hub, or writing a cache into a home folder, once all models are on this machine."""

import os

from components.models.reference import cache_folder


def stay_offline() -> None:
    """Set what Hugging Face's libraries read when they are imported; call before importing them.

    A pod's home may be read-only or `/`, so their caches go below Tutelage's own cache.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ.setdefault("HF_HOME", str(cache_folder() / "huggingface"))
