"""Extractors from files as they are published: the layers' shapes, the loading path, and torch-fidelity as the truth.

The published weights are not here: files of the same tensors with random values are made by the tests.
"""

import importlib
import importlib.util
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from meddiff import build
from meddiff.errors import InputError
from meddiff.networks.features.dinov2 import DinoFeatures, Transformer
from meddiff.networks.features.inception import InceptionFeatures, _body, resized
from meddiff.networks.features.radimagenet import RadImageNetFeatures

PUBLISHED = "MEDDIFF_INCEPTION_WEIGHTS"


def random_state(network):
    """Values that keep the activations of a deep network at their size."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue  # converted files lack them
        values = torch.rand(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            values = (values - 0.5) * (12 * 2 / tensor[0].numel()) ** 0.5
        state[name] = values if tensor.ndim > 1 or "var" in name or name.endswith("weight") else values - 0.5
    return state


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "pt_inception.pth"
    with torch.device("meta"):
        body = _body()
    state = random_state(body.to_empty(device="cpu"))
    torch.save(state | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path)
    return path


@pytest.fixture(scope="module")
def inception(inception_file):
    return InceptionFeatures(inception_file)


def test_inception_has_the_published_sizes(inception):
    shapes = {}
    for name, layer in inception.body.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
    found = inception.features(torch.zeros(1, 1, 40, 50))
    assert found.shape == (1, 2048)
    expected = {
        "Conv2d_1a_3x3": (32, 149, 149),
        "Conv2d_2b_3x3": (64, 147, 147),
        "Conv2d_4a_3x3": (192, 71, 71),
        "Mixed_5b": (256, 35, 35),
        "Mixed_5d": (288, 35, 35),
        "Mixed_6a": (768, 17, 17),
        "Mixed_6e": (768, 17, 17),
        "Mixed_7a": (1280, 8, 8),
        "Mixed_7c": (2048, 8, 8),
    }  # fmt: skip  (Szegedy et al. 2016, table 1)
    assert {name: shapes[name] for name in expected} == expected
    assert sum(tensor.numel() for tensor in inception.parameters()) == 21_785_568


def test_the_resize_is_tensorflow_1s_by_pencil():
    row = torch.tensor([0.0, 10.0, 20.0, 40.0]).view(1, 1, 1, 4)
    # 4 -> 8: output i is read at i / 2, and the last one repeats the edge
    assert resized(row, 8)[0, 0, 0].tolist() == [0, 5, 10, 15, 20, 30, 40, 40]
    # 4 -> 2: every second pixel as it is, nothing averaged
    assert resized(row, 2)[0, 0, 0].tolist() == [0, 20]


def fidelity():
    """torch-fidelity's Inception, whose package as a whole wants torchvision, which this module of it does not."""
    found = importlib.util.find_spec("torch_fidelity")
    if found is None or not found.submodule_search_locations:
        pytest.skip("torch-fidelity is not installed: Inception was not held against it")
    package = types.ModuleType("torch_fidelity")
    package.__spec__ = found
    package.__path__ = list(found.submodule_search_locations)
    sys.modules.setdefault("torch_fidelity", package)
    return importlib.import_module("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3


@pytest.mark.parametrize("published", [False, True], ids=["random weights", "published weights"])
def test_inception_equals_torch_fidelitys(inception_file, published):
    path = Path(os.environ.get(PUBLISHED, "")) if published else inception_file
    if not path.is_file():
        pytest.skip(f"the published weights are not at ${PUBLISHED}: only random ones were compared")
    made = fidelity()
    theirs = made("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    pixels = torch.randint(0, 256, (2, 3, 64, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    ours = InceptionFeatures(path).features(pixels / 127.5 - 1)
    expected = theirs(pixels)[0]
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


def test_dinov2_reads_its_size_off_the_file_and_keeps_the_order_of_patches(tmp_path):
    network = Transformer(128, 2, 1 + 16 * 16)
    state = random_state(network)
    torch.save(state, tmp_path / "dino.pth")
    made = DinoFeatures(tmp_path / "dino.pth")
    image = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = made.features(image)
    assert found.shape == (2, 128)
    torch.testing.assert_close(found.mean(1), state["norm.bias"].mean().expand(2), atol=0.3, rtol=0)
    assert not torch.allclose(made.features(image.flip(3)), found, atol=1e-3), "positions are heard"
    coarse = dict(state, pos_embed=state["pos_embed"][:, : 1 + 9 * 9])
    torch.save(coarse, tmp_path / "coarse.pth")
    assert DinoFeatures(tmp_path / "coarse.pth").features(image).shape == (2, 128), "positions are interpolated"


def test_radimagenet_reads_both_ways_of_naming(tmp_path):
    from monai.networks.nets import resnet50

    plain = random_state(resnet50(spatial_dims=2, n_input_channels=3, feed_forward=False, bias_downsample=False))
    numbers = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    renamed = {}
    for name, tensor in plain.items():
        first, _, rest = name.partition(".")
        renamed[f"backbone.{numbers[first]}.{rest}"] = tensor
    save_file(plain, tmp_path / "plain.safetensors")
    torch.save({"state_dict": renamed}, tmp_path / "numbered.pt")
    image = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
    first = RadImageNetFeatures(tmp_path / "plain.safetensors").features(image)
    assert first.shape == (1, 2048)
    torch.testing.assert_close(RadImageNetFeatures(tmp_path / "numbered.pt").features(image), first)
    swapped = RadImageNetFeatures(tmp_path / "plain.safetensors").features(image.flip(1))
    assert not torch.allclose(swapped, first), "colors are heard"


def test_files_that_are_something_else(tmp_path, inception_file):
    with pytest.raises(InputError, match=r"no weights of Inception v3 at .*--weights"):
        InceptionFeatures(tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(InputError, match="no file of tensors"):
        InceptionFeatures(tmp_path / "text.pth")
    torch.save({"code": os.system}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="no file of tensors"):
        InceptionFeatures(tmp_path / "evil.pth")
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"do not fit: Conv2d_1a_3x3.conv.weight is missing"):
        InceptionFeatures(tmp_path / "other.pth")
    with pytest.raises(InputError, match="pos_embed"):
        DinoFeatures(tmp_path / "other.pth")
    with pytest.raises(InputError, match="1 or 3 channels"):
        InceptionFeatures(inception_file).features(torch.zeros(1, 2, 8, 8))
    with pytest.raises(InputError, match=r"unknown --features 'inceptoin'.*did you mean 'inception'"):
        build.named_extractor("inceptoin", "")
    with pytest.raises(InputError, match="radimagenet needs its weights from a local file"):
        build.named_extractor("radimagenet", "")
    assert np.isfinite(build.named_extractor("inception", inception_file)[0].features(torch.ones(1, 3, 9, 9))).all()
