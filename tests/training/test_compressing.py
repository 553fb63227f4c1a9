"""The loss of an autoencoder, against numbers from pencil and paper; and its start of a second part, remembered."""

import math

import pytest
import torch
from torch import nn

from meddiff.batches.batch import Batch
from meddiff.networks.latent_autoencoder import Reconstructed, Verdicts
from meddiff.training.compressing import Compressing, Start


class Said(nn.Module):
    """Says what it was made with, whatever it is asked."""

    def __init__(self, image, mean, deviation, rounding=0.0, verdicts=None):
        super().__init__()
        self.said = Reconstructed(image, mean, deviation, torch.tensor(rounding), verdicts)

    def forward(self, image, eps, judged):
        return self.said._replace(verdicts=self.said.verdicts if judged else None)


IMAGE = torch.zeros(2, 1, 4, 4)
BATCH = Batch(IMAGE, None, None, torch.arange(2))
CODE = torch.zeros(2, 2, 1, 1)


def loss(said: Said, **settings) -> list[float]:
    objective = Compressing(said, 2, 4, **{"kl_weight": 0.0} | settings)
    return objective.loss(BATCH, objective.draw(BATCH, 1, torch.Generator().manual_seed(0))).tolist()


def test_the_error_is_absolute_and_each_sample_has_its_own():
    made = torch.stack([IMAGE[0] + 0.5, IMAGE[1] - 0.25])
    assert loss(Said(made, CODE, CODE + 1)) == pytest.approx([0.5, 0.25])


def test_the_divergence_is_that_of_two_normal_distributions_per_number_of_the_image():
    code = Said(IMAGE, CODE + 1, CODE + 2)
    closed = 2 * (1 + 4 - 1 - 2 * math.log(2)) / 2 / 16
    assert loss(code, kl_weight=1.0) == pytest.approx([closed, closed])
    assert loss(Said(IMAGE, CODE, CODE + 1), kl_weight=1.0) == pytest.approx([0, 0]), "of N(0, 1) from itself"


def test_rounding_costs_what_the_commitment_says():
    assert loss(Said(IMAGE, CODE, CODE, rounding=0.8), commitment=0.25) == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize(
    ("adversary", "expected"), [("hinge", -0.5 + (0.75 + 1.5) / 2), ("least_squares", 0.25 + (0.5625 + 0.25) / 2)]
)
def test_verdicts_count_once_their_step_has_come(adversary, expected):
    verdicts = Verdicts(*(torch.full((2, 1, 2, 2), value) for value in (0.5, 0.25, 0.5)))
    said, start = Said(IMAGE, CODE, CODE + 1, verdicts=verdicts), Start(2)
    settings = {"adversarial": 0.1, "adversary": adversary, "history": start}
    assert loss(said, **settings) == pytest.approx([0, 0])
    start.end_step(lambda part: part)
    assert loss(said, **settings) == pytest.approx([0, 0])
    resumed = Start(2)
    resumed.load_state_dict(start.state_dict())
    resumed.end_step(lambda part: part)
    assert loss(said, **settings | {"history": resumed}) == pytest.approx([0.1 * expected] * 2)


def test_a_perceptual_distance_is_added_with_its_weight():
    made = IMAGE + 0.5
    assert loss(Said(made, CODE, CODE + 1), perceptual=lambda image: image.flatten(1), perceptual_weight=2.0) == (
        pytest.approx([0.5 + 2 * 16 * 0.25] * 2)
    )


def test_the_noise_of_codes_is_drawn_for_all_micro_batches():
    objective = Compressing(Said(IMAGE, CODE, CODE), 2, 2)
    assert objective.draw(BATCH, 3, torch.Generator().manual_seed(0))[0].shape == (6, 2, 2, 2)
