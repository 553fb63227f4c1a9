import pytest
import torch
from safetensors.torch import save_file

from meddiff.errors import InputError
from meddiff.networks.classifier import CLASSIFIERS, SMALLEST_IMAGE, build_classifier
from meddiff.networks.initialization import seeded


def build(name="resnet18", **settings):
    settings = {"in_channels": 3, "num_classes": 4, "image_size": 32} | settings
    if name == "resnet18":
        settings.setdefault("width", 0.125)
    with seeded(settings.pop("seed", 0)):
        return build_classifier(name, **settings)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_are_the_head_of_the_features(name):
    network = build(name, in_channels=1).eval()
    image = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        features = network.features(image)
        assert features.ndim == 2
        assert len(features) == 3
        assert features.std(0).mean() > 0, "all images look alike"
        logits = network(image)
    assert logits.shape == (3, 4)
    torch.testing.assert_close(logits, network.head(features))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_stem_keeps_small_images_large(name):
    seen = []

    def first_stage_side(image_size):
        network = build(name, image_size=image_size)
        stage = {
            "resnet18": lambda body: body.layer1,
            "densenet121": lambda body: body.features.denseblock1,
            "efficientnet_b0": lambda body: body._blocks[0],
        }[name](network.body)
        stage.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-1]))
        with torch.no_grad():
            network.eval()(torch.randn(1, 3, image_size, image_size))
        return seen[-1]

    assert first_stage_side(32) == 32
    assert first_stage_side(64) == 32
    assert first_stage_side(128) == (64 if name == "efficientnet_b0" else 32)


def test_pretrained_weights_are_taken_but_for_a_head_of_another_shape(tmp_path):
    trained = build(num_classes=9, seed=1)
    plain = {key.removeprefix("body."): value for key, value in trained.state_dict().items() if "head" not in key}
    plain |= {"fc.weight": trained.head.weight.detach(), "fc.bias": trained.head.bias.detach()}
    save_file(plain, tmp_path / "monai.safetensors")
    save_file(trained.state_dict(), tmp_path / "ours.safetensors")
    for file in ("monai.safetensors", "ours.safetensors"):
        loaded = build(weights=tmp_path / file, num_classes=9, image_size=128)  # the file's 3 x 3 stem stays
        assert loaded.state_dict().keys() == trained.state_dict().keys()
        assert all(torch.equal(loaded.state_dict()[key], value) for key, value in trained.state_dict().items())
        other = build(weights=tmp_path / file, num_classes=4)
        assert other.head.weight.shape[0] == 4
        assert torch.equal(other.body.layer4[1].conv2.weight, trained.body.layer4[1].conv2.weight)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="no weights file"):
        build(weights=tmp_path / "absent.safetensors")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04K\x01." * 10)
    with pytest.raises(InputError, match="pickles are not read"):
        build(weights=tmp_path / "pickle.safetensors")
    tensors = build(image_size=128).state_dict()
    del tensors["body.bn1.weight"]
    save_file(tensors | {"body.extra": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(InputError, match=r"bn1.weight is missing; extra is not part of the network"):
        build(weights=tmp_path / "odd.safetensors")
    with pytest.raises(InputError, match=r"conv1.weight is \[8, 3, 7, 7\], the network needs \[16, 3, 7, 7\]"):
        build(weights=tmp_path / "odd.safetensors", width=0.25)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_images_too_small_for_the_last_stage_are_refused(name):
    smallest = SMALLEST_IMAGE[name]
    with torch.no_grad():
        assert build(name, image_size=smallest).eval()(torch.randn(1, 3, smallest, smallest)).isfinite().all()
    with pytest.raises(InputError, match=f"at least {smallest} pixels, got data.image_size={smallest - 1}"):
        build(name, image_size=smallest - 1)


def test_unknown_names_and_widths_are_refused():
    with pytest.raises(InputError, match="use one of densenet121, efficientnet_b0, resnet18"):
        build("vgg")
    with pytest.raises(InputError, match="only for resnet18"):
        build("densenet121", width=0.5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_of_volumes_sees_all_three_axes(name):
    network = build(name, in_channels=2, image_size=16, spatial_dims=3).eval()
    volume = torch.randn(1, 2, 16, 20, 18)
    with torch.no_grad():
        logits = network(volume)
        features = network.features(volume)
        torch.testing.assert_close(logits, network.head(features))
        assert logits.shape == (1, 4)
        for axis in (2, 3, 4):
            assert not torch.equal(features, network.features(volume.roll(7, axis)))
