"""Edits of drawn lesions, whose background is known: holes filled beside fills without diffusion, classes changed.

    python -m meddiff.pipelines.classify --dataset isic --preset quick --training.steps 700 \\
        --classifier.arms "[real]" --classifier.seeds 1 --data.phantom_images 600 --synthesis.per_class 20 --out RUN
    python benchmarks/edit.py --run RUN --images 12

Each photograph is drawn twice, with hairs and without. PSNR is that of the pixels under hairs alone, in dB; differences
are paired, with 95% intervals over photographs. Edits of a class are counted as flipped where the run's classifier of
real images names the class that was asked for, and did not before.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.restoration import inpaint_biharmonic

from meddiff.formats import load_image, save_image
from meddiff.metrics.resampling import USUAL
from meddiff.pipelines import edit
from meddiff.sources.phantom import camera, dermoscopy

LABELS = ("mel", "nv", "bkl", "bcc")


def photographs(folder: Path, count: int, size: int) -> None:
    """Draw lesions that no run has seen, with hairs and without, where the hairs lie and where the lesions."""
    plain = dermoscopy.in_front
    for seed in range(10_000, 10_000 + count):
        coverage = []

        def hairy(_, color, seed=seed, coverage=coverage):
            coverage.append(camera.hairs(np.random.default_rng(seed), len(color)))
            tint = np.array(camera.HAIR_COLORS[seed % 2], np.float32)
            return color + (0.9 * coverage[0])[..., None] * (tint - color)

        name = f"{LABELS[seed % len(LABELS)]}-{seed}.png"
        for kind, laid_over in (("hairy", hairy), ("clean", lambda _, color: color)):
            dermoscopy.in_front = laid_over
            drawn = {"label": LABELS[seed % len(LABELS)], "patient": seed, "lesion": seed, "view": seed, "size": size}
            image, lesion = dermoscopy.draw_dermoscopy(**drawn)
            save_image(image, folder / kind / name)
        save_image((dermoscopy.halved(coverage[0]) > 0.05).astype(np.uint8) * 255, folder / "holes" / name)
        save_image(lesion * 255, folder / "lesions" / name)
    dermoscopy.in_front = plain


def psnr_db(image: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
    """Peak signal to noise ratio of the pixels in a hole."""
    error = np.square(image[hole].astype(float) - truth[hole]).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def fills(run: str, place: Path, how: list[str]) -> pd.DataFrame:
    """One row per photograph: PSNR in the hole of each fill."""
    words = ["--checkpoint", run, "--input", str(place / "hairy"), "--output", str(place / "filled")]
    assert edit.main([*words, "--method", "inpaint", "--mask", str(place / "holes"), *how]) == 0
    rows = []
    for file in sorted((place / "clean").iterdir()):
        truth, hairy, mask = (load_image(place / kind / file.name) for kind in ("clean", "hairy", "holes"))
        hole, filled = mask > 0, load_image(place / "filled" / f"{file.stem}_edit.png")
        if not hole.any():
            continue
        assert np.array_equal(filled[~hole], hairy[~hole])
        smooth = inpaint_biharmonic(hairy, hole, channel_axis=-1) * 255
        rows.append({
            "name": file.stem, "hairs left": psnr_db(hairy, truth, hole), "RePaint": psnr_db(filled, truth, hole),
            "biharmonic": psnr_db(smooth, truth, hole),
            "mean": psnr_db(np.broadcast_to(hairy[~hole].mean(0), hairy.shape), truth, hole),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("name")


def interval(values: np.ndarray) -> str:
    """Mean with its 95% interval over photographs."""
    weights = USUAL.weights(np.zeros(len(values), dtype=int), "edit")
    low, high = USUAL.interval((weights.T @ values / weights.sum(0))[1:])
    return f"{values.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def flips(run: str, place: Path, method: str, how: list[str]) -> None:
    """Ask for another class, and print how often the classifier agrees and what changed outside of the lesions."""
    out = place / method
    words = ["--checkpoint", run, "--input", str(place / "clean"), "--output", str(out), "--method", method]
    assert edit.main([*words, "--label", "mel", *how]) == 0
    table = pd.read_csv(out / "edits.csv").set_index("name")
    asked = table[table["class_before"] != "mel"]
    inside, outside = [], []
    for name in asked.index:
        before, after, lesion = (load_image(path).astype(float) for path in (
            place / "clean" / f"{name}.png", out / f"{name}_edit.png", place / "lesions" / f"{name}.png"))  # fmt: skip
        moved = np.abs(after - before).mean(-1) / 255
        inside.append(moved[lesion > 0].mean())
        outside.append(moved[lesion == 0].mean())
    print(f"{method} {' '.join(how)}: {asked['flipped'].mean():.0%} of {len(asked)} are called mel afterwards; pixels "
          f"moved by {np.mean(inside):.3f} of the range in lesions, {np.mean(outside):.3f} around them")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--size", type=int, default=96)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        photographs(place, settings.images, settings.size)
        table = fills(settings.run, place, ["--guidance", "1", "--steps", "25", "--passes", "5", "--jump", "5"])
        print(table.round(2).to_string())
        print(f"mean PSNR under hairs, dB: {table.mean().round(2).to_dict()}")
        for other in ("biharmonic", "mean"):
            print(f"RePaint less {other}: {interval((table['RePaint'] - table[other]).to_numpy())} dB")
        flips(settings.run, place, "invert", ["--strength", "0.5", "--guidance", "2", "--steps", "20"])
        flips(settings.run, place, "sdedit", ["--strength", "0.5", "--guidance", "2", "--steps", "20"])


if __name__ == "__main__":
    main()
