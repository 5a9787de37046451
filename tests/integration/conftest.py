"""What the tests on this machine share: no cluster."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A job on a cluster fails, so that no test needs what only such jobs load (ON_CLUSTER in `.ci/imported.py`)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(tmp_path_factory.mktemp("kubeconfig") / "none"))
        patch.delenv("TUTELAGE_KFP_HOST", raising=False)
        yield
