"""kubeconform with the schemas of all kinds."""

from collections.abc import Callable

import pytest
import yaml

from tests.cluster.node.errors import NodeError
from tests.cluster.node.programs import KUBECONFORM
from tests.manifests.crd_schemas import schema_location
from tests.manifests.render import Object, built, run


@pytest.fixture(scope="session")
def conforms() -> Callable[[list[Object]], None]:
    """Asserts that objects conform to Kubernetes' and the operators' own schemas."""
    kubeconform = built(KUBECONFORM)
    try:
        location = schema_location()
    except NodeError as error:
        pytest.skip(f"needs Go, and the operators' modules from it: {error}")

    def check(objects: list[Object]) -> None:
        assert objects, "there are no objects to validate"
        run(kubeconform, "-strict", "-summary", "-schema-location", location, "-", text=yaml.safe_dump_all(objects))

    return check
