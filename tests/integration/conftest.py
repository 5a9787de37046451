"""What the tests on this machine share: which files begin, and no cluster."""

from collections.abc import Iterator

import pytest

LONGEST = (
    *("pipeline/test_curriculum_real_data.py", "pipeline/test_curriculum.py", "train/test_resume.py"),
    *("train/test_pipeline_stages.py", "pipeline/test_study.py", "train/test_token_budget.py"),
    *("train/test_rollout_training.py", "pipeline/test_run.py", "probe/test_draw.py"),
)
"""Files that take minutes, the longest first: one of them at the end would leave a processor without work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; `--dist loadfile` hands files out in this order."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    file = "/".join(item.path.parts[-2:])
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


@pytest.fixture(scope="session", autouse=True)
def no_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A job on a cluster fails, so that no test needs what only such jobs load (ON_CLUSTER in `.ci/imported.py`)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(tmp_path_factory.mktemp("kubeconfig") / "none"))
        patch.delenv("TUTELAGE_KFP_HOST", raising=False)
        yield
