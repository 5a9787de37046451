"""A node keeps the images whose layouts are kept."""

from pathlib import Path

from images.load import stale_images


def test_images_whose_layouts_are_gone_are_stale_and_no_others(tmp_path: Path) -> None:
    for kept in ("train-1", "train-2"):
        (tmp_path / kept).mkdir()
    held = {f"localhost/tutelage/{image}" for image in ("train:1", "train:2", "train:0", "trainer:0", "ray:0")}
    found = stale_images("localhost/tutelage/train:2", tmp_path / "train-2", held)
    assert found == ["localhost/tutelage/train:0"]
