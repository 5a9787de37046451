"""Makes merged models in local folders: slice by slice, or by mergekit where the method needs it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.merge.finite import require_finite_files
from components.merge.methods.registry import METHODS
from components.merge.run_mergekit import run_mergekit
from components.merge.settings import MergeSettings
from components.merge.source import MergeSource
from components.merge.stream.stream_weights import StreamedMerge, stream_weights
from components.merge.write_companions import copy_companions, write_config
from components.models.stored.load_weights import require_fitting


def make_models(merges: Sequence[MergeSettings], sources: Mapping[str, MergeSource], scratch: Path) -> list[Path]:
    """Make one merge by any method, or several that read the same models.

    Args:
        merges: what to make.
        sources: the models, by name.
        scratch: an empty folder.

    Returns:
        The merged models' folders below `scratch`, with config, tokenizer and chat template.

    Raises:
        ModelError: the models cannot be merged, or the merged tensors are not finite or do not fit the config.json.
    """
    first = merges[0]
    folders = _stream(merges, sources, scratch) if first.is_streamed else [_by_mergekit(first, sources, scratch)]
    for settings, folder in zip(merges, folders, strict=True):
        copy_companions(sources[settings.donor], folder)
        require_fitting(folder, "the merged model")
    return folders


def _by_mergekit(settings: MergeSettings, sources: Mapping[str, MergeSource], scratch: Path) -> Path:
    folder = run_mergekit(settings, sources, scratch)
    require_finite_files(folder)
    return folder


def _stream(merges: Sequence[MergeSettings], sources: Mapping[str, MergeSource], scratch: Path) -> list[Path]:
    streamed = []
    for number, settings in enumerate(merges):
        donor, folder = sources[settings.donor], scratch / f"merged{number}"
        dtype = donor.dtype if settings.dtype == "auto" else settings.dtype
        folder.mkdir()
        write_config(donor, dtype, folder)
        streamed.append(StreamedMerge(METHODS[settings.method], settings, dtype, folder))
    stream_weights(sources, streamed)
    return [merge.folder for merge in streamed]
