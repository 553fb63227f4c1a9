"""The work of `likelihood`: sets of images, their bits per dimension with intervals by patient, tables and a figure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from meddiff.errors import InputError
from meddiff.files.long_tables import write_table
from meddiff.files.writing import write_atomically
from meddiff.formats import read_picture
from meddiff.formats.find import find
from meddiff.images.case import case_of_picture
from meddiff.inference.likelihoods import Likelihood, Terms, strata
from meddiff.jobs.progress import bar
from meddiff.jobs.splits import labeled
from meddiff.metrics.classifiers.discrimination import auroc
from meddiff.metrics.resampling import USUAL
from meddiff.recipe import generators as settings_of
from meddiff.recipe import of_volumes
from meddiff.run import Run
from meddiff.seeds import child_seed
from meddiff.trained import TrainedGenerator
from meddiff.training.fabric import build_fabric

OTHER = "input"
"""Name of the set that is no split."""


@dataclass(frozen=True)
class Set:
    """Images that are asked about together."""

    name: str
    names: tuple[str, ...]
    groups: tuple[str, ...]
    """Patient, or lesion, of each."""
    images: Tensor
    """[N, C, *S] in [-1, 1]."""


@dataclass(frozen=True)
class Asked:
    """A set, and what the generator says of it."""

    of: Set
    terms: tuple[Terms, ...]
    """Of each draw of the noise."""
    flow: np.ndarray
    """[probes, n] bits per dimension of the first n images."""

    @property
    def bits(self) -> np.ndarray:
        """[N] the bound, the mean over the draws."""
        return np.mean([terms.total for terms in self.terms], axis=0)

    @property
    def steps(self) -> np.ndarray:
        """[N, strata] L_t of each stratum, the mean over the draws."""
        return np.mean([terms.steps for terms in self.terms], axis=0)


def run(settings: settings_of.Likelihood, generator: TrainedGenerator, console: Console) -> Path:
    """Ask about all images; write likelihood.csv, levels.csv and likelihood.png; returns the first.

    Raises:
        InputError: images that cannot be read, or none; a generator without test images.
    """
    device = build_fabric().device
    levels = 2 ** (16 if generator.transform.deep else 8)
    likelihood = Likelihood(generator.model.denoiser, levels, device, settings.levels)
    sets = list(_sets(settings, generator, console))
    asked = [_ask(likelihood, one, settings, console) for one in sets]
    folder = Path(settings.output).expanduser()
    edges = strata(likelihood.denoiser.schedule.T, settings.levels)
    write_table(pd.concat([_lines(one) for one in asked]), folder / "likelihood.csv")
    write_table(pd.concat([_levels(one, edges) for one in asked]), folder / "levels.csv")
    write_atomically(folder / "likelihood.png", lambda file: _draw(asked, edges, file))
    console.print(_table(asked))
    for sentence in _sentences(asked):
        console.print(sentence, soft_wrap=True)
    console.print(f"tables and figure: {folder / 'likelihood.csv'}", soft_wrap=True)
    return folder / "likelihood.csv"


def _sets(settings: settings_of.Likelihood, generator: TrainedGenerator, console: Console) -> Iterator[Set]:
    """Read the images of the split and those of a user."""
    if settings.split != "none":
        run = Run(generator.recipe, generator.folder, console)
        if not run.folder.manifest.is_file():
            raise InputError(
                f"{settings.checkpoint} has no manifest.csv, and so no {settings.split} images: name its run folder, "
                "or ask about images of your own with --split none --input FOLDER"
            )
        if not run.of(settings.split):
            raise InputError(f"{run.folder.manifest} has no {settings.split} images: name another --split")
        images = labeled(run, settings.split)
        chosen = _first([row.row_id for row in images.rows], settings.images)
        rows = [images.rows[position] for position in chosen]
        yield Set(settings.split, tuple(row.row_id for row in rows), tuple(row.group for row in rows),
                  images.batch(chosen).image)  # fmt: skip
    if settings.input:
        yield _of_a_user(settings, generator)


def _of_a_user(settings: settings_of.Likelihood, generator: TrainedGenerator) -> Set:
    if of_volumes(generator.recipe):
        raise InputError(f"--input holds pictures, and {settings.checkpoint} was trained on volumes: leave it out")
    pictures = {one.name: one.path for one in find(Path(settings.input).expanduser()) if one.kind == "picture"}
    if not pictures:
        raise InputError(f"--input {settings.input}: there is no picture in it")
    names = [list(pictures)[position] for position in _first(list(pictures), settings.images)]
    cases = [case_of_picture(name, read_picture(pictures[name]), generator.transform) for name in names]
    return Set(OTHER, tuple(names), tuple(names), torch.from_numpy(np.stack([case.image for case in cases])))


def _first(names: Sequence[str], count: int) -> list[int]:
    """Choose so many, always the same ones, whatever their order."""
    by_hash = sorted(range(len(names)), key=lambda position: hashlib.sha256(names[position].encode()).hexdigest())
    return sorted(by_hash[:count])


def _ask(likelihood: Likelihood, one: Set, settings: settings_of.Likelihood, console: Console) -> Asked:
    size = settings.batch_size
    starts = [(draw, start) for draw in range(settings.draws) for start in range(0, len(one.names), size)]
    parts: dict[int, list[Terms]] = {}
    for draw, start in bar(console, f"{one.name}: bound", unit="batches")(starts, len(starts)):
        seeds = [child_seed(settings.seed, "likelihood", name, draw) for name in one.names[start : start + size]]
        parts.setdefault(draw, []).append(likelihood.bound(one.images[start : start + size], seeds))
    terms = tuple(_joined(some) for some in parts.values())
    if likelihood.denoiser.schedule.alpha[-1] == 0 and settings.flow:
        console.print("no probability flow: the schedule leaves no signal at T", soft_wrap=True)
    count = 0 if likelihood.denoiser.schedule.alpha[-1] == 0 else min(settings.flow, len(one.names))
    flows = [np.zeros((max(1, settings.probes), 0))]
    for start in bar(console, f"{one.name}: flow", unit="batches")(range(0, count, size), -(-count // size)):
        part = slice(start, min(start + size, count))
        seeds = [child_seed(settings.seed, "flow", name) for name in one.names[part]]
        flows.append(likelihood.flow(one.images[part], seeds, probes=settings.probes, tolerance=settings.tolerance))
    return Asked(one, terms, np.concatenate(flows, axis=1))


def _joined(parts: Sequence[Terms]) -> Terms:
    return Terms(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("prior", "steps", "decoder")))


def _lines(asked: Asked) -> pd.DataFrame:
    """Return one line per image; the spread is that of the draws, or of the probes, where there are several."""
    terms, count = asked.terms, len(asked.of.names)
    flow = np.full((len(asked.flow), count), np.nan)
    flow[:, : asked.flow.shape[1]] = asked.flow
    return pd.DataFrame({
        "set": asked.of.name, "name": asked.of.names, "group": asked.of.groups, "bits": asked.bits.round(5),
        "bits_std_error": _std_error(np.stack([one.total for one in terms])),
        "L_T": np.mean([one.prior for one in terms], axis=0), "L_t": asked.steps.sum(1).round(5),
        "L_0": np.mean([one.decoder for one in terms], axis=0).round(5), "flow_bits": flow.mean(0).round(5),
        "flow_std_error": _std_error(flow),
    })  # fmt: skip


def _std_error(draws: np.ndarray) -> np.ndarray:
    """Compute the standard error of the mean of draws [R, N]; NaN of a single one, of which nobody knows it."""
    if len(draws) < 2:
        return np.full(draws.shape[1], np.nan)
    return (draws.std(axis=0, ddof=1) / np.sqrt(len(draws))).round(5)


def _levels(asked: Asked, edges: Sequence[int]) -> pd.DataFrame:
    """Return one line per stratum of noise levels: the mean of its L_t, with an interval by patient."""
    sizes = np.diff(edges)
    per_level = asked.steps / sizes
    means, lows, highs = _interval(per_level, asked.of.groups)
    return pd.DataFrame({
        "set": asked.of.name, "first_t": edges[:-1], "last_t": np.asarray(edges[1:]) - 1, "L_t_each": means,
        "low": lows, "high": highs, "L_t_together": means * sizes,
    })  # fmt: skip


def _interval(values: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute means of values [N, K] with 95% intervals, patients drawn anew; each [K]."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    weights = USUAL.weights(np.zeros(len(names), dtype=int), "likelihood")[member]  # [N, resamples + 1], the first ones
    means = weights.T @ values / weights.sum(0)[:, None]
    intervals = np.array([USUAL.interval(column) for column in means[1:].T]).reshape(-1, 2)
    return means[0], intervals[:, 0], intervals[:, 1]


def _table(asked: Sequence[Asked]) -> Table:
    table = Table("set", "images", "patients", "bits per dimension (95%)", "L_T", "sum of L_t", "L_0", "flow (n)")
    for one in asked:
        (mean,), (low,), (high,) = _interval(one.bits[:, None], one.of.groups)
        lines = _lines(one)
        flow = f"{one.flow.mean():.3f} ({one.flow.shape[1]})" if one.flow.size else "-"
        table.add_row(one.of.name, str(len(one.of.names)), str(len(set(one.of.groups))),
                      f"{mean:.3f} ({low:.3f} to {high:.3f})", f"{lines['L_T'].mean():.2g}",
                      f"{lines['L_t'].mean():.3f}", f"{lines['L_0'].mean():.3f}", flow)  # fmt: skip
    return table


def _sentences(asked: Sequence[Asked]) -> list[str]:
    """Say what the figures mean, and what they do not."""
    said = []
    spread = _std_error(asked[0].flow) if asked[0].flow.size else np.zeros(0)
    if np.isfinite(spread).any():
        said.append(f"flow: standard error of the random trace {np.nanmean(spread):.4f} bits per image (--probes)")
    if len(asked) == 2:
        known, other = (one.bits for one in asked)
        truth = np.repeat([0, 1], [len(known), len(other)])
        bits = np.concatenate([known, other])
        apart = auroc(truth, np.stack([-bits, bits], axis=1))[1]
        more = "more" if other.mean() > known.mean() else "fewer"
        said.append(
            f"{asked[1].of.name} takes {abs(other.mean() - known.mean()):.3f} bits per dimension {more} than "
            f"{asked[0].of.name}; bits tell an image of the one from one of the other with an AUROC of {apart:.3f}"
        )
    said.append(
        "A likelihood is no test of being like the training images: smooth and dark images take few bits whatever they "
        "show (Nalisnick et al. 2019). `segment predict` says unlike_training by other means."
    )
    return said


def _draw(asked: Sequence[Asked], edges: Sequence[int], file: Any) -> None:
    """Draw L_t over the noise levels, and how many images take how many bits, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    curve, counts = figure.subplots(1, 2)
    middle = np.sqrt(np.asarray(edges[:-1]) * (np.asarray(edges[1:]) - 1.0))
    bins = np.histogram_bin_edges(np.concatenate([one.bits for one in asked]), 30).tolist()
    for one in asked:
        lines = _levels(one, edges)
        curve.plot(middle, lines["L_t_each"], label=f"{one.of.name} ({len(one.of.names)} images)")
        curve.fill_between(middle, lines["low"], lines["high"], alpha=0.3)
        counts.hist(one.bits, bins, density=True, alpha=0.5, label=one.of.name)
    curve.set(xscale="log", yscale="log", xlabel="noise level t", ylabel="L_t, bits per dimension",
              title="What each noise level costs (bands: 95% by patient)")  # fmt: skip
    counts.set(xlabel="bits per dimension", ylabel="density", title="Images by their bits (no test of likeness)")
    curve.legend()
    counts.legend()
    figure.savefig(file, format="png", dpi=110)
