"""An adaptive Runge-Kutta integrator in which every sample of a batch has its own clock.

Dormand & Prince 1980, order 5 with an error estimate of order 4, the pair behind scipy's RK45. The usual batched form
takes one step size for all samples, so that a sample's path would depend on its neighbors; here each has its own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from meddiff.errors import InputError

_NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),  # the solution itself
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def integrate(
    slope: Callable[[Tensor, Tensor], Tensor],
    y: Tensor,
    start: float,
    end: float,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_steps: int = 10_000,
) -> Tensor:
    """Return y(end) of dy/du = slope(u, y) from y(start) = y [B, *D]; u [B] float64 differs between samples on the way.

    Raises:
        InputError: a sample needed more than ``max_steps``; the tolerances are too fine or the slope is not smooth.
    """
    u = torch.full((len(y),), start, dtype=torch.float64, device=y.device)
    h = torch.full_like(u, end - start)  # the error estimate cuts it down to size
    first = slope(u, y)
    for _ in range(max_steps):
        h = torch.where((end - u - h) * (end - start) > 0, h, end - u)  # the last stride ends at the end
        stages = [first]
        for node, weights in zip(_NODES, _STAGES, strict=True):
            candidate = y + _wide(h, y) * _combine(weights, stages)
            stages.append(slope(u + node * h, candidate))
        error = _wide(h, y) * _combine(_ERROR, stages) / (atol + rtol * torch.maximum(y.abs(), candidate.abs()))
        size = error.flatten(1).square().mean(1).sqrt().double()
        accepted = size <= 1
        u = torch.where(accepted, u + h, u)
        y = torch.where(_wide(accepted, y), candidate, y)
        first = torch.where(_wide(accepted, y), stages[-1], first)
        if bool((u == end).all()):
            return y
        h = h * (0.9 * size.clamp(min=1e-10) ** -0.2).clamp(0.2, 10)
    raise InputError(f"the adaptive solver needed more than {max_steps} steps at rtol={rtol}, atol={atol}: raise them")


def _combine(weights: tuple[float, ...], stages: list[Tensor]) -> Tensor:
    total = weights[0] * stages[0]
    for weight, stage in zip(weights[1:], stages[1:], strict=True):
        if weight:
            total = total.add(stage, alpha=weight)
    return total


def _wide(per_sample: Tensor, like: Tensor) -> Tensor:
    """Return [B] as [B, 1, ..., 1], in the state's dtype unless bool."""
    wide = per_sample.view(-1, *[1] * (like.ndim - 1))
    return wide if wide.dtype == torch.bool else wide.to(like.dtype)
