"""Every alternative has a name, an unknown name is answered with the nearest, every recipe can be built."""

from dataclasses import replace

import pytest
import torch

from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.recipe import NetworkRecipe, Recipe
from meddiff.recipe.segment import SegmentRecipe

SMALL = replace(
    Recipe(), network=NetworkRecipe(channels=(32, 32), residual_blocks=1, attention_levels=1), dataset="phantom"
)


@pytest.mark.parametrize(
    ("section", "setting", "wrong", "near"),
    [
        ("network", "name", "unett", "unet"),
        ("diffusion", "schedule", "cosin", "cosine"),
        ("diffusion", "prediction", "epsilon", "eps"),
        ("synthesis", "sampler", "dpm_solvr", "dpm_solver"),
        ("classifier", "network", "resnet50", "resnet18"),
        ("classifier", "arms", ("real", "reel_synthetic"), "real_synthetic"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(section, setting, wrong, near):
    recipe = replace(SMALL, **{section: replace(getattr(SMALL, section), **{setting: wrong})})
    with pytest.raises(InputError, match=f"{setting}.*{near}"):
        build.check_names(recipe)


def test_an_unknown_data_set_is_refused():
    with pytest.raises(InputError, match=r"unknown dataset 'isik'.*did you mean 'isic'"):
        build.check_names(replace(SMALL, dataset="isik"))


@pytest.mark.parametrize("schedule", build.SCHEDULES)
@pytest.mark.parametrize("prediction", build.PREDICTIONS)
def test_every_combination_of_schedule_and_prediction_denoises(schedule, prediction):
    recipe = replace(SMALL, diffusion=replace(SMALL.diffusion, schedule=schedule, prediction=prediction))
    if build.SCHEDULES[schedule](1000).alpha[-1] == 0 and prediction in ("eps", "score", "edm"):
        with pytest.raises(InputError, match="use the prediction v"):
            build.denoiser(recipe, channels=3, num_classes=2)
        return
    denoiser = build.denoiser(recipe, channels=3, num_classes=2)
    x_t = torch.randn(2, 3, 16, 16)
    x_0 = denoiser(x_t, torch.tensor([5, 600]), Condition(label=torch.tensor([0, 1])))
    assert x_0.shape == x_t.shape
    assert x_0.isfinite().all()


def test_the_study_has_the_arms_that_the_report_needs():
    assert set(Recipe().classifier.arms) <= set(build.ARMS)
    assert [name for name in Recipe().classifier.arms if not build.arm(name).synthetic]


@pytest.mark.parametrize(
    ("dimensions", "asked", "allowed"),
    [(2, "auto", 8), (2, "square", 8), (2, "mirror", 2), (2, "none", 1), (3, "auto", 1), (3, "mirror", 2)],
)
def test_training_images_are_turned_as_asked(dimensions, asked, allowed):
    recipe = replace(Recipe(dimensions=dimensions), training=replace(Recipe().training, augment=asked))
    one = torch.arange(2.0**dimensions).reshape(1, 1, *(2,) * dimensions)
    batch = Batch(one.expand(200, *one.shape[1:]), None, None, torch.arange(200))
    turn = build.augmentation(recipe)
    turned = batch.image if turn is None else turn(batch, torch.Generator().manual_seed(0)).image
    found = turned.flatten(1).unique(dim=0)
    assert len(found) == allowed
    left_right = one.flip(-1 if dimensions == 2 else 2)  # columns of a picture; the first axis in RAS order
    assert allowed == 1 or (found == left_right.flatten()).all(1).any()


@pytest.mark.parametrize(("kind", "left_right"), [(Recipe, 3), (SegmentRecipe, 2)])
def test_slices_of_volumes_are_mirrored_from_left_to_right_alone(kind, left_right):
    """Upright where pictures are drawn, in RAS order where masks are."""
    recipe = kind()
    cut = replace(recipe.data, slice_axis="coronal")
    plain = replace(recipe, data=cut)
    assert build.augmentation(plain) is None
    turn = build.augmentation(replace(plain, training=replace(recipe.training, augment="mirror")))
    one = torch.arange(4.0).reshape(1, 1, 2, 2)
    turned = turn(Batch(one.expand(50, 1, 2, 2), None, None, torch.arange(50)), torch.Generator().manual_seed(0)).image
    found = {tuple(image.flatten().tolist()) for image in turned}
    assert found == {tuple(one.flatten().tolist()), tuple(one.flip(left_right).flatten().tolist())}


def test_a_volume_is_not_turned_like_a_square():
    recipe = replace(Recipe(dimensions=3), training=replace(Recipe().training, augment="square"))
    with pytest.raises(InputError, match="use mirror or none"):
        build.check_names(recipe)
