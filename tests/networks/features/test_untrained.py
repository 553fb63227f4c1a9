"""A network that has learned nothing is the same for everybody, and tells another hospital from other patients."""

import numpy as np
import pytest
import torch

from meddiff.errors import InputError
from meddiff.evaluation import ImageFeatures, distances
from meddiff.formats import load_image
from meddiff.networks.features.untrained import UntrainedVGG
from meddiff.sources.isic import ISIC

KNOWN = [0.02254, 0.49615, 0.25654, -0.34021]


@pytest.fixture(scope="module")
def network():
    return UntrainedVGG()


def test_it_is_the_same_whatever_was_drawn_before(network):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    again = UntrainedVGG()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), again.parameters(), strict=True))


def test_its_features_of_a_known_image_stay_as_they_are(network):
    ramp = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
    assert network.features(ramp)[0, :4].tolist() == pytest.approx(KNOWN, rel=1e-3)


def test_its_weights_are_orthogonal(network):
    for weight in network.parameters():
        rows = weight.detach().flatten(1).double()
        small = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
        torch.testing.assert_close(small / small[0, 0], torch.eye(len(small)).double(), atol=1e-5, rtol=0)


def test_a_mirror_image_is_nearer_than_another_image(network):
    images = torch.rand(20, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = torch.nn.functional.interpolate(images, (64, 64), mode="bicubic").clamp(-1, 1)
    own, mirrored = network.features(images), network.features(images.flip(-1))
    distances_of_all = torch.cdist(own, own).fill_diagonal_(torch.inf)
    assert ((own - mirrored).norm(dim=1) < distances_of_all.min(1).values).float().mean() > 0.9


def test_one_image_alone_and_in_a_batch_gray_and_colored(network):
    images = torch.rand(3, 3, 80, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    together = network.features(images)
    assert together.shape == (3, 64)
    torch.testing.assert_close(network.features(images[1:2]), together[1:2], rtol=1e-4, atol=1e-4)
    gray = images[:, :1]
    torch.testing.assert_close(network.features(gray), network.features(gray.repeat(1, 3, 1, 1)))
    assert not torch.allclose(network.features(images.flip(1)), together), "colors are heard"
    with pytest.raises(InputError, match="1 or 3 channels"):
        network.features(torch.zeros(1, 2, 8, 8))


@pytest.mark.real_data
@pytest.mark.slow
def test_other_lesions_are_nearer_than_another_hospital(network, real_data):
    """HAM10000 against other lesions of HAM10000, and against PH2: the second distance must stand out."""

    def features(folder, start, step):
        rows = sorted(ISIC.rows(real_data / folder), key=lambda row: row.group)[start::step]
        pictures = [torch.tensor(load_image(row.image_file)).permute(2, 0, 1)[None] / 127.5 - 1 for row in rows]
        values = torch.cat([network.features(picture) for picture in pictures]).numpy()
        return ImageFeatures(values, np.array([row.group for row in rows]))

    ham, held_out, ph2 = features("HAM10000", 0, 80), features("HAM10000", 40, 80), features("PH2", 0, 1)
    held_out = held_out.chosen(~np.isin(held_out.group_of_each, ham.group_of_each))
    table = distances(ham, ph2, held_out)
    kernel = table[table.metric == "kernel_distance"].set_index("comparison")
    shift, baseline = kernel.loc["real against synthetic"], kernel.loc["real against held-out real"]
    assert shift.low > max(baseline.high, 0)
