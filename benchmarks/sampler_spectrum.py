"""What samplers lose of an image's detail, told by a denoiser that is exact: nothing else can be to blame.

    python benchmarks/sampler_spectrum.py                                   # the table: dB lost at each frequency
    python benchmarks/sampler_spectrum.py --measure isic HAM10000           # the spectrum of a training split
    python benchmarks/sampler_spectrum.py --measure brain_tumor brain-tumor-4class

Data are Gaussian with the mean power of real images at each spatial frequency, stored as a power law (two numbers,
fitted to the training split at 64 px, see `SPECTRA`). Then the modes of the Fourier transform are independent, the
exact denoiser is a formula for each, and what a sampler makes of noise is exact too: it takes no images and no network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from meddiff import build
from meddiff.build import SAMPLERS, SCHEDULES
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.diffusion.times import spaced
from meddiff.errors import InputError
from meddiff.manifest.split import assign_splits
from meddiff.metrics.images.spectrum import radial_power_db
from meddiff.recipe import Recipe

SIDE = 64
FREQUENCIES = (1, 2, 4, 8, 16, 32)
"""Cycles per image."""
SPACINGS = ("trailing", "leading", "linear", "quadratic", "log_snr", "karras")
BY_DRAWS = ("predictor_corrector", "annealed_langevin", "probability_flow")
"""Samplers whose steps depend on the data, or that draw more than once a step: their loss is measured by draws."""


@dataclass(frozen=True)
class PowerLaw:
    """The mean power of images in [-1, 1] at a frequency, where white noise of variance 1 has power 1."""

    amplitude: float
    """Power at one cycle per image."""
    slope: float
    """Power falls with the frequency to this power."""

    def at(self, frequencies: Sequence[float]) -> np.ndarray:
        """Power [F] at these frequencies."""
        return self.amplitude * np.asarray(frequencies, dtype=float) ** -self.slope


SPECTRA = {"skin": PowerLaw(69.4, 3.49), "brain MRI": PowerLaw(25.3, 2.42)}
"""Measured by --measure, of the training splits of HAM10000 and of the brain tumors in four classes."""


def loss_db(
    sampler: Callable, schedule: NoiseSchedule, times: Sequence[float], power: np.ndarray, *, draws: int = 0
) -> np.ndarray:
    """Power [F] that samples lack, in decibel; below 0 they have too much.

    Args:
        sampler: of meddiff.samplers.
        schedule: the noise schedule.
        times: where the sampler's steps lie.
        power: [F], that of the data.
        draws: 0 computes the loss exactly, by the response of a linear sampler to its start and to each draw of
            noise; else it is that of so many samples.
    """
    std = torch.from_numpy(np.sqrt(power))

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.at(t, x_t)
        return alpha * std**2 / (alpha**2 * std**2 + sigma**2) * x_t

    (alpha,), (sigma,) = schedule.scales(times[:1])
    start = (alpha**2 * std**2 + sigma**2).sqrt()
    if draws:
        generator = torch.Generator().manual_seed(0)
        shape = (draws, len(power))
        *_, last = sampler(
            denoise, schedule, start * torch.randn(shape, generator=generator, dtype=torch.float64), times,
            lambda _: torch.randn(shape, generator=generator, dtype=torch.float64),
        )  # fmt: skip
        variance = last.x.square().mean(0)
    else:
        x = torch.zeros(3 * len(times), len(power), dtype=torch.float64)
        x[0] = start

        def impulse(k: int) -> Tensor:
            unit = torch.zeros_like(x)
            unit[k] = 1
            return unit

        *_, last = sampler(denoise, schedule, x, times, impulse)
        variance = last.x.square().sum(0)
    return 10 * np.log10(power / variance.numpy())


def measured(dataset: str, root: str, count: int = 600) -> PowerLaw:
    """The power law of the images of a training split, as they are prepared for a run at 64 px."""
    recipe = Recipe(dataset=dataset)
    rows = assign_splits(build.source(dataset).rows(Path(root)))
    train = [row for row in rows if row.split == "train"]
    chosen = np.random.default_rng(0).permutation(len(train))[:count]
    recipe = replace(recipe, data=replace(recipe.data, image_size=SIDE, channels=3 if dataset == "isic" else 1))
    images = build.images([train[at] for at in sorted(chosen)], recipe, sorted({row.label or "" for row in train}))
    power = radial_power_db(images.batch(range(len(images))).image.numpy())
    power = 10 * np.log10((10 ** (power / 10)).mean(0))
    slope, level = np.polyfit(np.log10(np.arange(1, SIDE // 2 + 1)), power, 1)
    print(f"{len(images)} images: " + ", ".join(f"{k}: {power[k - 1]:.1f} dB" for k in FREQUENCIES))
    return PowerLaw(round(float(10 ** (level / 10)), 1), round(float(-slope / 10), 2))


def main() -> None:
    """Print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", nargs=2, metavar=("DATASET", "FOLDER"), help="print a power law instead")
    parser.add_argument("--steps", type=int, nargs="+", default=[12, 25])
    parser.add_argument("--schedules", nargs="+", default=["cosine", "linear", "rectified_flow", "edm"])
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    given = parser.parse_args()
    if given.measure:
        print(measured(*given.measure))
        return
    for data, law in SPECTRA.items():
        for name in given.schedules:
            schedule = SCHEDULES[name](1000)
            for steps in given.steps:
                print(f"\n{data}, schedule {name}, {steps} steps: dB lost at {', '.join(map(str, FREQUENCIES))} cycles")
                for spacing in SPACINGS:
                    for sampler in given.samplers:
                        print(_line(sampler, spacing, schedule, steps, law), flush=True)


def _line(sampler: str, spacing: str, schedule: NoiseSchedule, steps: int, law: PowerLaw) -> str:
    try:
        times = spaced(schedule, steps, spacing)  # type: ignore[arg-type]
        lost = loss_db(SAMPLERS[sampler], schedule, times, law.at(FREQUENCIES), draws=1000 * (sampler in BY_DRAWS))
    except InputError as error:
        return f"{spacing:10s} {sampler:20s} {str(error)[:80]}"
    return f"{spacing:10s} {sampler:20s} " + " ".join(f"{one:6.1f}" for one in lost)


if __name__ == "__main__":
    main()
