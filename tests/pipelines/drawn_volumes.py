"""A data set of 24 small drawn volumes in the layout of nifti_folder, and a recipe that takes seconds."""

from pathlib import Path

import numpy as np

from meddiff.formats.nifti import save_volume
from tests.formats.volume_files import affine_of, ball

SHAPE, SPACING = (12, 9, 10), (1.0, 2.0, 1.5)  # of the files, whose axes run to the left, head and front
BOX = (12, 10, 9)  # the same in RAS order
VOXEL = (1.0, 1.5, 2.0)
RECIPE = """
dataset: nifti_folder
dimensions: 3
volume: {patch_size: [12, 10, 9]}
network: {channels: [16, 16], residual_blocks: 1, attention_levels: 0, head_channels: 16, patch_size: 2}
training: {steps: 4, batch_size: 4, warmup_steps: 2, checkpoint_every: 2, log_every: 2, sample_every: 4}
synthesis: {steps: 2, per_class: 10, batch_size: 8, oversample: 1.0}
filter: {confidence: 0.0, copy_quantile: 0.0}
classifier: {width: 0.125, steps: 2, batch_size: 8, seeds: 1, arms: [real, real_classical, real_synthetic, synthetic]}
evaluation: {resamples: 100}
"""


def draw(root: Path, count: int = 24, *, labels: bool = True, spacing=SPACING) -> Path:
    """Bright balls in noise, large and small in turn, each a patient of its own, with the ball as mask."""
    generator = np.random.default_rng(0)
    affine = affine_of("LSA", spacing)
    lines = ["case,label,patient"]
    for number in range(count):
        large = number % 2
        mask = ball(SHAPE, 4.0 + 2 * large + 0.1 * number, spacing)
        image = generator.normal(100, 10, SHAPE) + 80 * mask
        for folder, array in (("images", image.astype(np.float32)), ("masks", mask)):
            path = root / folder / f"case{number:02d}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            save_volume(array, path, affine=affine)
        lines.append(f"case{number:02d},{'large' if large else 'small'},p{number}")
    if labels:
        (root / "labels.csv").write_text("\n".join(lines))
    return root


def arguments(workplace: Path, root: Path, out: Path, *more: str | Path) -> list[str]:
    """Command line of a run into ``out``; recipe and cache lie in ``workplace``."""
    recipe = workplace / "recipe.yaml"
    if not recipe.exists():
        recipe.write_text(RECIPE)
    where = ["--data-root", str(root), "--out", str(out), f"--data.cache={workplace / 'cache'}"]
    return ["--config", str(recipe), *where, *map(str, more)]
