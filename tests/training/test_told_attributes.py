"""What an image is told can be read off its pixels; what it is not told follows the data."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

import meddiff
from meddiff import build
from meddiff.build.models import optimization
from meddiff.errors import InputError
from meddiff.inference.sampling import ImageDenoiser
from meddiff.recipe import DiffusionRecipe, NetworkRecipe, Recipe, SynthesisRecipe, TrainingRecipe
from meddiff.training.fabric import build_fabric
from meddiff.training.loop import seeds_of, train
from meddiff.training.state import build_state

SIDE = 16
NAMES = ("radius", "light", "site")
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def disc(radius, light, site):
    """A disc of known radius and light, left or right of the middle, uint8."""
    away = np.hypot(COLUMNS - (11 if site == "right" else 5), ROWS - 8)
    return (np.clip(radius - away + 0.5, 0, 1) * light * 255).astype(np.uint8)


def read_off(images):
    """Radius, light and whether it lies on the right, of each image [N, 1, 16, 16] in [-1, 1]."""
    pixels = ((images[:, 0] + 1) / 2).clamp(0, 1).numpy()
    light = np.quantile(pixels, 0.98, axis=(1, 2))
    radius = np.sqrt(pixels.sum((1, 2)) / np.maximum(light, 0.1) / np.pi)
    return radius, light, (pixels * COLUMNS).sum((1, 2)) > 7.5 * pixels.sum((1, 2))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("discs"), np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch, (folder / "m.csv").open("w") as file:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        table = csv.writer(file)
        table.writerow(["row_id", "dataset", "image_path", "label", "source", "site", "attributes"])
        for number in range(300):
            radius, light = generator.uniform(1.5, 5), generator.uniform(0.3, 1)
            site = str(generator.choice(["left", "right"]))
            Image.fromarray(disc(radius, light, site)).save(folder / f"{number}.png")
            cell = f"radius={radius:.4f};light={light:.4f}"
            table.writerow([f"r{number}", "discs", f"{number}.png", "disc", "phantom", site, cell])
        file.flush()
        return meddiff.read_images(folder / "m.csv", size=SIDE, channels=1, attributes=NAMES)


@pytest.fixture(scope="module")
def generator(images):
    """A generator of discs, trained for a few seconds."""
    recipe = Recipe(
        network=NetworkRecipe(
            channels=(48, 48), residual_blocks=1, attention_levels=0, head_channels=16, patch_size=2
        ),
        training=TrainingRecipe(steps=150, batch_size=32, learning_rate=2e-3, warmup_steps=20, ema_decay=0.97),
        diffusion=DiffusionRecipe(prediction="x_0", min_snr_gamma=None, attributes=NAMES),
        synthesis=SynthesisRecipe(steps=10, guidance=1.0),
    )  # fmt: skip
    model = build.new_model(recipe, build.DIFFUSION, 1, images.class_names, images.described.attributes)
    fabric, settings = build_fabric(precision="32"), optimization(recipe.training)
    state = build_state(model.network, model.objective, fabric, settings, ema_decay=recipe.training.ema_decay)
    for _ in train(state, build.shares(images, recipe.training, 0, 0.0), settings, seeds=seeds_of(0)):
        pass
    ready = model.ready(state.ema.network, fabric)
    return ImageDenoiser(
        ready, images.class_names, images.shape, build.sampling(recipe), images.described.attributes
    )  # fmt: skip


@pytest.mark.slow
def test_what_is_told_can_be_read_off_the_picture(generator):
    random = np.random.default_rng(1)
    told = [
        {"radius": random.uniform(1.6, 4.9), "light": random.uniform(0.3, 1), "site": site}
        for site in ["left", "right"] * 32
    ]
    radius, light, right = read_off(meddiff.generate(generator, ["disc"] * 64, range(64), told=told))
    assert spearmanr(radius, [one["radius"] for one in told])[0] > 0.8
    assert spearmanr(light, [one["light"] for one in told])[0] > 0.8
    assert (right == [one["site"] == "right" for one in told]).mean() > 0.95


@pytest.mark.slow
def test_what_is_untold_follows_the_data(generator):
    radius, light, right = read_off(meddiff.generate(generator, ["disc"] * 128, range(128), told={"radius": 4.0}))
    assert abs(radius.mean() - 4) < 0.4
    assert radius.std() < 0.4, "what is told is held"
    assert 0.2 < right.mean() < 0.8, "half of the data lie on the right"
    assert abs(light.mean() - 0.65) < 0.15, "the mean light of the data"
    nothing = meddiff.generate(generator, [None] * 128, range(128))
    assert read_off(nothing)[0].std() > 2 * radius.std(), "untold, the radius varies"


def test_one_image_is_a_function_of_what_it_is_told(images):
    model = meddiff.denoiser(like=images, channels=(32, 32))
    for parameter in model.denoiser.network.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(1))
    one = model("disc", seed=3, radius=2.0, site="left")
    assert one.shape == (1, SIDE, SIDE)
    assert torch.equal(one, model("disc", seed=3, radius=2.0, site="left"))
    for other in ({"radius": 4.0, "site": "left"}, {"radius": 2.0, "site": "right"}, {"radius": 2.0}, {}):
        assert not torch.equal(one, model("disc", seed=3, **other))
    with pytest.raises(InputError, match="knows no hair: it knows radius, light, site"):
        model("disc", hair="red")
    with pytest.raises(InputError, match="use left, right"):
        model("disc", site="middle")
    with pytest.raises(InputError, match="2 labels and attributes of 1 images"):
        model.condition(["disc"] * 2, [{}])


def test_batches_know_what_their_images_are_described_by(images):
    batch = images.batch([4, 2])
    assert batch.attributes.shape == (2, 3, images.described.attributes.length)
    assert torch.equal(batch.attributes[1], images.batch([2]).attributes[0])
    assert batch.to("cpu").attributes is not None
