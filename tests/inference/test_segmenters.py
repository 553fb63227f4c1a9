"""Members are functions of image and seed, whatever the batch; the image is read once; windows leave no seams."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser, bind
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.prediction import ClassLogits
from meddiff.diffusion.schedule import cosine
from meddiff.errors import InputError
from meddiff.inference.sampling import Sampling
from meddiff.inference.segmenters import DiffusionSegmenter, DirectSegmenter, Segmenter, SliceSegmenter, Windows
from meddiff.networks.initialization import seeded
from meddiff.networks.segmenter import build_segmenter
from meddiff.networks.twin_unet import TwinUNet
from meddiff.networks.unet import ConditionalUNet
from meddiff.samplers.ddim import ddim
from meddiff.tasks.segment import SegmentTask
from tests.contracts import wake

CPU = torch.device("cpu")


def segmenter(*, size=(16, 16), num_classes=2, network=None, **settings):
    if network is None:
        with seeded(0):
            settings_of_network = {"channels": (8, 16), "spatial_dims": len(size), "starts_coarse": True}
            told = {"condition_channels": 1, "mask_classes": num_classes}
            network = TwinUNet(num_classes, num_classes, **told, **settings_of_network)
        wake(network)
    denoiser = Denoiser(network.eval(), cosine(50), ClassLogits(0.5))
    task = SegmentTask(num_classes, scale=0.5)
    return DiffusionSegmenter(denoiser, task, Sampling(ddim, 3), Windows(size), CPU, **settings)


def picture(*size, seed=0):
    return torch.randn(1, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "window"), [((16, 16), (16, 16)), ((9, 5, 7), (16, 16, 16)), ((24, 17), (16, 16))])
@pytest.mark.parametrize("num_classes", [2, 4])
def test_members_are_probabilities_on_the_images_own_grid(size, window, num_classes):
    members = segmenter(size=window, num_classes=num_classes).members(picture(*size), [1, 2, 3])
    assert members.shape == (3, num_classes, *size)
    assert members.min() >= 0
    torch.testing.assert_close(members.sum(1), torch.ones(3, *size))
    assert (members[0] != members[1]).any()


def test_a_member_does_not_depend_on_its_batch():
    image, seeds = picture(16, 16), [5, 6, 7, 8, 9]
    together = segmenter(batch_size=64).members(image, seeds)
    torch.testing.assert_close(segmenter(batch_size=2).members(image, seeds), together)
    torch.testing.assert_close(segmenter().members(image, [7]), together[2:3])
    assert torch.equal(segmenter().members(image, seeds), together)


@pytest.mark.parametrize(("size", "most"), [((16, 16), 8), ((24, 17), 8), ((96, 96), 4), ((224, 224), 1)])
@pytest.mark.parametrize("count", [1, 5])
def test_an_image_has_the_same_bits_alone_and_among_others(size, most, count):
    """Whatever the number of images, each call has as many: of (24, 17) there are windows, too."""
    images = torch.stack([picture(*size, seed=number) for number in range(count)])
    seeds = [[10 * number, 10 * number + 1] for number in range(count)]
    window = (16, 16) if size == (24, 17) else size
    drawing = segmenter(size=window)
    naming = DirectSegmenter(Naming(), Windows(window), CPU)
    assert (drawing.at_once(size, 2), drawing.at_once(size, 64)) == (most, 1)
    for one in (drawing, naming):
        together = one.members_of(images, seeds)
        for number in range(count):
            assert torch.equal(together[number], one.members(images[number], seeds[number]))


class Naming(torch.nn.Module):
    """Two classes by a convolution."""

    def __init__(self):
        super().__init__()
        with seeded(1):
            self.layer = torch.nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, image):
        return self.layer(image)


def test_images_that_share_a_call_are_gathered_as_they_come():
    shapes = [(1, 16, 16)] * 9 + [(1, 16, 8)] + [(1, 16, 16)] * 2 + [(1, 300, 300)] * 2
    gathered = segmenter().batches(iter(shapes), lambda shape: shape, 2)
    assert [len(some) for some in gathered] == [8, 1, 1, 2, 1, 1]


def test_the_image_is_read_once_for_all_members_and_steps(monkeypatch):
    reads = []
    plain = TwinUNet.encode
    monkeypatch.setattr(
        TwinUNet, "encode", lambda self, told: (reads.append(told.features is None), plain(self, told))[1]
    )
    segmenter(batch_size=2).members(picture(16, 16), [1, 2, 3, 4])
    assert sum(reads) == 1


def test_one_noise_field_for_all_windows():
    """Windows of a network that hears no image and no border agree: the blend equals the whole to rounding."""

    class Local(torch.nn.Module):
        """Each pixel for itself."""

        def forward(self, x_t, t, condition):
            return 3 * x_t + condition.image

    whole = segmenter(size=(24, 20), network=Local()).members(picture(24, 20), [3, 4])
    cut = segmenter(size=(8, 8), network=Local()).members(picture(24, 20), [3, 4])
    torch.testing.assert_close(cut, whole)


def test_starting_from_the_coarse_mask_stays_near_it():
    image = picture(16, 16)
    coarse = segmenter().denoiser.encode(Condition(image=image[None])).features["coarse"].argmax(1)
    far, near = (segmenter(start=start, estimate="last").members(image, range(20)).argmax(1) for start in (1.0, 0.1))
    agree = [(members == coarse).float().mean() for members in (far, near)]
    assert agree[1] > agree[0]
    with seeded(0):
        plain = ConditionalUNet(2, 2, channels=(32, 32), condition_channels=1)
    pair, own = torch.stack([image, picture(16, 16, seed=9)]), [[1, 2], [3, 4]]
    both = segmenter(start=0.1).members_of(pair, own)
    for answer, one, seeds in zip(both, pair, own, strict=True):
        assert torch.equal(answer, segmenter(start=0.1).members(one, seeds))
    with pytest.raises(InputError, match="no coarse mask to start from"):
        segmenter(network=plain, start=0.5).members(image, [1])


def test_a_members_probabilities_are_the_mean_along_its_path_or_those_at_its_end():
    image, seeds = picture(16, 16), [1, 2, 3]
    plain = segmenter()
    told = plain.denoiser.encode(Condition(image=image[None])).repeated(3)
    noise = PerSampleNoise(seeds, (2, 16, 16))
    schedule = plain.denoiser.schedule
    with torch.inference_mode():
        steps = ddim(bind(plain.denoiser, told), schedule, schedule.start(noise(0)), schedule.timesteps(3), noise)
        each = [plain.task.decode(step.x_0) for step in steps]
    torch.testing.assert_close(segmenter(estimate="path").members(image, seeds), sum(each) / 3)
    torch.testing.assert_close(segmenter(estimate="last").members(image, seeds), each[-1])


def test_a_deterministic_network_has_one_answer():
    with seeded(0):
        network = build_segmenter("unet", in_channels=1, num_classes=3, channels=(8, 16)).eval()
    direct = DirectSegmenter(network, Windows((16, 16)), CPU)
    image = picture(16, 16)
    answer = direct.members(image, [1, 2, 3])
    assert answer.shape == (1, 3, 16, 16)
    torch.testing.assert_close(answer[0], network(image[None])[0].softmax(0))
    large = direct.members(picture(40, 23))
    assert large.shape == (1, 3, 40, 23)
    torch.testing.assert_close(large.sum(1), torch.ones(1, 40, 23))


def test_odd_images_are_segmented_all_the_same():
    for image in (torch.full((1, 16, 16), -1.0), picture(1, 40), picture(3, 2), picture(1, 1)):
        members = replace(segmenter(), windows=Windows((16, 16))).members(image, [1, 2])
        assert members.shape == (2, 2, *image.shape[1:])
        assert np.isfinite(members.numpy()).all()


@dataclass(frozen=True)
class MiddleSlice(Segmenter):
    """The probability of class 1 is the middle channel's first sequence: what a slice holds itself, as it is."""

    device: torch.device = CPU

    def at_once(self, size, members):
        return 3

    def members_of(self, images, seeds):
        share = images[:, images.shape[1] // 2]
        return torch.stack([1 - share, share], dim=1)[:, None].expand(-1, len(seeds[0]), -1, -1, -1)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("neighbors", [0, 2])
def test_slices_are_put_back_where_they_were(axis, neighbors):
    volume = torch.rand((1, 4, 5, 6), generator=torch.Generator().manual_seed(0))
    members = SliceSegmenter(MiddleSlice(), axis, neighbors).members(volume, [1, 2, 3])
    assert members.shape == (3, 2, 4, 5, 6)
    for member in members:
        torch.testing.assert_close(member[1], volume[0])


def test_a_member_has_the_same_noise_in_every_slice():
    alike = picture(16, 16)[:, :, :, None].expand(-1, -1, -1, 3)
    first, second, third = SliceSegmenter(segmenter(), 2).members(alike, [7, 8]).unbind(-1)
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first, third)
    torch.testing.assert_close(first, segmenter().members(picture(16, 16), [7, 8]))
