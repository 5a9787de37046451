"""Takes the schema of one version out of a CustomResourceDefinition, without its prose, as gzipped JSON.

`python tests/tools/trim_crd.py CRD.yaml VERSION OUT.json.gz`
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import yaml

PROSE = ("description", "example")


def without_prose(schema: Any) -> Any:
    """The schema without texts; a field that is called `description` stays, since its schema is not a text."""
    if isinstance(schema, list):
        return [without_prose(item) for item in schema]
    if isinstance(schema, dict):
        return {k: without_prose(v) for k, v in schema.items() if not (k in PROSE and isinstance(v, str))}
    return schema


def main() -> None:
    source, version, out = sys.argv[1:]
    crd = yaml.safe_load(Path(source).read_text())
    [found] = [each for each in crd["spec"]["versions"] if each["name"] == version]
    trimmed = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": crd["metadata"]["name"]},
        "spec": {"versions": [{"name": version, "served": True, "schema": without_prose(found["schema"])}]},
    }
    text = json.dumps(trimmed, separators=(",", ":"), sort_keys=True).encode()
    Path(out).write_bytes(gzip.compress(text, mtime=0))


if __name__ == "__main__":
    main()
