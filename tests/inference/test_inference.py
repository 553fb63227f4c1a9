"""A synthetic image is a function of its seed and label: alone, in any batch, at any place in it."""

import pytest
import torch

from meddiff.diffusion import prediction, schedule
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.inference.sampling import Sampling, generate
from meddiff.networks.unet import ConditionalUNet
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.tasks.generate import GenerateTask

CPU = torch.device("cpu")
SAMPLINGS = {
    "deterministic, guided": Sampling(dpm_solver, 3, guidance=2.0),
    "noise at every step": Sampling(ddpm, 3),
}


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    """A network with random weights, its zero output layer too."""
    torch.manual_seed(0)
    network = ConditionalUNet(3, 3, channels=(32, 32), residual_blocks=1, num_classes=3)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    return Denoiser(network, schedule.cosine(1000), prediction.V).eval()


def draw(denoiser, sampling, labels, seeds, batch_size=4):
    batches = generate(
        denoiser,
        GenerateTask(3),
        sampling,
        told=Condition(label=torch.tensor(labels)),
        seeds=seeds,
        shape=(3, 8, 8),
        batch_size=batch_size,
        device=CPU,
    )
    return torch.cat(list(batches))


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_the_same_seed_gives_the_same_image_alone_and_in_any_batch(denoiser, sampling):
    labels, seeds = [0, 1, 2, 0, 1, 2], [10, 11, 12, 13, 14, 15]
    together = draw(denoiser, sampling, labels, seeds)
    assert together.shape == (6, 3, 8, 8)
    backwards = draw(denoiser, sampling, labels[::-1], seeds[::-1]).flip(0)
    assert torch.equal(together, backwards)
    for position in (0, 3, 5):
        alone = draw(denoiser, sampling, [labels[position]], [seeds[position]])
        assert torch.equal(alone[0], together[position])


def test_another_seed_and_another_label_give_another_image(denoiser):
    sampling = SAMPLINGS["deterministic, guided"]
    first, other_seed, other_label = draw(denoiser, sampling, [0, 0, 1], [1, 2, 1])
    assert not torch.allclose(first, other_seed, atol=0.1)
    assert not torch.equal(first, other_label)


def test_the_batch_size_changes_rounding_only(denoiser):
    sampling = SAMPLINGS["deterministic, guided"]
    fours, threes = (draw(denoiser, sampling, [0, 1, 2, 0], [1, 2, 3, 4], batch_size=size) for size in (4, 3))
    torch.testing.assert_close(fours, threes, atol=1e-4, rtol=0)


def test_labels_and_seeds_go_together(denoiser):
    with pytest.raises(ValueError, match="2 labels and 1 seeds"):
        draw(denoiser, SAMPLINGS["noise at every step"], [0, 1], [1])


def test_what_is_saved_is_in_the_data_range(denoiser):
    images = draw(denoiser, SAMPLINGS["noise at every step"], [0, 1], [1, 2])
    assert images.abs().max() <= 1
