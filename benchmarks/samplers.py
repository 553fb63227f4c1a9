"""Sampling loops: how exact and how fast, meddiff against MONAI, diffusers and (where installed) k-diffusion.

    python benchmarks/samplers.py --rounds 7

Error: the standard deviation of samples from data N(0.2, std**2), whose exact denoiser is known, so that whatever is
missing is the sampler's fault. Time: microseconds of CPU per step on one thread at [16, 3, 64, 64] with a network that
returns its input; the libraries take turns, and the median of the rounds is shown. "lean" is the least that a loop can
do: coefficients as Python floats, two or three operations. All use equal strides of t from T on where they can
("trailing"); MONAI has its own grid.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import diffusers
import torch
from monai.networks import schedulers as monai
from rich.console import Console
from rich.table import Table
from torch import Tensor

from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.schedule import linear
from meddiff.diffusion.times import Spacing
from meddiff.samplers.ddim import ddim
from meddiff.samplers.ddpm import ddpm
from meddiff.samplers.dpm_solver import dpm_solver
from meddiff.samplers.heun import heun
from meddiff.samplers.pndm import pndm
from meddiff.samplers.unipc import unipc

SCHEDULE = linear(1000)
MEAN = 0.2
BETAS = {"beta_start": 1e-4, "beta_end": 0.02}
Loop = Callable[[Callable[[Tensor, Tensor], Tensor], Tensor, int], Tensor]
"""(eps network, x_T, steps) -> x_0"""


def ours(sampler: Callable, *, spacing: Spacing = "trailing") -> Loop:
    def run(network: Callable, x: Tensor, steps: int) -> Tensor:
        noise = PerSampleNoise(range(len(x)), x.shape[1:]) if sampler is ddpm else None

        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            alpha, sigma = SCHEDULE.at(t[:1], x_t)
            return (x_t - sigma * network(x_t, t - 1)) / alpha

        given = identity if network is identity else denoise
        for step in sampler(given, SCHEDULE, x, SCHEDULE.timesteps(steps, spacing), noise):
            x = step.x
        return x

    return run


def of_diffusers(make: Callable, **options: object) -> Loop:
    def run(network: Callable, x: Tensor, steps: int) -> Tensor:
        scheduler = make(1000, **BETAS, **options)
        scheduler.set_timesteps(steps)
        x = x * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            x = scheduler.step(network(scheduler.scale_model_input(x, t), t.expand(len(x))), t, x).prev_sample
        return x

    return run


def of_monai(make: Callable, **options: object) -> Loop:
    def run(network: Callable, x: Tensor, steps: int) -> Tensor:
        scheduler = make(1000, **BETAS, **options)
        scheduler.set_timesteps(steps)
        for t in scheduler.timesteps:
            x, _ = scheduler.step(network(x, t.expand(len(x))), t, x)
        return x

    return run


def lean(weights: int) -> Loop:
    def run(network: Callable, x: Tensor, steps: int) -> Tensor:
        table, last = [(0.99, 0.01, 0.001)] * steps, x
        for a, b, c in table:
            x_0 = network(x, None)
            x = torch.mul(x, a).add_(x_0, alpha=b)
            if weights == 3:
                x.add_(last, alpha=c)
            last = x_0
        return x

    return run


def of_k_diffusion(name: str) -> Loop | None:
    try:
        from k_diffusion import sampling
    except ImportError:
        return None

    def run(network: Callable, x: Tensor, steps: int) -> Tensor:
        ratio = SCHEDULE.sigma / SCHEDULE.alpha
        times = SCHEDULE.timesteps(steps)
        sigmas = ratio[times].float()
        levels = {round(s, 4): t for s, t in zip(sigmas.tolist(), times, strict=True)}

        def model(y: Tensor, sigma: Tensor) -> Tensor:
            t = levels[round(float(sigma[0]), 4)]
            return y - sigma.view(-1, *[1] * (y.ndim - 1)) * network(
                y * SCHEDULE.alpha[t].item(), torch.tensor([t - 1])
            )

        return getattr(sampling, name)(model, x * sigmas[0], sigmas, disable=True)

    return run


def identity(x: Tensor, t: Tensor | None) -> Tensor:
    return x


TRAILING = {"timestep_spacing": "trailing"}
LOOPS: dict[str, dict[str, Loop | None]] = {
    "DDPM": {
        "meddiff": ours(ddpm),
        "diffusers": of_diffusers(diffusers.DDPMScheduler, clip_sample=False, **TRAILING),
        "MONAI": of_monai(monai.DDPMScheduler, clip_sample=False),
    },
    "DDIM": {
        "lean": lean(2),
        "meddiff": ours(ddim),
        "diffusers": of_diffusers(diffusers.DDIMScheduler, clip_sample=False, **TRAILING),
        "MONAI": of_monai(monai.DDIMScheduler, clip_sample=False),
        "k-diffusion": of_k_diffusion("sample_euler"),
    },
    "PLMS": {
        "meddiff": ours(pndm),
        "diffusers": of_diffusers(diffusers.PNDMScheduler, skip_prk_steps=True, set_alpha_to_one=True, **TRAILING),
        "MONAI": of_monai(monai.PNDMScheduler, skip_prk_steps=True, set_alpha_to_one=True),
    },
    "DPM-Solver++(2M)": {
        "lean": lean(3),
        "meddiff": ours(dpm_solver),
        "meddiff, log_snr": ours(dpm_solver, spacing="log_snr"),
        "diffusers": of_diffusers(diffusers.DPMSolverMultistepScheduler, final_sigmas_type="zero", **TRAILING),
        "k-diffusion": of_k_diffusion("sample_dpmpp_2m"),
    },
    "UniPC-2": {
        "meddiff": ours(unipc),
        "meddiff, log_snr": ours(unipc, spacing="log_snr"),
        "diffusers": of_diffusers(diffusers.UniPCMultistepScheduler, final_sigmas_type="zero", **TRAILING),
    },
    "Heun": {
        "meddiff": ours(heun),
        "diffusers": of_diffusers(diffusers.HeunDiscreteScheduler, **TRAILING),
        "k-diffusion": of_k_diffusion("sample_heun"),
    },
}


def deviation(loop: Loop, std: float, steps: int) -> float:
    """Standard deviation of a loop's samples from N(MEAN, std**2); the truth is std."""

    def eps(x: Tensor, t: Tensor) -> Tensor:
        (a,), (s,) = SCHEDULE.scales([t.flatten()[0].item() + 1])
        return s * (x - a * MEAN) / (a**2 * std**2 + s**2)

    x_T = PerSampleNoise(range(16), (4096,))(0)
    (alpha,), (sigma,) = SCHEDULE.scales([1000])
    x_T = x_T * math.hypot(alpha * std, sigma) + alpha * MEAN
    torch.manual_seed(0)
    return loop(eps, x_T, steps).std().item()


def microseconds(loop: Loop, x: Tensor, steps: int = 50) -> float:
    start = time.process_time()
    loop(identity, x, steps)
    return (time.process_time() - start) / steps * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="repetitions of the timing")
    parser.add_argument("--stds", type=float, nargs="+", default=[0.3, 0.02], help="true standard deviations")
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 20, 50, 250], help="numbers of steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    loops = {(name, who): loop for name, kinds in LOOPS.items() for who, loop in kinds.items() if loop is not None}

    x = torch.randn(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    times: dict[tuple[str, str], list[float]] = {key: [] for key in loops}
    for _ in range(options.rounds + 1):  # the first warms up
        for key, loop in loops.items():
            times[key].append(microseconds(loop, x))

    table = Table(title=f"std of the samples (true: {', '.join(map(str, options.stds))}) and time per step")
    for column in ("sampler", "library", *(f"{std} n={n}" for std in options.stds for n in options.steps), "us/step"):
        table.add_column(column, justify="left" if column in ("sampler", "library") else "right")
    for (name, who), loop in loops.items():
        reached = [deviation(loop, std, n) for std in options.stds for n in options.steps] if who != "lean" else []
        shown = [f"{value:.3f}" for value in reached] or ["-"] * (len(options.stds) * len(options.steps))
        table.add_row(name, who, *shown, f"{statistics.median(times[name, who][1:]):.0f}")
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
