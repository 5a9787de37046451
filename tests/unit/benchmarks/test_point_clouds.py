"""The sparse U-Net: its convolutions are spconv's and dense ones', and stages train as one process does."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.unequal.point_clouds.measure import cost_of
from benchmarks.unequal.point_clouds.pipeline import cut_layers, predicted_seconds
from benchmarks.unequal.point_clouds.scans import FEATURES, Scan, make_scan
from benchmarks.unequal.point_clouds.sparse import Around, Down, Up, geometry_of
from benchmarks.unequal.point_clouds.spconv import SpconvUnavailableError, convolve
from benchmarks.unequal.point_clouds.unet import as_grid
from components.train.balance.devices import Link
from components.train.balance.layers import LayerCost

SIDE = 12
LINK = Link(bytes_a_second=1e9)


@pytest.fixture(scope="module")
def scan() -> Scan:
    return make_scan(SIDE, seed=3)


@pytest.mark.parametrize("kind", ["around", "down"])
def test_convolutions_are_those_of_spconv(scan: Scan, kind: str) -> None:
    torch.manual_seed(0)
    layer, level = (Around(FEATURES, 5, 0), 0) if kind == "around" else (Down(FEATURES, 5, 0), 1)
    geometry = geometry_of(scan, 2)
    with torch.no_grad():
        ours = layer(scan.features, geometry)
    try:
        theirs = convolve(kind, scan.places.tolist(), scan.features.tolist(), layer.weight.tolist(), SIDE)
    except SpconvUnavailableError as reason:
        pytest.skip(str(reason))
    places = [tuple(place) for place in geometry.places[level].tolist()]
    assert sorted(theirs) == sorted(places)
    assert torch.allclose(ours, torch.tensor([theirs[place] for place in places]), atol=1e-5)


def test_convolutions_are_dense_ones_where_there_are_voxels(scan: Scan) -> None:
    torch.manual_seed(0)
    layer, geometry, grid = Around(FEATURES, 5, 0), geometry_of(scan, 1), as_grid(scan)
    weight = layer.weight.reshape(3, 3, 3, FEATURES, 5).permute(4, 3, 0, 1, 2)
    dense = torch.nn.functional.conv3d(grid, weight, padding=1)[0][:, *scan.places.T].T
    assert torch.allclose(layer(scan.features, geometry), dense, atol=1e-5)


def test_the_way_up_is_the_transpose_of_the_way_down(scan: Scan) -> None:
    """As a matrix: <down(x), y> equals <x, up(y)> with the same weights, transposed by channel."""
    torch.manual_seed(0)
    geometry = geometry_of(scan, 2)
    down, up = Down(FEATURES, 5, 0), Up(5, FEATURES, 0)
    up.weight.data = down.weight.data.transpose(1, 2).contiguous()
    below = torch.randn(geometry.rows[1], 5)
    with torch.no_grad():
        one = (down(scan.features, geometry) * below).sum()
        other = (scan.features * up(below, geometry)).sum()
    assert one.item() == pytest.approx(other.item(), rel=1e-4)


def test_a_scan_has_every_surface_and_is_sparse() -> None:
    scan = make_scan(64, seed=1)
    assert scan.labels.bincount().min() > 100 and len(scan.labels) < 0.06 * 64**3
    assert len(scan.places.unique(dim=0)) == len(scan.places)  # type: ignore[no-untyped-call]
    assert torch.equal(make_scan(64, seed=1).features, scan.features)


def test_memory_grows_with_the_surface_and_not_with_the_room() -> None:
    kept = {
        kind: [cost_of(make_scan(side, 1), kind, 1).kept_bytes for side in (32, 64)] for kind in ("sparse", "dense")
    }
    assert kept["dense"][1] > 7 * kept["dense"][0] and kept["sparse"][1] < 5 * kept["sparse"][0]


def costs_of(slow: float) -> list[LayerCost]:
    """Ten layers; what each takes on the second process, beside a second on the first."""
    seconds = {"process 0": 1.0, "process 1": slow}
    sizes = {"state_bytes": 1, "activation_bytes": 1, "output_bytes": 1, "gradient_bytes": 0}
    return [
        LayerCost(name=str(number), forward_seconds=seconds, backward_seconds=seconds, **sizes) for number in range(10)
    ]


def test_a_slower_process_gets_fewer_layers() -> None:
    costs = costs_of(4.0)
    layers = {stage.kind: stage.end - stage.first for stage in cut_layers("balanced", costs, LINK)}
    assert layers == {0: 8, 1: 2}
    assert [stage.end - stage.first for stage in cut_layers("uniform", costs, LINK)] == [5, 5]


def test_a_slow_link_holds_up_both_processes_and_many_of_its_messages_cost_more_than_one_process_alone() -> None:
    costs = costs_of(1.0)
    stages = cut_layers("balanced", costs, LINK)
    assert predicted_seconds(costs, stages, 3, LINK) == pytest.approx(3 * 10 + 10, rel=1e-6)
    slow = Link(bytes_a_second=1.0, latency_seconds=1.0)
    assert predicted_seconds(costs, stages, 3, slow) == pytest.approx(2 * (10 + 4) + 20 + 4)
    slower = Link(bytes_a_second=1.0, latency_seconds=3.0)
    assert len(cut_layers("balanced", costs, slower)) == 2 and len(cut_layers("balanced", costs_of(9.0), slower)) == 1


@pytest.mark.timeout(300)
def test_every_cut_trains_the_same(tmp_path: Path, quotas: None) -> None:
    from benchmarks.unequal.point_clouds.__main__ import main

    main(brief=True, result=tmp_path / "result.json")
    (pipeline,) = json.loads((tmp_path / "result.json").read_text())["pipelines"]
    losses = pipeline["losses"]
    assert losses.keys() == {"alone", "uniform", "parameters", "balanced"}
    assert list(losses.values()) == pytest.approx([losses["alone"]] * 4, abs=1e-6)


@pytest.fixture
def quotas() -> None:
    """Skip where no cgroup with CPU quotas can be made."""
    from benchmarks.unequal.throttled import CGROUPS

    parent = next((path for path in CGROUPS if (path / "cgroup.procs").exists()), None)
    if parent is None or not (probe := parent / "tutelage-probe"):
        pytest.skip("there is no cgroup with CPU quotas")
    try:
        probe.mkdir()
    except OSError as error:
        pytest.skip(f"a cgroup cannot be made: {error}")
    probe.rmdir()
