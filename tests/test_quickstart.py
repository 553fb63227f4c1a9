"""The few lines of Python: what is drawn is a function of seed and label, and a checkpoint gives the same network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import meddiff
from meddiff import build
from meddiff.errors import InputError
from meddiff.pipelines.segment import segment_images
from meddiff.recipe import Recipe, to_dict
from meddiff.recipe.commands import Predict
from meddiff.training import checkpoint
from meddiff.training.fabric import build_fabric
from meddiff.training.facts import Facts, schedule_digest
from meddiff.training.objectives import Supervised
from meddiff.training.optimization import Optimization
from meddiff.training.state import build_state

SIZE, CHANNELS = 16, (32, 32)


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number, name in enumerate(("dark", "light")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for image in range(5):
            pixels = np.full((20, 20, 3), 60 + 130 * number + 5 * image, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{image}.png")
    return meddiff.read_images(tmp_path / "photos", size=SIZE)


def test_a_folder_becomes_images_of_its_classes(images):
    assert images.class_names == ("dark", "light")
    assert images.shape == (3, SIZE, SIZE)
    assert len(images) == 10


def test_training_learns_and_leaves_the_average(images):
    model = meddiff.denoiser(like=images, channels=CHANNELS)
    steps = list(meddiff.train(model, images, steps=40, batch_size=8, learning_rate=3e-3))
    losses = [step.loss.item() for step in steps]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    same = meddiff.denoiser(like=images, channels=CHANNELS)
    list(meddiff.train(same, images, steps=40, batch_size=8, learning_rate=3e-3))
    weights = model.denoiser.network.state_dict(), same.denoiser.network.state_dict()
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


def test_an_image_is_a_function_of_seed_and_label(images):
    model = meddiff.denoiser(like=images, channels=CHANNELS)
    drawn = meddiff.generate(model, ["light", 0, 1], [7, 8, 9], steps=3)
    assert drawn.shape == (3, 3, SIZE, SIZE)
    assert drawn.abs().max() <= 1
    again = meddiff.generate(model, [1, "dark"], [7, 8], steps=3)
    torch.testing.assert_close(drawn[:2], again)
    other = meddiff.generate(model, [1], [7], steps=5, sampler="ddim", guidance=1.0)
    assert not torch.equal(other, drawn[:1])


@pytest.mark.parametrize(
    ("labels", "told", "said"),
    [
        (["pale"], {}, "no class 'pale': use one of dark, light"),
        ([2], {}, "no class 2"),
        ([0, 1], {}, "2 labels and 1 seeds"),
        ([0], {"sampler": "dmp_solver"}, "did you mean 'dpm_solver'"),
    ],
)
def test_mistakes_are_told(images, labels, told, said):
    model = meddiff.denoiser(like=images, channels=CHANNELS)
    with pytest.raises(InputError, match=said):
        meddiff.generate(model, labels, [1], **told)


def test_nothing_drawn_is_an_empty_batch(images):
    assert meddiff.generate(meddiff.denoiser(like=images, channels=CHANNELS), [], []).shape == (0, 3, SIZE, SIZE)


def test_load_gives_the_same_images_of_a_checkpoint_as_of_its_file(images, tmp_path):
    recipe = replace(Recipe(), network=replace(Recipe().network, channels=CHANNELS, attention_levels=1))
    model = meddiff.denoiser(like=images, channels=CHANNELS)
    plain = model.denoiser
    network = build.new_model(recipe, build.DIFFUSION, 3, model.class_names).facts.network
    facts = Facts(
        class_names=model.class_names, image_size=SIZE, channels=3, network=network,
        schedule="cosine", timesteps=1000, schedule_digest=schedule_digest(plain.schedule), prediction="v",
        recipe=to_dict(recipe) | {"data": to_dict(recipe.data) | {"image_size": SIZE}},
    )  # fmt: skip
    state = build_state(plain.network, lambda _: Supervised(plain.network), build_fabric(), Optimization(1, 1e-3))
    folder = checkpoint.save(tmp_path / "checkpoints", 3, state, facts=facts)
    expected = meddiff.generate(model, [0, 1], [1, 2], steps=2)
    for place in (folder, folder / checkpoint.AVERAGE):
        loaded = meddiff.load(place, steps=2)
        assert loaded.class_names == ("dark", "light")
        torch.testing.assert_close(meddiff.generate(loaded, [0, 1], [1, 2]), expected)
    with pytest.raises(InputError, match=r"synthesis\.steps is 0"):
        meddiff.load(folder, steps=0)
    with pytest.raises(InputError, match="a run that draws images has no setting members; it has sampler"):
        meddiff.load(folder, members=3)
    with pytest.raises(InputError, match="draws images and segments none: give the run folder of `segment train`"):
        segment_images(Predict(checkpoint=str(folder), input=str(tmp_path / "photos"), output=str(tmp_path / "masks")))
    assert not (tmp_path / "masks").exists()
    with pytest.raises(InputError, match="is no run folder"):
        meddiff.load(tmp_path)


def test_importing_the_package_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, meddiff; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    assert all(getattr(meddiff, name) is not None for name in meddiff.__all__)
