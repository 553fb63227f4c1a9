"""Cases that take turns in one process, so that what else runs on the machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

GEMM = {"cpu": 2048, "cuda": 8192}
"""Sides of the matrix product that says what the machine can reach."""


@dataclass(frozen=True)
class Case:
    """One row of a topic: what is timed, and what it stands for."""

    name: str
    run: Callable[[], object]
    images: int
    """Images (or cases, or numbers) that one run works through."""
    flops: float = 0.0
    """Of one run; 0 where they were not counted."""
    weights: int = 0
    settings: str = ""
    """What it was run with, where the topic does not say it."""
    ours: bool = False


@dataclass(frozen=True)
class Row:
    """What was measured of a case."""

    name: str
    ours: bool
    settings: str
    weights: int
    wall_s: float
    """Median of the rounds; on a GPU by its own events."""
    cpu_s: float
    per_second: float
    """Images per second of wall time."""
    times_first: float
    """Median over the rounds of the first case's speed over this one's: above 1 the first is faster."""
    share_of_peak: float
    """Of what a large bf16 matrix product reaches here; 0 where FLOPs were not counted."""
    memory_mib: float
    """Peak of a GPU's memory; 0 on a CPU (see the topic memory)."""


def measured(cases: Sequence[Case], rounds: int, device: torch.device, peak: float) -> list[Row]:
    """Time all cases in turn, ``rounds`` times and in another order each, after two runs that warm them up.

    Ratios are those within a round; the first case is what the others are compared with.
    """
    memory = [_warm(case, device) for case in cases]
    walls, cpus = [[] for _ in cases], [[] for _ in cases]
    for number in range(rounds):
        order = [(number + place) % len(cases) for place in range(len(cases))]
        for at in order:
            wall, cpu = _timed(cases[at].run, device)
            walls[at].append(wall)
            cpus[at].append(cpu)
    chosen = walls if device.type == "cuda" else cpus
    rows = []
    for at, case in enumerate(cases):
        ratio = statistics.median(own / first for own, first in zip(chosen[at], chosen[0], strict=True))
        wall, cpu = statistics.median(walls[at]), statistics.median(cpus[at])
        spent = wall if device.type == "cuda" else cpu / torch.get_num_threads()
        share = case.flops / spent / peak if peak and spent else 0.0
        rows.append(Row(case.name, case.ours, case.settings, case.weights, wall, cpu, case.images / wall, ratio, share,
                        memory[at]))  # fmt: skip
    return rows


def peak_of(device: torch.device, *, seconds: float = 1.0) -> float:
    """Measure the FLOP/s of a large bf16 matrix product: what the machine can reach at best."""
    side = GEMM[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    best, until = 0.0, time.monotonic() + seconds
    while not best or time.monotonic() < until:
        wall, cpu = _timed(lambda: a @ b, device)
        best = max(best, 2 * side**3 / (wall if device.type == "cuda" else max(wall, cpu / torch.get_num_threads())))
    return best


def _warm(case: Case, device: torch.device) -> float:
    """Run a case until what it does once is done; returns the MiB of a GPU that it takes at most."""
    if device.type != "cuda":
        case.run()
        return 0.0
    for _ in range(6):
        case.run()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    case.run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) / 2**20


def _timed(run: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Return wall and processor seconds of a run."""
    wall, cpu = time.perf_counter(), time.process_time()
    if device.type == "cuda":
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3, time.process_time() - cpu
    run()
    return time.perf_counter() - wall, time.process_time() - cpu
