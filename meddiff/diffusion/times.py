"""Times: which of the T + 1 a sampler with few steps visits, and which a training sample is noised to.

All spacings start where the noise is and end at 0, the data. The times are integers where the rule gives integers, so
that a network sees what it was trained on; the finer rules give fractions, which schedules interpolate.

Uniform t in training is Ho et al. 2020's and needs no code here. Other choices put the effort where it pays: always the
same way, or where the losses of this training are large.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from meddiff.errors import InputError

Spacing = Literal["auto", "trailing", "leading", "linear", "quadratic", "log_snr", "karras"]


class Schedule(Protocol):
    """The part of a schedule that is asked for, of a `meddiff.diffusion.schedule.NoiseSchedule`."""

    @property
    def T(self) -> int: ...  # noqa: D102, N802

    @property
    def alpha(self) -> Tensor: ...  # noqa: D102

    @property
    def sigma(self) -> Tensor: ...  # noqa: D102

    def time_at(self, half_log_snr: Tensor, /) -> Tensor: ...  # noqa: D102


def spaced(schedule: Schedule, steps: int, spacing: Spacing) -> list[float]:
    """Return ``steps + 1`` falling times that end at 0.

    auto        log_snr, or trailing where the schedule ends without signal: there the log-SNR is infinite
    trailing    equal strides down from T, rounded: the only right one of the first three when there are few steps
                (Lin et al. 2023, table 2)
    leading     equal strides up from 1, which misses T (Song et al. 2021a)
    linear      equal strides from T to 1, then 0
    quadratic   equal strides of sqrt(t), finer near the data (Song et al. 2021a, appendix D.2)
    log_snr     equal strides of log(alpha/sigma) (Lu et al. 2022a)
    karras      equal strides of (sigma/alpha)**(1/7) (Karras et al. 2022, eq. 5)
    """
    T, n = schedule.T, steps
    if not 1 <= n <= T:
        raise InputError(f"steps must be between 1 and the schedule's {T}, got {n}")
    if spacing == "auto":
        spacing = "log_snr" if schedule.alpha[-1] else "trailing"
    match spacing:
        case "trailing":
            times: list[float] = [round(T - k * T / n) for k in range(n)]
        case "leading":
            times = [(n - 1 - k) * (T // n) + 1 for k in range(n)]
        case "linear":
            times = [round(t) for t in _line(T, 1, n).tolist()]
        case "quadratic":
            times = _float32(_line(math.sqrt(T), 1, n) ** 2)
        case "log_snr":
            noisiest, cleanest = _ratios(schedule, spacing)
            times = _float32(schedule.time_at(-_line(math.log(noisiest), math.log(cleanest), n)))
        case "karras":
            noisiest, cleanest = (ratio ** (1 / 7) for ratio in _ratios(schedule, spacing))
            times = _float32(schedule.time_at(-7 * _line(noisiest, cleanest, n).log()))
        case _:
            raise InputError(f"unknown spacing {spacing!r}: use one of {', '.join(get_args(Spacing))}")
    return [*times, 0]


def _ratios(schedule: Schedule, spacing: str) -> tuple[float, float]:
    """Return sigma/alpha at T and at 1."""
    if schedule.alpha[-1] == 0:
        raise InputError(f"{spacing} spacing needs a finite log-SNR at T, here alpha[T] is 0; use trailing")
    ratio = schedule.sigma / schedule.alpha
    return ratio[-1].item(), ratio[1].item()


def _line(start: float, end: float, n: int) -> Tensor:
    return torch.linspace(start, end, n, dtype=torch.float64)


def _float32(times: Tensor) -> list[float]:
    """Return times that float32 holds exactly, so that the network and the sampler's coefficients mean the same t."""
    return times.float().tolist()


def log_normal_times(
    schedule: Schedule, count: int, generator: torch.Generator, *, mean: float = -1.2, std: float = 1.2
) -> Tensor:
    """Return [count] float64 t whose log(sigma/alpha) is N(mean, std**2) (Karras et al. 2022, table 1), within 1..T."""
    log_ratio = mean + std * torch.randn(count, generator=generator, device=generator.device, dtype=torch.float64)
    return schedule.time_at(-log_ratio)


class History(Protocol):
    """Memory of earlier steps of a training, on which later losses depend; a part of its state."""

    why_plain: str
    """Why the steps of such a training are no one graph."""

    def end_step(self, gather: Callable[[Tensor], Any]) -> None:
        """Remember a step, with what ``gather`` brings together of all processes."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a resumed training goes on with."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a saved state."""
        ...


class LossAwareTimes:
    """Times drawn in proportion to the root mean square of their last losses (Nichol & Dhariwal 2021, eq. 18).

    A sample of a time drawn with probability p(t) counts 1 / (T p(t)), so the loss has the expectation of uniform times
    and less variance. Until every time has been seen ``remembered`` times, times are uniform.

    The losses are part of the state of a training: see `state_dict`.
    """

    why_plain = "because the times of a step depend on the losses of those before"
    """Why the steps of such a training are no one graph."""

    def __init__(self, T: int, *, remembered: int = 10, uniform: float = 0.001) -> None:
        """Remember that many losses of each of T times; ``uniform`` is the share of draws that ignore them."""
        self.losses = torch.zeros(T, remembered, dtype=torch.float64)
        self.seen = torch.zeros(T, dtype=torch.int64)
        self.uniform = uniform
        self._of_this_step: list[Tensor] = []

    def probabilities(self) -> Tensor:
        """Compute the probability of t = 1..T [T], float64 on the CPU."""
        T, remembered = self.losses.shape
        size = self.losses.square().mean(1).sqrt()
        if bool((self.seen < remembered).any()) or not size.sum():
            return torch.full((T,), 1 / T, dtype=torch.float64)
        return (1 - self.uniform) * size / size.sum() + self.uniform / T

    def at(self, shares: Tensor) -> Tensor:
        """Return the times [N] at which these shares [N] in [0, 1) of all draws are reached."""
        reached = self.probabilities().cumsum(0).to(shares.device, torch.float32)
        return torch.searchsorted(reached, shares, right=True).clamp(max=len(reached) - 1) + 1

    def note(self, t: Tensor, losses: Tensor) -> Tensor:
        """Note the losses [B] at t [B], and return by how much each counts [B]."""
        self._of_this_step.append(torch.stack((t.float(), losses.detach().float()), dim=1))
        return (1 / (len(self.seen) * self.probabilities())).to(losses)[t - 1]

    def end_step(self, gather: Callable[[Tensor], Any]) -> None:
        """Remember the losses noted in a step by all processes, which ``gather`` brings together."""
        for time, loss in gather(torch.cat(self._of_this_step)).reshape(-1, 2).tolist():
            index = int(time) - 1
            self.losses[index, self.seen[index] % self.losses.shape[1]] = loss
            self.seen[index] += 1
        self._of_this_step.clear()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the last losses and how many were seen of each time."""
        return {"losses": self.losses, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what was remembered before."""
        self.losses.copy_(state["losses"])
        self.seen.copy_(state["seen"])


def at_one_time(t: float, count: int, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return t [count] of a batch that is at one time, which `time_of_all` then knows without a look at the device."""
    times = torch.full((count,), t, dtype=dtype, device=device)
    times.of_all = torch.tensor(t, dtype=dtype)  # type: ignore[attr-defined]
    return times


def time_of_all(t: Tensor) -> Tensor:
    """Return the one time of t, 0-dimensional on the CPU, where `at_one_time` made it; else t [B] itself."""
    return getattr(t, "of_all", t)
