"""The work of ``evaluate images``: features once, distances beside real halves, copies, tables and a report.

Its settings, read: the images or volumes of each option, with their features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from meddiff import build
from meddiff.errors import InputError
from meddiff.evaluation.images.copies import HELD_OUT, SYNTHETIC, Copies, Pair, copies, nearest_pairs
from meddiff.evaluation.images.given import common_side, holds_volumes, list_images, list_volumes
from meddiff.evaluation.images.measures import MEASURES, Embed
from meddiff.evaluation.images.quality import image_quality, unbiased_frechet
from meddiff.evaluation.images.sets import ImageSet, Space, image_set, volume_set
from meddiff.files.long_tables import write_table
from meddiff.files.writing import output_folder
from meddiff.formats import is_deep
from meddiff.images.cube import FILTER
from meddiff.images.views import as_rgb
from meddiff.jobs.progress import bar, new_console
from meddiff.jobs.run_facts import versions
from meddiff.recipe.commands import EvaluateImages
from meddiff.reports import tabular, words
from meddiff.reports.galleries import NearestPair
from meddiff.reports.images import headline, image_report
from meddiff.reports.results import ImageResults, Named
from meddiff.reports.write import write_report
from meddiff.run import refuse_run_folder
from meddiff.seeds import child_seed
from meddiff.training.fabric import device_here

SHOWN, SHOWN_PAIRS = 15, 8


def run(settings: EvaluateImages, console: Console | None = None) -> ImageResults:
    """Measure, write and print.

    Raises:
        InputError: folders without images, files that cannot be read, weights that are missing or of another network,
            too few images or patients.
    """
    console = console or new_console(markup=True, emoji=True)
    out = output_folder(settings.out, [settings.real, settings.synthetic, settings.train])
    refuse_run_folder(out, "--out")
    embed = embedder(settings)
    sets = read_sets(settings, console)
    real, synthetic = sets["real"], sets["synthetic"]
    notes = _notes(sets)
    console.print(f"comparing {len(real)} real and {len(synthetic)} synthetic images, {settings.splits} splits")
    quality = image_quality(real, synthetic, splits=settings.splits, embed=embed, seed=settings.seed)
    unbiased, why = unbiased_frechet(real, synthetic, seed=settings.seed)
    copied = None
    if "train" in sets:
        copied = copies(real, synthetic, sets["train"], false_positive_rate=settings.copy_rate, shown=SHOWN_PAIRS,
                       seed=settings.seed)  # fmt: skip
        if len(copied.held_out) < len(real):
            notes += (f"{len(real) - len(copied.held_out)} of the real images, or others of their patients, are "
                      "training images: they are not held out.",)  # fmt: skip
    report = _report(settings, sets, quality, unbiased, why, copied, notes)
    tables = {out / "measures.csv": quality} | ({out / "copies.csv": copied.table} if copied is not None else {})
    for file, table in tables.items():
        write_table(table, file)
    written = [*tables, *write_report(image_report(report), out)]
    _show(report, console)
    console.print(f"wrote {', '.join(path.name for path in written)} into {out}", soft_wrap=True)
    return report


def _notes(sets: dict[str, ImageSet]) -> tuple[str, ...]:
    """List what a reader of the figures must know of the data."""
    notes = []
    for name, images in sets.items():
        if images.skipped:
            notes.append(f"{len(images.skipped)} {name} images could not be read and were left out.")
        repeated = len(images) - len(set(images.contents))
        if repeated:
            notes.append(f"{repeated} of the {len(images)} {name} images are the same file as another one of the set.")
    if sets["real"].space.stretched:
        notes.append("Some pictures have 8 bits and others more: each is scaled by its own 0.1 and 99.9 percentiles. "
                     "The brightness and contrast of whole pictures are not compared.")  # fmt: skip
    shared = set(sets["real"].contents) & set(sets["synthetic"].contents)
    if shared:
        notes.append(f"{len(shared)} files are in both --real and --synthetic.")
    return tuple(notes)


def _report(
    settings: EvaluateImages,
    sets: dict[str, ImageSet],
    quality: pd.DataFrame,
    unbiased: float,
    why: str,
    found: Copies | None,
    notes: tuple[str, ...],
) -> ImageResults:
    real, synthetic = sets["real"], sets["synthetic"]
    generator = np.random.default_rng(child_seed(settings.seed, "evaluate images", "gallery"))
    nowhere = pd.DataFrame()
    if found is None:
        pairs = {SYNTHETIC: _shown(nearest_pairs(synthetic, real, SHOWN_PAIRS), synthetic, real)}
    else:
        queries = {SYNTHETIC: synthetic, HELD_OUT: found.held_out}
        pairs = {name: _shown(part, queries[name], sets["train"]) for name, part in found.pairs.items()}
    table, statistics = (nowhere, nowhere) if found is None else (found.table, found.statistics)
    return ImageResults(
        title=f"Synthetic images of {Path(settings.synthetic).name} against {Path(settings.real).name}",
        headline=headline(quality, table, statistics), phantom=any(row.source == "phantom" for row in real.rows),
        quality=quality, unbiased=unbiased, unbiased_note=why, copies=table,
        statistics=statistics, false_positive_rate=settings.copy_rate,
        real=_drawn(real, generator), synthetic=_drawn(synthetic, generator), nearest=pairs[SYNTHETIC],
        held_out_nearest=pairs.get(HELD_OUT, []), group_noun=_noun(real, settings.groups), notes=notes,
        provenance=_provenance(settings, sets), confidence_level=0.95,
        extractor=_named(quality["extractor"].iloc[0]),
    )  # fmt: skip


def _named(extractor: str) -> Named | None:
    """Say how an extractor is called, and what it rests on; None for one of no table."""
    entry = {**build.EXTRACTORS.entries, **build.VOLUME_EXTRACTORS.entries}.get(extractor)
    return entry and (entry.title, entry.citations)


def _noun(real: ImageSet, groups: str) -> str:
    if groups or all(row.patient_id for row in real.rows):
        return "patient"
    return "lesion" if all(row.patient_id or row.lesion_id for row in real.rows) else "image"


def _provenance(settings: EvaluateImages, sets: dict[str, ImageSet]) -> dict:
    real = sets["real"]
    data = {
        name: f"{words.counted(len(images), 'image')}, {words.counted(len(set(images.groups)), 'group')}, "
              f"contents {_digest(images.contents)}"
        for name, images in sets.items()
    }  # fmt: skip
    features = asdict(real.space)
    return {"options": asdict(settings), "data": data, "features": features, "versions": versions("torch")}


def _digest(contents: Sequence[str]) -> str:
    import hashlib

    return hashlib.sha256("\n".join(sorted(contents)).encode()).hexdigest()[:16]


def _drawn(images: ImageSet, generator: np.random.Generator) -> list[np.ndarray]:
    return [_picture(images, int(at)) for at in generator.permutation(len(images))[:SHOWN]]


def _picture(images: ImageSet, at: int) -> np.ndarray:
    pixels_there = np.asarray(images.pixels[at])
    pixels = np.hstack(list(pixels_there)) if images.space.volumes else np.moveaxis(pixels_there, 0, -1)
    return as_rgb(pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8))


def _shown(pairs: Sequence[Pair], queries: ImageSet, references: ImageSet) -> list[NearestPair]:
    return [
        NearestPair(_picture(queries, pair.query), _picture(references, pair.reference), pair.distance,
                    queries.rows[pair.query].row_id, _as_seen(references.rows[pair.reference].row_id, pair.symmetry))
        for pair in pairs
    ]  # fmt: skip


def _as_seen(name: str, symmetry: str) -> str:
    return name if symmetry == "as is" else f"{name} (when {symmetry})"


def _show(report: ImageResults, console: Console) -> None:
    """Print the measures, copies and the headline for the terminal."""
    first = report.quality.iloc[0]
    table = Table(title=f"{first['extractor']} features, {first['dimension']} numbers, {first['resolution']} px; "
                        f"n = {first['n_real']} real, {first['n_synthetic']} synthetic")  # fmt: skip
    columns = ("", "synthetic [95%]", f"at n = {first['n_matched']}", "real halves [range]", "fault")
    for name in columns:
        table.add_column(name)
    shown: Callable = words.significant
    for row in tabular.records(report.quality):
        table.add_row(
            MEASURES[row["metric"]].title, f"{shown(row['value'])} [{shown(row['low'])}, {shown(row['high'])}]",
            shown(row["matched"]),
            f"{shown(row['baseline'])} [{shown(row['baseline_low'])}, {shown(row['baseline_high'])}]",
            row["fault"] or "none",
        )  # fmt: skip
    console.print(table)
    for warning in dict.fromkeys([*(row["warning"] for row in tabular.records(report.quality)), *report.notes]):
        if warning:
            console.print(f"note: {warning}", soft_wrap=True)
    console.print(report.headline, style="bold", soft_wrap=True)


OPTIONS = {"real": "--real", "synthetic": "--synthetic", "train": "--train"}
VOLUME_SIDE = 64
"""Volumes are compared as cubes of this many voxels per side where no size is given."""
EMBEDDED = 64
"""Images at a time in the network of LPIPS."""


def _places(settings: EvaluateImages) -> dict[str, str]:
    """Return the options that name images, where they were given."""
    return {name: place for name in OPTIONS if (place := getattr(settings, name))}


def _naming(settings: EvaluateImages, name: str) -> dict[str, str]:
    """Choose how the names of one option's images are read; a synthetic image is of no patient."""
    groups = "" if name == "synthetic" else settings.groups
    return {"groups": groups, "labels": settings.labels, "option": OPTIONS[name]}


def read_sets(settings: EvaluateImages, console: Console) -> dict[str, ImageSet]:
    """Read the images of each option with their features.

    Raises:
        InputError: nothing there, files that cannot be read, weights that are missing or of another network, or
            pictures here and volumes there.
    """
    kinds = {OPTIONS[name]: holds_volumes(place, option=OPTIONS[name]) for name, place in _places(settings).items()}
    if len(set(kinds.values())) > 1:
        shown = ", ".join(f"{option} {'volumes' if volumes else 'pictures'}" for option, volumes in kinds.items())
        raise InputError(f"pictures cannot be compared with volumes: {shown}. Give one kind to all")
    return _volumes(settings, console) if any(kinds.values()) else _pictures(settings, console)


def embedder(settings: EvaluateImages) -> Embed | None:
    """Build what makes the vectors of LPIPS; None where it was not asked for."""
    if not settings.lpips:
        return None
    network = build.perceptual(settings.lpips)
    return lambda images: torch.cat(
        [network.features(torch.from_numpy(images[start : start + EMBEDDED]))
         for start in range(0, len(images), EMBEDDED)]
    ).numpy()  # fmt: skip


def _pictures(settings: EvaluateImages, console: Console) -> dict[str, ImageSet]:
    rows = {name: list_images(place, **_naming(settings, name)) for name, place in _places(settings).items()}
    network, digest = build.named_extractor(settings.features, settings.weights)
    together = [row for part in rows.values() for row in part]
    depths = {file: is_deep(file) for file in {row.image_file for row in together}}
    space = Space(
        settings.features, digest, settings.size or common_side(together), settings.fit or "crop",
        network.preprocessing, stretched=len(set(depths.values())) > 1,
    )  # fmt: skip
    device = str(device_here())
    network.to(device)
    return {
        name: image_set(part, network, space, device=device, batch_size=settings.batch_size, folder=_cache(settings),
                        on_bad_file=settings.on_bad_file, progress=_reading(console, name, "images"),
                        computing=bar(console, f"features of {name}", unit="batches"))
        for name, part in rows.items()
    }  # fmt: skip


def _volumes(settings: EvaluateImages, console: Console) -> dict[str, ImageSet]:
    cases = {name: list_volumes(place, **_naming(settings, name)) for name, place in _places(settings).items()}
    network, digest = build.volume_extractor(settings.features, settings.weights, trust_code=settings.trust_code)
    side = settings.size or VOLUME_SIDE
    space = Space(settings.features, digest, side, settings.fit or "pad", network.preprocessing, FILTER, True)
    device = str(device_here())
    network.to(device)
    return {
        name: volume_set(part, network, space, device=device, folder=_cache(settings),
                         on_bad_file=settings.on_bad_file, progress=_reading(console, name, "volumes"))
        for name, part in cases.items()
    }  # fmt: skip


def _reading(console: Console, name: str, unit: str) -> Callable:
    return bar(console, f"reading {name}", unit=unit)


def _cache(settings: EvaluateImages) -> Path | None:
    return Path(settings.cache).expanduser() if settings.cache else None
