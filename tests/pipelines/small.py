"""A data set of 72 small pictures in three class folders, and a recipe that takes seconds."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

RECIPE = """
dataset: image_folder
data: {image_size: 16}
network: {channels: [32, 32], residual_blocks: 1, attention_levels: 0, patch_size: 2}
training: {steps: 4, batch_size: 8, warmup_steps: 2, checkpoint_every: 2, log_every: 2, sample_every: 4}
synthesis: {steps: 2, per_class: 6, batch_size: 8, oversample: 1.5}
filter: {confidence: 0.0, copy_quantile: 0.0}
classifier: {width: 0.125, steps: 2, batch_size: 8, seeds: 1, arms: [real, real_synthetic, synthetic]}
evaluation: {resamples: 100}
"""
COLORS = ((200, 60, 60), (60, 200, 60), (60, 60, 200), (180, 180, 40))


def draw(folder: Path, counts: dict[str, int], *, size: tuple[int, int] = (24, 20), mode: str = "RGB") -> Path:
    """Noisy pictures ``<class>/<number>.jpg``, each class of one color."""
    generator = np.random.default_rng(0)
    for color, (name, count) in zip(COLORS, counts.items(), strict=False):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = generator.normal(0, 30, (size[1], size[0], 3))
            pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{number:02d}.jpg")
    return folder


def copied(folder: Path, to: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(folder, to))


def arguments(workplace: Path, out: Path, *more: str | Path) -> list[str]:
    """Command line of a run into ``out``; the recipe and the cache of decoded images lie in ``workplace``."""
    recipe = workplace / "recipe.yaml"
    if not recipe.exists():
        recipe.write_text(RECIPE)
    return ["--config", str(recipe), "--out", str(out), f"--data.cache={workplace / 'cache'}", *map(str, more)]
