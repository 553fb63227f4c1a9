"""Can what an image was told be read off its pixels, and does what it was not told follow the data?

    OMP_NUM_THREADS=1 python benchmarks/told_attributes.py --steps 300 1500

Drawn discs of known radius, light and side, which are all that there is to see. A generator is told the three, each
left out at times while training (`diffusion.attribute_dropout`). Then it draws discs that are told all (rank
correlation of what was told with what is measured), one (the others should spread as the data do), or nothing.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor

import meddiff
from meddiff import build
from meddiff.batches.images import Images
from meddiff.build.models import optimization
from meddiff.inference.sampling import ImageDenoiser
from meddiff.recipe import DiffusionRecipe, NetworkRecipe, Recipe, SynthesisRecipe, TrainingRecipe
from meddiff.training.fabric import build_fabric
from meddiff.training.loop import seeds_of, train
from meddiff.training.state import build_state

SIDE = 16
NAMES = ("radius", "light", "site")
RADII, LIGHTS = (1.5, 5.0), (0.3, 1.0)
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def disc(radius: float, light: float, site: str) -> np.ndarray:
    """A disc of known radius and light, left or right of the middle, uint8."""
    away = np.hypot(COLUMNS - (11 if site == "right" else 5), ROWS - 8)
    return (np.clip(radius - away + 0.5, 0, 1) * light * 255).astype(np.uint8)


def read_off(images: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radius, light and whether it lies on the right, of each image [N, 1, 16, 16] in [-1, 1]."""
    pixels = ((images[:, 0] + 1) / 2).clamp(0, 1).numpy()
    light = np.quantile(pixels, 0.98, axis=(1, 2))
    radius = np.sqrt(pixels.sum((1, 2)) / np.maximum(light, 0.1) / np.pi)
    return radius, light, (pixels * COLUMNS).sum((1, 2)) > 7.5 * pixels.sum((1, 2))


def drawn(folder: Path, count: int = 300) -> Images:
    """Discs in a folder, with what they are in the manifest."""
    generator = np.random.default_rng(0)
    with (folder / "m.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["row_id", "dataset", "image_path", "label", "source", "site", "attributes"])
        for number in range(count):
            radius, light = generator.uniform(*RADII), generator.uniform(*LIGHTS)
            site = str(generator.choice(["left", "right"]))
            Image.fromarray(disc(radius, light, site)).save(folder / f"{number}.png")
            cell = f"radius={radius:.4f};light={light:.4f}"
            table.writerow([f"r{number}", "discs", f"{number}.png", "disc", "phantom", site, cell])
    return meddiff.read_images(folder / "m.csv", size=SIDE, channels=1, attributes=NAMES)


def trained(images: Images, steps: int) -> ImageDenoiser:
    """A generator of discs."""
    recipe = Recipe(
        network=NetworkRecipe(channels=(48, 48), residual_blocks=1, attention_levels=0, head_channels=16, patch_size=2),
        training=TrainingRecipe(steps=steps, batch_size=32, learning_rate=2e-3, warmup_steps=20, ema_decay=0.97),
        diffusion=DiffusionRecipe(prediction="x_0", min_snr_gamma=None, attributes=NAMES, attribute_dropout=0.3),
        synthesis=SynthesisRecipe(steps=10, guidance=1.0),
    )
    model = build.new_model(recipe, build.DIFFUSION, 1, images.class_names, images.described.attributes)
    fabric, settings = build_fabric(precision="32"), optimization(recipe.training)
    state = build_state(model.network, model.objective, fabric, settings, ema_decay=recipe.training.ema_decay)
    for _ in train(state, build.shares(images, recipe.training, 0, 0.0), settings, seeds=seeds_of(0)):
        pass
    ready = model.ready(state.ema.network, fabric)
    return ImageDenoiser(
        ready, images.class_names, images.shape, build.sampling(recipe), images.described.attributes
    )  # fmt: skip


def told_and_measured(generator: ImageDenoiser, count: int = 64) -> tuple[float, float, float]:
    """Rank correlation of told and measured radius and light, and the share of discs on the told side."""
    random = np.random.default_rng(1)
    told = [
        {"radius": random.uniform(1.6, 4.9), "light": random.uniform(*LIGHTS), "site": site}
        for site in ["left", "right"] * (count // 2)
    ]
    radius, light, right = read_off(meddiff.generate(generator, ["disc"] * count, range(count), told=told))
    return (
        float(spearmanr(radius, [one["radius"] for one in told])[0]),
        float(spearmanr(light, [one["light"] for one in told])[0]),
        float((right == [one["site"] == "right" for one in told]).mean()),
    )


def main() -> None:
    """Train for each number of steps and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[300, 1500], help="steps of training (%(default)s)")
    parser.add_argument("--count", type=int, default=128, help="discs drawn for each line (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = drawn(Path(folder))
    cases = {"nothing": (None, None), "the class": ("disc", {}), "left": ("disc", {"site": "left"}),
             "radius 4": ("disc", {"radius": 4.0})}  # fmt: skip
    for steps in given.steps:
        generator = trained(images, steps)
        radius, light, site = told_and_measured(generator, given.count)
        print(f"{steps} steps. told and measured: radius r = {radius:.2f}, light r = {light:.2f}, side {site:.0%}")
        for name, (label, told) in cases.items():
            labels = [label] * given.count
            made = meddiff.generate(generator, labels, range(given.count), **({} if told is None else {"told": told}))
            print(f"  told {name:9}  {line(made)}", flush=True)
    print(f"  the data       {line(images.batch(list(range(len(images)))).image)}")


def line(images: Tensor) -> str:
    """Mean and spread of what can be read off images."""
    radius, light, right = read_off(images)
    return (f"radius {radius.mean():.2f} +- {radius.std():.2f}   light {light.mean():.2f} +- {light.std():.2f}   "
            f"right {right.mean():.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
