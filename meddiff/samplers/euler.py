"""Euler's method in rho = sigma/alpha, deterministic and ancestral (Karras et al. 2022, algorithm 1; k-diffusion).

In y = x/alpha the probability-flow ODE is dy/d(rho) = eps (see ``diffusion.process``). Its Euler step
y_s = y_t + (rho_s - rho_t) eps is DDIM's step, multiplied by alpha_s. Euler-ancestral goes down to
rho_down = rho_s**2 / rho_t (eta = 1) and adds noise up to rho_s again, which is DDIM's step with the same eta. Two
names, one algorithm: so this file computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from meddiff.diffusion.denoiser import Denoise
from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.samplers.ddim import ddim
from meddiff.samplers.step import Noise, Step


def euler(
    denoise: Denoise, schedule: NoiseSchedule, x_T: Tensor, timesteps: Sequence[float], noise: Noise | None = None
) -> Iterator[Step]:
    """Yield Euler steps of the probability-flow ODE in sigma/alpha; ``noise`` is not used."""
    return ddim(denoise, schedule, x_T, timesteps, noise, eta=0.0)


def euler_ancestral(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x_T: Tensor,
    timesteps: Sequence[float],
    noise: Noise | None,
    *,
    eta: float = 1.0,
) -> Iterator[Step]:
    """Yield Euler steps that go too far down by a share ``eta`` of the ancestral step's noise, then add it."""
    return ddim(denoise, schedule, x_T, timesteps, noise, eta=eta)
