"""The manifest of kept rollouts: which there are, of which model, with which sampling.

Several steps add to one address, at once too, so there is no lease, and no last rollout. A step writes the manifest
when its own rollouts are there, and a later step writes it again with those that it added. Rollouts are found by their
objects, whether a manifest lists them or not: those of a step that was killed, and of stores that have no such
manifests, are read alike.
"""

import gzip
import zlib
from collections.abc import Iterable, Mapping

from components.shared.log import say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent, Shard
from components.shared.outputs.output import Output
from components.shared.outputs.shards import SUFFIX, describe
from components.shared.settings import Settings
from components.shared.step import Product
from components.shared.store.store import Store


def list_kept(library: Library, product: Product, source: Settings, made_by: Mapping[str, Parent]) -> Manifest | None:
    """Write the manifest of all rollouts at an address, unless it lists them already.

    Args:
        library: where they are stored.
        product: what they are.
        source: the settings that they depend on.
        made_by: the model that they are of, by the name of the input; an endpoint is in `source` alone.

    Returns:
        The manifest; None where no rollout is kept.
    """
    output = Output(library, product, source, made_by)
    known = output.manifest()
    listed = {shard.name: shard for shard in known.shards} if known else {}
    names = sorted(entry.key for entry in output.store.list() if entry.key.endswith(SUFFIX))
    if not names or listed.keys() == set(names):
        return known
    for shard in _described(output.store, names, listed):
        output.adopt(shard)
    return output.finish({"rollouts": sum(shard.rows for shard in output.shards.values())})


def _described(store: Store, names: Iterable[str], listed: Mapping[str, Shard]) -> Iterable[Shard]:
    """The objects; nothing is overwritten, so that only those that are not listed yet are read."""
    for name in names:
        if name in listed:
            yield listed[name]
            continue
        data = store.read(name)
        try:
            rows = gzip.decompress(data).count(b"\n")
        except (OSError, EOFError, zlib.error) as error:
            say("rollouts", f"{store.uri}/{name} is damaged and is left out of the manifest: {error}")
            continue
        yield describe(name, data, rows)
