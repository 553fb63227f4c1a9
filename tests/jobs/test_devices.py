"""Networks of masks are trained by two CPU processes as by one: each sees other images, both keep the same weights."""

import re
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from meddiff import build
from meddiff.build.kind import models_of
from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.jobs import train
from meddiff.recipe import SegmentRecipe, TrainingRecipe
from meddiff.recipe.segment import BaselineRecipe, InferenceRecipe, MaskNetworkRecipe, StackRecipe, ValidationRecipe
from meddiff.run import Run, RunFolder
from meddiff.training import checkpoint
from meddiff.training.divergence import denoiser_diverged
from tests.jobs.masks import write_manifest_of

MISTAKES = {
    "plain": partial(InputError, "two lines:\n  of one mistake"),
    "diverged": partial(denoiser_diverged, 7),
    "file": partial(bad_file, Path("a.png"), "it is cut"),
}


def weights_of(place: Path, name: str, devices: int) -> dict[str, torch.Tensor]:
    """The averaged weights of a network after three steps, each of which is looked at."""
    recipe = SegmentRecipe(
        classes=("background", "half"),
        data_root=str(place),
        data=StackRecipe(image_size=8, channels=1, cache=str(place / "cache")),
        network=MaskNetworkRecipe(channels=(4, 8), patch_size=1),
        training=TrainingRecipe(steps=3, batch_size=1, warmup_steps=1, log_every=1, checkpoint_every=2, sample_every=1,
                                precision="32", devices=devices),
        baseline=BaselineRecipe(channels=(2, 4)),
        inference=InferenceRecipe(steps=1),
        validation=ValidationRecipe(cases=1, members=1),
    )  # fmt: skip
    run = Run(recipe, RunFolder(place / f"{name}-{devices}"))
    write_manifest_of(place, run.folder.manifest)
    train.train_network(run, partial(train.mask_network, name))
    files = models_of(run.folder, name)
    assert pd.read_csv(files.validation)["step"].tolist() == [1, 2, 3], "one process looks, once each time"
    assert pd.read_csv(files.log)["step"].tolist() == [1, 2, 3]
    assert len(list(files.best.iterdir())) == 1
    return load_file(files.checkpoints / "step_00000003" / checkpoint.AVERAGE)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="processes of a CPU are meant")
@pytest.mark.parametrize("kind", MISTAKES)
def test_the_mistake_of_another_process_is_a_sentence(tmp_path, kind):
    run = Run(SegmentRecipe(training=TrainingRecipe(devices=2)), RunFolder(tmp_path))
    with pytest.raises(InputError, match=rf"\A{re.escape(str(MISTAKES[kind]()))}\Z"):
        train.train_network(run, partial(refuse, kind))


def refuse(kind, run):
    raise MISTAKES[kind]()


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="processes of a CPU are meant")
@pytest.mark.parametrize("name", [build.DIFFUSION, "unet"])
def test_two_processes_train_a_network_of_masks_on_twice_the_images(tmp_path, name):
    together, alone = (weights_of(tmp_path, name, devices) for devices in (2, 1))
    assert together.keys() == alone.keys()
    assert all(part.isfinite().all() for part in together.values())
    assert any(not torch.equal(together[key], alone[key]) for key in alone), "a second process shows it other images"
