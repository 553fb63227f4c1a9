"""LPIPS as vectors: equal to the sum of the paper, written out pair by pair, on files under their published names."""

import importlib.util
import sys
import types

import pytest
import torch
from torch.nn import functional

from meddiff import build
from meddiff.errors import InputError
from meddiff.networks.features.lpips import CHANNELS, TAPPED, LpipsEmbedding, _trunk

HEADS = "weights/lpips/v0.1/alex.pth"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The trunk with random weights, as torchvision names them, and random heads."""
    place = tmp_path_factory.mktemp("lpips")
    generator = torch.Generator().manual_seed(0)
    state = {
        f"features.{name}": 0.1 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in _trunk().state_dict().items()
    }
    torch.save(state | {"classifier.1.weight": torch.zeros(2, 2)}, place / "alexnet-owt-7be5be79.pth")
    heads = {f"lin{number}.model.1.weight": torch.rand(1, channels, 1, 1, generator=generator)
             for number, channels in enumerate(CHANNELS)}  # fmt: skip
    torch.save(heads, place / "alex.pth")
    return place


def images(count=3, side=64):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def by_pairs(folder, first, second):
    """Eq. 1 of Zhang et al. 2018."""
    trunk = _trunk()
    state = torch.load(folder / "alexnet-owt-7be5be79.pth")
    trunk.load_state_dict({name.removeprefix("features."): value for name, value in state.items() if "feat" in name})
    heads = torch.load(folder / "alex.pth")
    shift, scale = (torch.tensor(v).view(3, 1, 1) for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
    x, y = ((image - shift) / scale for image in (first, second))
    total = torch.zeros(len(first))
    with torch.no_grad():
        for number, layer in enumerate(trunk):
            x, y = layer(x), layer(y)
            if number in TAPPED:
                difference = (functional.normalize(x) - functional.normalize(y)) ** 2
                weight = heads[f"lin{TAPPED.index(number)}.model.1.weight"]
                total += (weight[0] * difference).sum(1).mean((1, 2))
    return total


@pytest.mark.parametrize("side", [32, 64, 75])
def test_squared_distances_are_lpips(folder, side):
    network = build.perceptual(str(folder))
    picture = images(side=side)
    vectors = network.features(picture)
    squared = (vectors - vectors.roll(1, 0)).square().sum(1)
    torch.testing.assert_close(squared, by_pairs(folder, picture, picture.roll(1, 0)), rtol=1e-4, atol=1e-6)


def test_equals_the_authors_package(folder, monkeypatch):
    """Their package wants torchvision for the trunk alone: ours, which is the same network, takes its place."""
    if importlib.util.find_spec("lpips") is None:
        pytest.skip("lpips is not installed: it was held against the paper alone")
    ours = build.perceptual(str(folder))
    models = types.ModuleType("torchvision.models")
    models.alexnet = lambda **_: types.SimpleNamespace(features=ours.layers)  # type: ignore[attr-defined]
    package = types.ModuleType("torchvision")
    package.models = models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    theirs = importlib.import_module("lpips").LPIPS(
        net="alex", pnet_rand=True, model_path=str(folder / "alex.pth"), verbose=False
    )
    picture = images()
    vectors = ours.features(picture)
    expected = theirs(picture, picture.roll(1, 0)).flatten()
    torch.testing.assert_close((vectors - vectors.roll(1, 0)).square().sum(1), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.real_data
def test_the_published_heads_are_read(folder, real_data):
    file = real_data / HEADS
    if not file.is_file():
        pytest.skip(f"the heads of LPIPS are not at {file}")
    network = LpipsEmbedding(folder / "alexnet-owt-7be5be79.pth", file)
    assert [len(head) for head in network.heads] == list(CHANNELS)
    vectors = network.features(images())
    assert (vectors[0] - vectors[1]).square().sum() > 0


def test_bad_files(folder, tmp_path):
    with pytest.raises(InputError, match=r"there is no alexnet-owt-7be5be79.pth and no alex.pth in it"):
        build.perceptual(str(tmp_path))
    trunk = folder / "alexnet-owt-7be5be79.pth"
    torch.save({"lin0.model.1.weight": torch.zeros(1, 3, 1, 1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"give alex\.pth of LPIPS v0\.1"):
        LpipsEmbedding(trunk, tmp_path / "other.pth")
    heads = {f"lin{n}.model.1.weight": -torch.ones(1, channels, 1, 1) for n, channels in enumerate(CHANNELS)}
    torch.save(heads, tmp_path / "negative.pth")
    with pytest.raises(InputError, match="negative weights"):
        LpipsEmbedding(trunk, tmp_path / "negative.pth")
    with pytest.raises(InputError, match="at least 31 pixels"):
        build.perceptual(str(folder)).features(torch.zeros(1, 3, 24, 24))
