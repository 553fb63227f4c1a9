"""Every alternative has a name, an unknown name is answered with the nearest, every recipe can be built."""

from dataclasses import replace

import pytest
import torch

from meddiff import assembly
from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError
from meddiff.recipe import NetworkRecipe, Recipe

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
        assembly.check_names(recipe)


def test_an_unknown_data_set_is_refused():
    with pytest.raises(InputError, match=r"unknown dataset 'isik'.*did you mean 'isic'"):
        assembly.check_names(replace(SMALL, dataset="isik"))


@pytest.mark.parametrize("schedule", assembly.SCHEDULES)
@pytest.mark.parametrize("prediction", assembly.PREDICTIONS)
def test_every_combination_of_schedule_and_prediction_denoises(schedule, prediction):
    recipe = replace(SMALL, diffusion=replace(SMALL.diffusion, schedule=schedule, prediction=prediction))
    if assembly.SCHEDULES[schedule](1000).alpha[-1] == 0 and prediction in ("eps", "score", "edm"):
        with pytest.raises(InputError, match="use the prediction v"):
            assembly.denoiser(recipe, channels=3, num_classes=2)
        return
    denoiser = assembly.denoiser(recipe, channels=3, num_classes=2)
    x_t = torch.randn(2, 3, 16, 16)
    x_0 = denoiser(x_t, torch.tensor([5, 600]), Condition(label=torch.tensor([0, 1])))
    assert x_0.shape == x_t.shape
    assert x_0.isfinite().all()


def test_the_study_has_the_arms_that_the_report_needs():
    assert set(Recipe().classifier.arms) <= set(assembly.ARMS)
    assert [name for name in Recipe().classifier.arms if not assembly.arm(name).synthetic]
