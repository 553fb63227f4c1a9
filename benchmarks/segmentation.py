"""Segmentation by diffusion: how fast, how good with few steps, and how well members match several raters.

    python benchmarks/segmentation.py                speed, against med-seg-diff-pytorch (pip install '.[benchmark]')
    python benchmarks/segmentation.py --dice         Dice by number of steps, on drawn images
    python benchmarks/segmentation.py --raters       members against four raters, on drawn images

Speed: CPU seconds on one thread for 25 members of one 64 x 64 image with three channels and two classes. The cases
take turns, and the median of the rounds is shown; weights are random, since the time does not depend on them. 1000
steps are not run but extrapolated, and the table says so: ours from the rows of 3 and 10 steps; the other package's
from its own sampler with a schedule of few steps. It has no ensemble, so its loop runs once per member.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import segmentation_quality as quality
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from meddiff import build
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.denoiser import Denoiser
from meddiff.inference.segmenters import DiffusionSegmenter
from meddiff.networks.initialization import seeded
from meddiff.recipe.segment import SegmentRecipe
from meddiff.training.fabric import InPrecision, NetworkPrecision, PrecisionName

MEMBERS = 25
SEEDS = range(MEMBERS)
STEPS = (3, 10)
FULL_STEPS = 1000
INSTALL = "not installed: pip install '.[benchmark]'"
CPU = torch.device("cpu")
NETWORKS = {  # about 22 million weights each, as many as the default network of MedSegDiff's own code
    "twin_unet": {},
    "medsegdiff_v1": {"channels": (32, 64, 128, 256, 384), "patch_size": 1},
    "medsegdiff_v2": {"channels": (32, 64, 128, 256, 320), "patch_size": 1},
}


@dataclass(frozen=True)
class Case:
    """One row: what is timed, and what it stands for."""

    name: str
    weights: int
    steps: str
    run: Callable[[], float]
    """One round: CPU seconds of the whole ensemble."""


class ReadsInEveryStep(nn.Module):
    """A network without `encode`: as most code has it, the image is read again in every step of every member."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition) -> object:
        return self.network(x_t, t, condition)


def built(name: str, size: int) -> tuple[SegmentRecipe, Denoiser]:
    """The recipe of a network, and its denoiser with random weights."""
    recipe = SegmentRecipe()
    network = replace(recipe.network, name=name, **NETWORKS[name])
    recipe = replace(recipe, network=network, data=replace(recipe.data, image_size=size))
    with seeded(0):
        return recipe, build.denoiser(recipe, channels=3, num_classes=2).eval()


def segmenter(
    name: str, size: int, steps: int, *, precision: PrecisionName = "auto", batch_size: int = 64, once: bool = True
) -> tuple[DiffusionSegmenter, int]:
    """What the recipe's pipeline would segment with, and its number of weights."""
    recipe, plain = built(name, size)
    network = plain.network if once else ReadsInEveryStep(plain.network)
    network = InPrecision(network, NetworkPrecision("cpu", precision))
    inference = replace(recipe.inference, steps=steps, batch_size=batch_size)
    made = build.kind(recipe).ready(
        replace(recipe, inference=inference),
        Denoiser(network, plain.schedule, plain.prediction),
        build.task(recipe, channels=3, num_classes=2),
        CPU,
    )
    return made, sum(part.numel() for part in plain.network.parameters())


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def ours(name: str, image: Tensor, steps: int, *, shown: str = "", **how) -> Case:
    """A case of this package."""
    made, weights = segmenter(name, image.shape[-1], steps, **how)
    return Case(shown or f"meddiff {name}", weights, str(steps), lambda: cpu_s(lambda: made.members(image, SEEDS)))


def of_lucidrains(image: Tensor, *, width: int, measured: int = 4) -> Case:
    """med-seg-diff-pytorch's own sampling loop, once per member: a few steps, times 1000 and the members."""
    name = f"med-seg-diff-pytorch, dim {width}"
    try:
        from med_seg_diff_pytorch import MedSegDiff, Unet
    except ImportError:
        return Case(name, 0, INSTALL, lambda: float("nan"))
    size = image.shape[-1]
    with seeded(0):
        network = Unet(dim=width, image_size=size, mask_channels=1, input_img_channels=3, dim_mults=(1, 2, 4, 8))
    model = MedSegDiff(network, timesteps=measured).eval()

    def run() -> float:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            return cpu_s(lambda: model.sample(image[None])) / measured * FULL_STEPS * MEMBERS

    weights = sum(part.numel() for part in network.parameters())
    return Case(name, weights, f"{FULL_STEPS} (from {measured}, one member)", run)


def timed(cases: Sequence[Case], rounds: int) -> list[float]:
    """Median CPU seconds of each case; they take turns."""
    found = [[case.run() for case in cases] for _ in range(rounds)]
    return [statistics.median(times) for times in zip(*found, strict=True)]


def extrapolated(case: Case, few: float, more: float) -> tuple[Case, float]:
    """The full number of steps of a network, from its seconds with few and with more steps."""
    row = replace(case, steps=f"{FULL_STEPS} (from {STEPS[0]} and {STEPS[1]})")
    return row, few + (more - few) / (STEPS[1] - STEPS[0]) * (FULL_STEPS - STEPS[0])


def show(title: str, rows: Sequence[tuple[Case, float]], console: Console) -> None:
    """A table whose last column is how many times faster than the first row."""
    table = Table(title=title)
    for column in ("case", "weights (M)", "steps", "CPU seconds", "times faster"):
        table.add_column(column, justify="left" if column in ("case", "steps") else "right")
    for case, value in rows:
        known = (f"{case.weights / 1e6:.1f}", f"{value:,.2f}", f"{rows[0][1] / value:,.1f}")
        weights, seconds, faster = ("-" if "nan" in text or not case.weights else text for text in known)
        table.add_row(case.name, weights, case.steps, seconds, faster)
    console.print(table)


def speed(size: int, rounds: int, console: Console) -> None:
    """Against the other package, and what each part of ours is worth."""
    image = torch.rand(3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    peers = [of_lucidrains(image, width=32), of_lucidrains(image, width=40)]
    measured = [ours(name, image, steps) for name in NETWORKS for steps in STEPS]
    seconds = timed([*peers, *measured], rounds)
    rows = list(zip(peers, seconds, strict=False))
    for n in range(0, len(measured), 2):
        few, more = seconds[len(peers) + n : len(peers) + n + 2]
        rows += [extrapolated(measured[n], few, more), (measured[n + 1], more), (measured[n], few)]
    show(f"{MEMBERS} members of one {size} x {size} image, one thread", rows, console)
    stages = {
        "one member after another, image read in every step": {"precision": "32", "batch_size": 1, "once": False},
        "+ image read once": {"precision": "32", "batch_size": 1},
        "+ members in one batch": {"precision": "32"},
        "+ bf16 where the hardware has it": {},
    }
    for name in NETWORKS:
        cases = [ours(name, image, 3, shown=stage, **how) for stage, how in stages.items()]
        found = zip(cases, timed(cases, max(1, rounds // 2)), strict=True)
        show(f"what makes it fast: {name}, 3 steps", list(found), console)


def dice(steps: int, cases: int, console: Console) -> None:
    """Dice of the fused ensemble by number of sampler steps, each held against 1000 on the same cases."""
    size, members = 64, 8
    recipe = quality.small_recipe(size, steps=steps, channels=(16, 32, 64, 128), recycle=0.5, scale=0.2)
    fitted = quality.fit(recipe, build.DIFFUSION, quality.phantoms(0, 240, size=size))
    test = quality.phantoms(1, cases, size=size)
    found = {
        count: quality.dice_of_cases(quality.with_steps(fitted.segmenter, count), test, members=members)
        for count in (FULL_STEPS, 50, 10, 3, 1)
    }
    table = Table(
        "steps", "mean Dice", f"minus that of {FULL_STEPS} [95%]", title="TwinUNet, ddpm, mean of the members"
    )
    for count, values in sorted(found.items()):
        difference, low, high = quality.mean_with_interval(values - found[FULL_STEPS])
        table.add_row(str(count), f"{values.mean():.4f}", f"{difference:+.4f} [{low:+.4f}, {high:+.4f}]")
    console.print(
        f"{fitted.weights / 1e6:.2f} M weights, {steps} training steps of 16 in {fitted.cpu_s:.0f} CPU seconds; "
        f"{cases} test images of as many patients, {members} members"
    )
    console.print(table)


def raters(steps: int, cases: int, console: Console) -> None:
    """Members against four raters, beside the one answer of a deterministic network trained likewise."""
    size, members, count = 32, 16, 4
    train = quality.rated(range(10_000, 10_400), size=size, raters=count)
    test = quality.rated(range(cases), size=size, raters=count)
    recipe = quality.small_recipe(size, steps=steps, channels=(16, 32, 64), recycle=0.0, scale=0.2)
    single = quality.fit(recipe, "unet", train)
    told = quality.ambiguity(single.segmenter, test, members=1)
    fitted = {
        recycle: quality.fit(replace(recipe, mask=replace(recipe.mask, recycle=recycle)), build.DIFFUSION, train)
        for recycle in (0.0, 0.5)
    }
    table = Table(
        "answer", "steps", "energy distance", "minus the single answer's [95%]", "spread", "spread with raters'",
        title=f"{cases} lesions, {count} raters (spread {told.raters_spread.mean():.3f})",
    )  # fmt: skip
    table.add_row("deterministic U-Net", "-", f"{told.distance.mean():.3f}", "-", "0", "-")
    for recycle, model in fitted.items():
        for number in (1, 3, 10, 20, 50):
            seen = quality.ambiguity(quality.with_steps(model.segmenter, number), test, members=members)
            less, low, high = quality.mean_with_interval(seen.distance - told.distance)
            table.add_row(
                f"{members} members, recycle {recycle}", str(number), f"{seen.distance.mean():.3f}",
                f"{less:+.3f} [{low:+.3f}, {high:+.3f}]", f"{seen.spread.mean():.3f}",
                "-" if np.ptp(seen.spread) == 0 else f"{seen.correlation():+.2f}",
            )  # fmt: skip
    cost = ", ".join(f"{model.cpu_s:.0f}" for model in [single, *fitted.values()])
    console.print(f"{steps} training steps of 16 images of {size} pixels; CPU seconds: {cost}; spread: mean 1 - IoU")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dice", action="store_true", help="Dice by number of steps instead")
    parser.add_argument("--raters", action="store_true", help="members against raters instead")
    parser.add_argument("--size", type=int, default=64, help="pixels per side, of the speed (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of the speed (%(default)s)")
    parser.add_argument("--steps", type=int, default=800, help="training steps of --dice and --raters (%(default)s)")
    parser.add_argument("--cases", type=int, default=24, help="test images of --dice and --raters (%(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=130)
    if given.dice:
        dice(given.steps, given.cases, console)
    elif given.raters:
        raters(given.steps, given.cases, console)
    else:
        speed(given.size, given.rounds, console)


if __name__ == "__main__":
    main()
