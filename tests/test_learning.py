"""Training on drawn images, where the truth is known: the loss falls, the told label decides the picture.

The same two figures at full size: ``benchmarks/learning.py``.
"""

from dataclasses import replace

import pandas as pd
import pytest
from learning import measure
from rich.console import Console

from meddiff.jobs import job
from meddiff.recipe import (
    ClassifierRecipe,
    DataRecipe,
    FilterRecipe,
    NetworkRecipe,
    Recipe,
    SynthesisRecipe,
    TrainingRecipe,
)

SMALL = Recipe(
    dataset="phantom",
    preset="quick",
    data=DataRecipe(image_size=16, phantom_images=300),
    network=NetworkRecipe(channels=(32, 64), residual_blocks=1, attention_levels=0, patch_size=2),
    training=TrainingRecipe(
        steps=500, batch_size=32, learning_rate=2e-3, warmup_steps=20, ema_decay=0.98, class_balance=1.0, log_every=10
    ),
    synthesis=SynthesisRecipe(steps=10, guidance=2.0, per_class=8, batch_size=40),
    filter=FilterRecipe(confidence=0.0),
    classifier=ClassifierRecipe(width=0.25, steps=150, batch_size=32, learning_rate=2e-3),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A denoiser and a classifier of real images, trained for half a minute."""
    folder = tmp_path_factory.mktemp("learning")
    recipe = replace(SMALL, out=str(folder / "run"), data=replace(SMALL.data, cache=str(folder / "cache")))
    return job.run(recipe, until="filter", console=Console(quiet=True))


@pytest.mark.slow
def test_the_loss_halves(run):
    loss = pd.read_csv(run.folder.log)["loss"]
    assert loss.tail(10).mean() < loss.head(3).mean() / 2


@pytest.mark.slow
def test_the_label_decides_the_picture_and_the_pictures_look_like_the_data(run):
    learned = measure(run, per_class=32)
    assert learned.agreement > 2 * learned.chance
    ours, untrained = learned.frechet
    assert ours < untrained / 2
    ours, untrained = learned.kernel
    assert ours < untrained / 2
