"""Values that are left empty in a file (`global:`) or set to null: Helm removes the default.

Either that is refused by name, or it means what the empty default means. Users never see Go's own messages about nil.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
import yaml

from tests.charts.programs import CHARTS, KUBERNETES, Object, run
from tests.cluster.node.programs import HELM
from tests.manifests.render import SERVED

EMPTY = ("", [], {}, None)
SCHEMA = "values don't meet the specifications of the schema"
REFUSED = "execution error at"
"""The chart's own refusals, which say what to set."""
OPERATORS = [f"--api-versions={kind}" for kind in SERVED]
CHOSEN = {
    ("tutelage", "all"): ("gpu", "air-gapped"),
    ("teacher", "vllm"): ("gpu",),
    ("teacher", "transformers"): ("minimal",),
}
"""Files of values with which every template renders something."""
FREE = (
    ("placement", "tasks"),
    ("placement", "jobs"),
    ("cleanUp", "resources"),
    ("test", "resources"),
    ("resources",),
    ("fetchResources",),
)
"""Values that a user may remove in part: steps and jobs of the placement, requests and limits."""
Key = tuple[str, ...]


def defaults_of(chart: str) -> Object:
    """The values that the chart ships."""
    found: Object = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    return found


def keys(values: Object, above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every key of values with its default, parents first."""
    for name, default in values.items():
        yield (*above, name), default
        if isinstance(default, dict):
            yield from keys(default, (*above, name))


PARTS = [
    pytest.param(chart, case, part, id=f"{chart}-{case}-{part}")
    for chart, case in CHOSEN
    for part in defaults_of(chart)
]


@lru_cache
def rendered(chart: str, case: str, *changed: str) -> tuple[int, str]:
    """What Helm renders of a chart: its exit code, and the objects or its message."""
    files = [f"--values={chart}/ci/{name}-values.yaml" for name in CHOSEN[chart, case]]
    version = f"--kube-version={KUBERNETES.version}"
    done = run(HELM, "template", "release", chart, version, *OPERATORS, *files, *changed)
    return done.returncode, done.stdout


def with_value(key: Key, value: Any) -> str:
    """An argument of Helm that sets a value."""
    return f"--set-json={'.'.join(part.replace('.', chr(92) + '.') for part in key)}={json.dumps(value)}"


@pytest.mark.parametrize(("chart", "case", "part"), PARTS)
def test_a_null_is_refused_by_name_or_means_the_empty_default(chart: str, case: str, part: str) -> None:
    for key, default in keys({part: defaults_of(chart)[part]}):
        if case == "transformers" and not isinstance(default, dict):
            continue  # single values: checked with the other engine
        name = ".".join(key)
        code, said = rendered(chart, case, with_value(key, None))
        if code:
            assert SCHEMA in said or REFUSED in said, f"{name}: {said}"
            assert "nil" not in said and "interface {}" not in said, f"{name}: {said}"
            assert SCHEMA not in said or f"missing property '{key[-1]}'" in said, f"{name}: {said}"
        elif default in EMPTY:
            assert said == rendered(chart, case, with_value(key, default))[1], f"{name}: null is not its default"
        else:
            assert is_free(chart, key), f"{name}: its default {default!r} is lost silently"


def is_free(chart: str, key: Key) -> bool:
    """Whether a key is an entry of a map that the user fills, not one of the chart's own keys."""
    if any(key[: len(free)] == free for free in FREE):
        return True
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
    at = schema
    for name in key[:-1]:
        at = resolved(schema, at).get("properties", {}).get(name, {})
    return key[-1] not in resolved(schema, at).get("properties", {})


def resolved(schema: Object, part: Object) -> Object:
    """A part of a schema without references."""
    found: Object = {}
    for one in (part, *part.get("allOf", [])):
        found |= schema["$defs"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
    return found


@pytest.mark.parametrize("key", ["global", "images.launcher", "store.secret"])
def test_a_parent_that_a_file_leaves_empty_is_named(key: str) -> None:
    code, said = rendered("tutelage", "all", f"--set={key}=null")
    assert code and f"missing property '{key.rpartition('.')[2]}'" in said
