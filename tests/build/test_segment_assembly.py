"""Every network of masks is built from a recipe, in 2D and 3D, for every prediction and encoding, and learns."""

from dataclasses import replace

import pytest
import torch

from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.build import CLASS_LOGITS, MASK_NETWORKS
from meddiff.build.models import new_model
from meddiff.errors import InputError
from meddiff.recipe.segment import SegmentRecipe
from meddiff.training.fabric import build_fabric
from tests.contracts import wake

CLASSES = ["background", "left", "right"]


def recipe(**parts):
    """A small recipe with some settings of its parts replaced."""
    plain = SegmentRecipe()
    small = {"channels": (32, 32), "patch_size": 1, "thin_from": 0}
    plain = replace(plain, network=replace(plain.network, **small), data=replace(plain.data, image_size=16))
    for name, settings in parts.items():
        own = getattr(plain, name)
        plain = replace(plain, **{name: replace(own, **settings) if isinstance(settings, dict) else settings})
    return plain


@pytest.mark.parametrize("name", MASK_NETWORKS)
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("prediction", [CLASS_LOGITS, "v"])
@pytest.mark.parametrize("encoding", ["one_hot", "bits"])
def test_every_network_trains_and_segments(name, dimensions, prediction, encoding):
    size = (16, 16, 8)[:dimensions]
    wanted = recipe(
        network={"name": name},
        dimensions=dimensions,
        diffusion={"prediction": prediction},
        mask={"encoding": encoding},
        volume={"patch_size": (16, 16, 8)},
        inference={"members": 2, "steps": 2},
    )
    build.check_names(wanted)
    model = new_model(wanted, "diffusion", 1, CLASSES)
    wake(model.network)
    fabric = build_fabric(precision="32", accelerator="cpu")
    objective = model.objective(fabric)
    mask = torch.randint(0, 3, (2, 1, *size), generator=torch.Generator().manual_seed(0))
    batch = Batch(image=mask.float() - 1, label=None, mask=mask, index=torch.arange(2))
    loss = objective.loss(batch, objective.draw(batch, 1, torch.Generator().manual_seed(0)))
    loss.backward()
    assert loss.isfinite()
    members = model.ready(model.network.requires_grad_(False).eval(), fabric).members(batch.image[0], [1, 2])
    assert members.shape == (2, 3, *size)
    torch.testing.assert_close(members.sum(1), torch.ones(2, *size))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"network": {"name": "medsegdiff"}}, "medsegdiff_v1"),
        ({"diffusion": {"prediction": "logits"}}, "class_logits"),
        ({"inference": {"fusion": "median"}}, "mean, majority, staple"),
        ({"inference": {"sampler": "dmp"}}, "ddpm"),
        ({"baseline": {"names": ("vnet",)}}, "unet"),
        ({"dataset": "isik"}, "isic"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(parts, said):
    with pytest.raises(InputError, match=said):
        build.check_names(recipe(**parts))


def test_the_same_recipe_makes_the_same_weights_whatever_was_drawn_before():
    first = new_model(recipe(), "diffusion", 3, CLASSES).network.state_dict()
    torch.rand(7)
    second = new_model(recipe(), "diffusion", 3, CLASSES).network.state_dict()
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())
