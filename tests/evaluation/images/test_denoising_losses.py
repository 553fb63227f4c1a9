"""A denoiser overfitted on 20 phantoms gives its members away; a fresh one does not."""

import numpy as np
import pytest
import torch

from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.loss import diffusion_loss
from meddiff.diffusion.prediction import V
from meddiff.diffusion.schedule import cosine
from meddiff.errors import InputError
from meddiff.evaluation.images.membership import denoising_losses
from meddiff.metrics.images.loss_threshold import loss_threshold_attack
from meddiff.networks.initialization import seeded
from meddiff.networks.unet import ConditionalUNet
from meddiff.sources import phantom

SIDE, T = 8, 100


def fresh():
    with seeded(0):
        network = ConditionalUNet(
            3, 3, channels=(32, 64), residual_blocks=1, attention_levels=1, head_channels=16, num_classes=0
        )
    return Denoiser(network, cosine(T), V)


@pytest.fixture(scope="module")
def images():
    """20 members and 40 others, chosen by chance from one distribution."""
    rows = [row for seed in (0, 1, 2) for row in phantom.rows("dermoscopy", seed=seed, count=20)]
    pixels = np.stack([phantom.draw(row, SIDE)[0] for row in rows]).transpose(0, 3, 1, 2)
    shuffled = pixels[np.random.default_rng(0).permutation(len(pixels))]
    return torch.from_numpy(shuffled / np.float32(127.5) - 1)


def test_an_overfitted_denoiser_is_flagged_and_a_fresh_one_is_not(images):
    members, others = images[:20], images[20:]
    denoiser = fresh()

    def attack():
        return loss_threshold_attack(denoising_losses(denoiser, members), denoising_losses(denoiser, others),
                                     false_positive_rate=0.05, resamples=300)  # fmt: skip

    before = attack()
    assert before.low < 0.5 < before.high
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(denoiser.parameters(), 4e-3)
    for _ in range(400):
        t = torch.randint(1, 50, (20,), generator=generator)
        loss = diffusion_loss(denoiser, members, Condition(), t, torch.randn(members.shape, generator=generator))
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    after = attack()
    assert after.low > 0.7
    assert after.true_positive_rate > 0.3 > after.false_positive_rate


def test_a_loss_does_not_depend_on_the_others(images):
    denoiser = fresh()
    together = denoising_losses(denoiser, images[:5], batch_size=2)
    np.testing.assert_allclose(denoising_losses(denoiser, images[3:4]), together[3:4], rtol=1e-5)
    assert together.shape == (5,)
    assert not np.array_equal(together, denoising_losses(denoiser, images[:5], seed=1))


def test_bad_times(images):
    with pytest.raises(InputError, match="from 1 to 100"):
        denoising_losses(fresh(), images[:1], times=[0])
