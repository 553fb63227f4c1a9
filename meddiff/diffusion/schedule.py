"""Noise schedules: how much data and how much noise there is in x_t.

    x_t = alpha[t] x_0 + sigma[t] eps,      eps ~ N(0, 1),      t = 0 (data) ... T (noise)

numbered as in Ho et al. 2020 (eq. 4), whose alpha_bar_t is alpha[t]**2 here. A schedule is two tables in float64;
everything else follows from them. Only the ratio sigma/alpha tells how hard x_t is to denoise:

    SNR_t = alpha[t]**2 / sigma[t]**2,      lambda_t = log(alpha[t] / sigma[t])      (half the log-SNR)

It falls strictly with t. Integer t reads the tables; between them lambda and log(alpha**2 + sigma**2) are linear in
t (Kingma et al. 2021 and Lu et al. 2022 integrate in lambda for the same reason). Where lambda is infinite, at t = 0
and at a zero terminal SNR, the angle arctan(sigma/alpha) is linear instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from meddiff.diffusion.times import Spacing, spaced
from meddiff.errors import InputError


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """Two float64 tables, ``alpha`` and ``sigma``, both [T + 1] with alpha[0] = 1 and sigma[0] = 0."""

    alpha: Tensor
    sigma: Tensor
    _on_device: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse tables of another precision, tables that do not start at the data, and an SNR that does not fall."""
        if self.alpha.dtype != torch.float64 or self.sigma.dtype != torch.float64:
            raise InputError(f"a schedule's tables must be float64, got {self.alpha.dtype} and {self.sigma.dtype}")
        if self.alpha.ndim != 1 or self.alpha.shape != self.sigma.shape or len(self.alpha) < 2:
            raise InputError(f"alpha and sigma must both be [T + 1], got {self.alpha.shape} and {self.sigma.shape}")
        if self.alpha[0] != 1 or self.sigma[0] != 0:
            raise InputError(f"t = 0 is data: alpha[0], sigma[0] must be 1, 0, got {self.alpha[0]}, {self.sigma[0]}")
        angle = torch.atan2(self.sigma, self.alpha)
        if not bool((angle.diff() > 0).all()) or not bool((self.alpha >= 0).all()):
            raise InputError("the signal-to-noise ratio alpha**2 / sigma**2 must fall strictly from t = 0 to T")

    @property
    def T(self) -> int:  # noqa: N802
        """Number of noise levels: t runs from 0 (data) to T (noise)."""
        return len(self.alpha) - 1

    def at(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``alpha[t]`` and ``sigma[t]`` of a batch, ready to be multiplied with it.

        Args:
            t: [B], 0..T; an integer tensor reads the tables, a float one interpolates.
            like: [B, C, *S], gives device, rank and dtype (half precision gets float32: a table is never rounded).

        Returns:
            Two tensors [B, 1, ..., 1].
        """
        (alpha, sigma), t = self._tables_on(like.device), t.to(like.device)
        scales = interpolate(alpha, sigma, t) if t.is_floating_point() else (alpha.gather(0, t), sigma.gather(0, t))
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        alpha_t, sigma_t = (scale.to(dtype).view(-1, *[1] * (like.ndim - 1)) for scale in scales)
        return alpha_t, sigma_t

    def _tables_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return alpha and sigma on a device, brought there once."""
        if device not in self._on_device:
            self._on_device[device] = self.alpha.to(device), self.sigma.to(device)
        return self._on_device[device]

    def scales(self, timesteps: Sequence[float]) -> tuple[list[float], list[float]]:
        """Return ``alpha`` and ``sigma`` at some t as Python floats: what a sampler computes its coefficients from."""
        if not all(0 <= t <= self.T for t in timesteps):
            raise InputError(f"timesteps must lie in 0..{self.T}, got {list(timesteps)}")
        alpha, sigma = interpolate(self.alpha, self.sigma, torch.tensor(timesteps, dtype=torch.float64))
        return alpha.tolist(), sigma.tolist()

    def diffuse(self, x_0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Draw x_t ~ q(x_t | x_0) (Ho et al. 2020, eq. 4): ``alpha[t] x_0 + sigma[t] eps``, t [B]."""
        alpha, sigma = self.at(t, x_0)
        return alpha * x_0 + sigma * eps

    def start(self, eps: Tensor) -> Tensor:
        """Draw x_T ~ p(x_T) = N(0, sigma[T]**2), from standard normal ``eps``."""
        return self.sigma[-1].item() * eps

    def time_at(self, half_log_snr: Tensor) -> Tensor:
        """Give the t (float64, clamped to 1..T) at which log(alpha/sigma) has a given value: the inverse of ``at``."""
        alpha, sigma = self._tables_on(half_log_snr.device)
        angle = torch.atan2(sigma, alpha)[1:]
        table = -torch.log(torch.tan(angle))  # falls with t; finite but at a zero terminal SNR, where it is about -37
        wanted = half_log_snr.to(table).clamp(table[-1], table[0])
        right = torch.searchsorted(-table, -wanted).clamp(1, len(table) - 1)
        return right + (table[right - 1] - wanted) / (table[right - 1] - table[right])

    def timesteps(self, steps: int, spacing: Spacing = "trailing") -> list[float]:
        """Return ``steps + 1`` times for a sampler to walk along, falling from T (or near it) to 0; see ``spacing``."""
        return spaced(self, steps, spacing)


def interpolate(alpha: Tensor, sigma: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Read tables at float ``t``: exact on grid, linear in log(alpha/sigma) and log(alpha**2 + sigma**2) between."""
    t = t.to(torch.float64)
    left = t.floor().long().clamp(0, len(alpha) - 2)
    part = t - left
    a_0, s_0, a_1, s_1 = alpha[left], sigma[left], alpha[left + 1], sigma[left + 1]
    half_log_snr = torch.lerp((a_0 / s_0).log(), (a_1 / s_1).log(), part)
    angle = torch.lerp(torch.atan2(s_0, a_0), torch.atan2(s_1, a_1), part)
    angle = torch.where(half_log_snr.isfinite(), torch.atan(torch.exp(-half_log_snr)), angle)
    radius = torch.lerp((a_0**2 + s_0**2).log(), (a_1**2 + s_1**2).log(), part).mul(0.5).exp()
    alpha_t = torch.where(part == 0, a_0, torch.where(part == 1, a_1, radius * angle.cos()))
    sigma_t = torch.where(part == 0, s_0, torch.where(part == 1, s_1, radius * angle.sin()))
    return alpha_t, sigma_t


def from_betas(beta: Tensor) -> NoiseSchedule:
    """Build what q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t) makes, variance preserving.

    ``beta`` is [T] float64.
    """
    log_alpha_bar = torch.log1p(-beta).cumsum(0)
    log_alpha_bar = torch.cat([log_alpha_bar.new_zeros(1), log_alpha_bar])
    return NoiseSchedule(torch.exp(0.5 * log_alpha_bar), torch.expm1(log_alpha_bar).abs().sqrt())


def linear(T: int = 1000, *, beta_1: float = 1e-4, beta_T: float = 0.02) -> NoiseSchedule:
    """Build the schedule of Ho et al. 2020, section 4: beta_t linear in t.

    The betas are those for T = 1000; for another T they are scaled by 1000/T, which leaves the SNR at both ends
    where it was (Nichol & Dhariwal 2021, released code).
    """
    return from_betas(_scaled(torch.linspace(beta_1, beta_T, T, dtype=torch.float64), T))


def cosine(T: int = 1000, *, offset: float = 0.008) -> NoiseSchedule:
    """Build the schedule of Nichol & Dhariwal 2021.

    Eq. 17: alpha_bar_t = cos^2 of (t/T + offset) / (1 + offset) pi/2, beta_t <= 0.999.
    """
    angle = (torch.arange(T + 1, dtype=torch.float64) / T + offset) / (1 + offset) * math.pi / 2
    return from_betas(_capped(torch.cos(angle) ** 2))


def scaled_linear(T: int = 1000, *, beta_1: float = 0.00085, beta_T: float = 0.012) -> NoiseSchedule:
    """Build the schedule of Rombach et al. 2022, released code: the square root of beta_t linear in t.

    It is made for latents: less noise early.
    """
    root = torch.linspace(math.sqrt(beta_1), math.sqrt(beta_T), T, dtype=torch.float64)
    return from_betas(_scaled(root**2, T))


def sigmoid(T: int = 1000, *, start: float = -3.0, end: float = 3.0, temperature: float = 1.0) -> NoiseSchedule:
    """Build the schedule of Jabri et al. 2022: alpha_bar_t = a sigmoid in t, shifted and scaled to run from 1 to 0."""
    t = torch.arange(T + 1, dtype=torch.float64) / T
    fall = torch.sigmoid(-(start + t * (end - start)) / temperature)
    return from_betas(_capped((fall - fall[-1]) / (fall[0] - fall[-1])))


def zero_terminal_snr(schedule: NoiseSchedule) -> NoiseSchedule:
    """Build the schedule of Lin et al. 2023, algorithm 1: alpha shifted and scaled so that nothing of x_0 is left at T.

    x_T is then pure noise in training as in sampling; without it a model cannot make very dark or bright images.
    """
    alpha = (schedule.alpha - schedule.alpha[-1]) / (1 - schedule.alpha[-1])
    return NoiseSchedule(alpha, (1 - alpha**2).sqrt())


def exponential(T: int = 1000, *, sigma_min: float = 0.01, sigma_max: float = 50.0) -> NoiseSchedule:
    """Build the schedule of NCSN, variance exploding: sigma is geometric.

    Song & Ermon 2019; Song et al. 2021b, eq. 30.
    """
    return _exploding(torch.linspace(math.log(sigma_min), math.log(sigma_max), T, dtype=torch.float64).exp())


def edm(T: int = 1000, *, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> NoiseSchedule:
    """Build the schedule of Karras et al. 2022, eq. 5: sigma**(1/rho) linear in t, nothing scaled."""
    return _exploding(torch.linspace(sigma_min ** (1 / rho), sigma_max ** (1 / rho), T, dtype=torch.float64) ** rho)


def sub_vp(T: int = 1000, *, beta_min: float = 0.1, beta_max: float = 20.0) -> NoiseSchedule:
    """Build the schedule of Song et al. 2021b, sub-VP.

    Eq. 29: alpha of the continuous linear schedule, but sigma = 1 - alpha**2, its square.
    """
    t = torch.arange(T + 1, dtype=torch.float64) / T
    log_alpha_bar = -(beta_min * t + 0.5 * (beta_max - beta_min) * t**2)
    return NoiseSchedule(torch.exp(0.5 * log_alpha_bar), torch.expm1(log_alpha_bar).abs())


def rectified_flow(T: int = 1000) -> NoiseSchedule:
    """Build the schedule of Liu et al. 2023.

    Eq. 1: the straight line from data to noise, alpha = 1 - t/T and sigma = t/T.
    """
    sigma = torch.arange(T + 1, dtype=torch.float64) / T
    return NoiseSchedule(1 - sigma, sigma)


def _scaled(beta: Tensor, T: int) -> Tensor:
    if 1000 / T * beta[-1] >= 1:
        raise InputError(f"this schedule needs T > {1000 * beta[-1]:g}, got {T}: use more timesteps or cosine")
    return 1000 / T * beta


def _capped(alpha_bar: Tensor) -> Tensor:
    """Return the betas of a given alpha_bar, at most 0.999 as in Nichol & Dhariwal 2021: alpha_bar[T] may be 0."""
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)


def _exploding(sigma: Tensor) -> NoiseSchedule:
    return NoiseSchedule(torch.ones(len(sigma) + 1, dtype=sigma.dtype), torch.cat([sigma.new_zeros(1), sigma]))
