"""Networks of volumes: sizes read off the file, the published dilation, slices that lie as they are looked at."""

import os

import pytest
import torch
from monai.networks.nets import resnet10, resnet18, resnet50
from torch import nn

from meddiff import build
from meddiff.errors import InputError
from meddiff.files.content import sha256_of
from meddiff.networks.features.encoder3d import Encoder3D
from meddiff.networks.features.medicalnet import MedicalNetFeatures
from meddiff.networks.features.network import SLICES, FeatureNetwork, PlaneFeatures


class Means(FeatureNetwork):
    """Mean of the picture's left half, right half, top half."""

    preprocessing = "none"

    def _of_rgb(self, image):
        height, width = image.shape[2:]
        halves = (image[..., : width // 2], image[..., width // 2 :], image[:, :, : height // 2])
        return torch.stack([half.mean((1, 2, 3)) for half in halves], 1)


def test_each_plane_is_upright_and_has_its_own_features():
    volume = torch.zeros(2, 1, 16, 20, 24)  # right, front, head
    volume[0, :, 8:] = 1.0  # the patient's right half
    volume[1, :, :, :, 12:] = 1.0  # the upper half
    found = PlaneFeatures(Means()).features(volume).view(2, 3, 3)  # plane; left, right, top
    sagittal, coronal, axial = found[0]
    assert sagittal.tolist() == [0.5, 0.5, 0.5]  # half of the slices are full
    assert coronal.tolist() == axial.tolist() == [1.0, 0.0, 0.5]  # the patient's right is on the left
    assert found[1, 0].tolist() == found[1, 1].tolist() == [0.5, 0.5, 1.0]
    assert found[1, 2].tolist() == [0.5, 0.5, 0.5]


def test_slices_come_from_the_middle_of_equal_slabs():
    volume = torch.arange(64.0).view(1, 1, 64, 1, 1).expand(1, 1, 64, 8, 8)
    first = PlaneFeatures(Means()).features(volume)[0, 0]
    assert first == (2 + 4 * torch.arange(float(SLICES))).mean()


def published(network):
    """Its tensors, with the norms awake, under the names of the published file."""
    generator = torch.Generator().manual_seed(0)
    state = {
        name: torch.rand(tensor.shape, generator=generator) + 0.5 if "bn" in name and tensor.ndim else tensor
        for name, tensor in network.state_dict().items()
    }
    return {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}


@pytest.mark.parametrize(
    ("make", "shortcut", "width"), [(resnet10, "B", 512), (resnet18, "A", 512), (resnet50, "B", 2048)]
)
def test_medicalnet_reads_its_size_off_the_file(tmp_path, make, shortcut, width):
    network = make(spatial_dims=3, n_input_channels=1, feed_forward=False, shortcut_type=shortcut,
                   bias_downsample=False)  # fmt: skip
    torch.save(published(network), tmp_path / "medicalnet.pth")
    made, digest = build.volume_extractor("medicalnet", tmp_path / "medicalnet.pth")
    assert digest == sha256_of(tmp_path / "medicalnet.pth")
    volume = torch.rand(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = made.features(volume)
    assert found.shape == (1, width)
    assert made.features(volume.flip(2)).sub(found).abs().max() > 1e-4 * found.abs().max()
    torch.testing.assert_close(made.features(volume * 0.5), found, rtol=1e-3, atol=1e-4)  # z-score: no unit


def test_medicalnet_keeps_the_size_in_its_last_stages(tmp_path):
    network = resnet10(spatial_dims=3, n_input_channels=1, feed_forward=False, shortcut_type="B", bias_downsample=False)
    torch.save(published(network), tmp_path / "medicalnet.pth")
    body = MedicalNetFeatures(tmp_path / "medicalnet.pth").body
    sizes = {}
    for name in ("layer2", "layer3", "layer4"):
        body.get_submodule(name).register_forward_hook(
            lambda module, given, value, name=name: sizes.__setitem__(name, tuple(value.shape[2:]))
        )
    body(torch.zeros(1, 1, 64, 64, 64))
    assert sizes == dict.fromkeys(sizes, (8, 8, 8)), "an eighth, as published"
    dilations = {layer.dilation[0] for layer in body.layer4.modules() if isinstance(layer, nn.Conv3d)}
    assert dilations == {1, 4}  # its shortcut has windows of 1


def test_an_encoder_of_ones_own(tmp_path):
    network = nn.Sequential(nn.Conv3d(1, 5, 3), nn.ReLU()).eval()
    example = torch.rand(2, 1, 12, 12, 12)
    torch.jit.trace(network, example).save(tmp_path / "encoder.ts")
    made, _ = build.volume_extractor("encoder3d", tmp_path / "encoder.ts", trust_code=True)
    with torch.no_grad():
        torch.testing.assert_close(made.features(example), network(example).mean((2, 3, 4)))
    with pytest.raises(InputError, match="does not take volumes"):
        made.features(torch.rand(1, 1, 2, 2, 2))


def test_what_is_no_encoder_is_not_opened(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "pickled.pt")
    with pytest.raises(InputError, match=r"pickled.pt holds no TorchScript: pickled networks .* are not run"):
        Encoder3D(tmp_path / "pickled.pt")
    (tmp_path / "text.ts").write_text("hello")
    with pytest.raises(InputError, match="holds no TorchScript"):
        Encoder3D(tmp_path / "text.ts")
    with pytest.raises(InputError, match=r"no encoder at .*trace"):
        Encoder3D(tmp_path / "absent.ts")
    torch.save({"code": os.system}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="no file of tensors"):
        MedicalNetFeatures(tmp_path / "evil.pth")
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="stages of 0, 0, 0, 0 blocks"):
        MedicalNetFeatures(tmp_path / "other.pth")
    with pytest.raises(InputError, match="takes volumes"):
        build.named_extractor("medicalnet", "")
