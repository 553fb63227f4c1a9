"""What an image is told can be read off its pixels; what it is not told follows the data.

The same at full size: ``benchmarks/told_attributes.py``.
"""

import pytest
import torch
from told_attributes import SIDE, drawn, read_off, told_and_measured, trained

import meddiff
from meddiff.errors import InputError


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("discs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return drawn(folder)


@pytest.fixture(scope="module")
def generator(images):
    """A generator of discs, trained for half a minute."""
    return trained(images, 300)


@pytest.mark.slow
def test_what_is_told_can_be_read_off_the_picture(generator):
    radius, light, site = told_and_measured(generator)
    assert radius > 0.8
    assert light > 0.8
    assert site > 0.95


@pytest.mark.slow
def test_what_is_untold_follows_the_data(images, generator):
    radius, light, right = read_off(meddiff.generate(generator, ["disc"] * 128, range(128), told={"radius": 4.0}))
    data = read_off(images.batch(list(range(len(images)))).image)
    assert abs(radius.mean() - 4) < 0.4
    assert radius.std() < data[0].std() / 2, "what is told is held"
    assert 0.2 < right.mean() < 0.8, "half of the data lie on the right"
    assert abs(light.mean() - data[1].mean()) < 0.15
    nothing = read_off(meddiff.generate(generator, [None] * 128, range(128)))
    assert abs(nothing[0].mean() - data[0].mean()) < 0.3
    assert nothing[0].std() > data[0].std() / 2, "untold, the radius varies"
    assert 0.2 < nothing[2].mean() < 0.8


def test_one_image_is_a_function_of_what_it_is_told(images):
    model = meddiff.denoiser(like=images, channels=(32, 32))
    for parameter in model.denoiser.network.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(1))
    one = model("disc", seed=3, radius=2.0, site="left")
    assert one.shape == (1, SIDE, SIDE)
    assert torch.equal(one, model("disc", seed=3, radius=2.0, site="left"))
    for other in ({"radius": 4.0, "site": "left"}, {"radius": 2.0, "site": "right"}, {"radius": 2.0}, {}):
        assert not torch.equal(one, model("disc", seed=3, **other))
    with pytest.raises(InputError, match="knows no hair: it knows radius, light, site"):
        model("disc", hair="red")
    with pytest.raises(InputError, match="use left, right"):
        model("disc", site="middle")
    with pytest.raises(InputError, match="2 labels and attributes of 1 images"):
        model.condition(["disc"] * 2, [{}])


def test_batches_know_what_their_images_are_described_by(images):
    batch = images.batch([4, 2])
    assert batch.attributes.shape == (2, 3, images.described.attributes.length)
    assert torch.equal(batch.attributes[1], images.batch([2]).attributes[0])
    assert batch.to("cpu").attributes is not None
