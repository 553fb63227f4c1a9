"""Stage 1: which images there are, and who trains and who judges.

Which images can be used: every file is read once, before the split and before any hour of work is lost to it.

Files that cannot be read stop the run, all of them counted; or, where ``data.on_bad_file`` is skip, they are listed in
the terminal, in skipped.csv and in the report, and the split is made of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from meddiff import build
from meddiff.cache.pictures import refuse
from meddiff.errors import InputError
from meddiff.files.tables import read_table, write_table
from meddiff.formats.pictures import is_picture
from meddiff.images.sizes import labeled_by_size
from meddiff.jobs.progress import bar
from meddiff.jobs.stage import AnyRecipe, Stage
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.split import SPLITS, assign_splits
from meddiff.manifest.table import read_manifest, write_manifest
from meddiff.recipe import Recipe, of_volumes, to_dict
from meddiff.run import RunFolder, digest
from meddiff.seeds import child_seed
from meddiff.sources import phantom

PHANTOM_SIDE_PIXELS = 128
UNLABELED = "unlabeled"
"""The one class of a run with ``--label none``."""


def _inputs(recipe: Recipe, folder: RunFolder) -> str:
    own = Path(recipe.manifest) if recipe.manifest else None
    fractions = recipe.data.train_fraction, recipe.data.val_fraction
    cut = (recipe.data.slice_axis, to_dict(recipe.volume)) if recipe.data.slice_axis else None
    return digest(recipe.dataset, recipe.data_root, own, recipe.data.phantom_images, fractions, cut,
                  recipe.data.on_bad_file, recipe.dimensions, recipe.label, recipe.seed)  # fmt: skip


def _run(recipe: Recipe, folder: RunFolder, console: Console) -> list[Path]:
    rows = find_rows(recipe, folder, console)
    check_dimensions(rows, recipe)
    labeled = with_labels(rows, recipe)
    if len(labeled) < len(rows):
        console.print(f"{len(rows) - len(labeled)} images without a label are left out", soft_wrap=True)

    def split(rows: list[ManifestRow]) -> list[ManifestRow]:
        return assign_splits(
            with_room_to_judge(rows, console),
            train=recipe.data.train_fraction,
            val=recipe.data.val_fraction,
            seed=child_seed(recipe.seed, "split"),
        )

    unusable = partial(build.unusable, recipe=recipe)
    chosen = without_bad_files(labeled, split, unusable, recipe.data.on_bad_file, folder, console)
    if recipe.data.slice_axis is not None:
        chosen = build.slices_of(chosen, recipe)
    write_manifest(chosen, folder.manifest)
    console.print(counts_table(chosen))
    return [folder.manifest]


def check_dimensions(rows: list[ManifestRow], recipe: AnyRecipe) -> None:
    """Refuse pictures where volumes are asked for, and the other way around, before thousands are opened.

    Raises:
        InputError: all rows are of the wrong kind, as far as the manifest tells.
    """
    flat = [row.slice_axis is not None or is_picture(row.image_path) for row in rows]
    whole = [row.slice_axis is None and row.spacing_mm_2 is not None for row in rows]
    if recipe.dimensions == 3 and all(flat):
        raise InputError(f"the {len(rows)} images are pictures or slices, which are worked on with --dimensions 2")
    if recipe.data.slice_axis and all(flat):
        raise InputError(
            f"data.slice_axis {recipe.data.slice_axis} cuts whole volumes, and the {len(rows)} images are pictures or "
            "slices already: leave it out, or name whole volumes"
        )
    if not of_volumes(recipe) and all(whole):
        raise InputError(
            f"the {len(rows)} images are whole volumes: take them as they are with --dimensions 3, or slice by slice "
            "with --data.slice_axis axial, coronal or sagittal"
        )


def with_labels(rows: list[ManifestRow], recipe: Recipe) -> list[ManifestRow]:
    """The rows that have a class, by the recipe's ``label``: their own, the size of what their mask marks, or none.

    Raises:
        InputError: no row has one, or sizes cannot be told.
    """
    if recipe.label == "none":
        return [replace(row, label=UNLABELED) for row in rows]
    if recipe.label == "size":
        return labeled_by_size(rows)
    labeled = [row for row in rows if row.label is not None]
    if not labeled:
        size = ", --label size (thirds by the size of what the masks mark)" if recipe.dimensions == 3 else ""
        raise InputError(
            f"none of the {len(rows)} images has a label; the classes to generate come from the labels: "
            "give a ground-truth table, or a --manifest with its label column filled in; or train and synthesize "
            f"without classes: --label none{size}"
        )
    return labeled


def with_room_to_judge(rows: list[ManifestRow], console: Console) -> list[ManifestRow]:
    """The rows; those of an official training part are dealt out where validation or test images are missing.

    A challenge's test labels are often not published: its training part is then all that there is to judge on.
    """
    given = Counter(row.split for row in rows)
    if not given["train"] or all(given[split] for split in SPLITS):
        return rows
    missing = " and no ".join(name for name in ("val", "test") if not given[name])
    console.print(
        f"no image is marked as {missing}: the {given['train']} of the training part are split", soft_wrap=True
    )
    return [replace(row, split=None) if row.split == "train" else row for row in rows]


def find_rows(recipe: AnyRecipe, folder: RunFolder, console: Console) -> list[ManifestRow]:
    """The rows of the user's manifest, of the user's folder, or of the phantom set where neither is given."""
    if recipe.manifest:
        return read_manifest(recipe.manifest, root=recipe.data_root or None)
    source = build.source(recipe.dataset)
    if recipe.data_root:
        return source.rows(Path(recipe.data_root))
    if source.phantom is None:
        raise InputError(f"--dataset {recipe.dataset} needs --data-root or --manifest. {source.how_to_get}")
    if recipe.dataset != "phantom":
        console.print(
            Panel(
                f"No images were given ({source.title}), so this run uses the built-in phantom set: pictures "
                "drawn by code, in which nothing is a patient. It shows the whole path and says nothing about "
                f"medicine; every picture, table and file of it is stamped phantom.\n\n{source.how_to_get}",
                title="phantom data",
                border_style="yellow",
            )
        )
    if source.phantom == phantom.HIPPOCAMPUS:
        drawn = phantom.volume_rows(seed=0, count=recipe.data.phantom_images)
        return phantom.write_volumes(drawn, folder.path, progress=bar(console, "drawing phantoms", unit="volumes"))
    rows = phantom.rows(source.phantom, seed=0, count=recipe.data.phantom_images)
    return phantom.write(
        rows, folder.path, size=PHANTOM_SIDE_PIXELS, progress=bar(console, "drawing phantoms", unit="images")
    )


def root_of(recipe: AnyRecipe, folder: RunFolder) -> Path:
    """What the paths of the run's manifest.csv are relative to."""
    if recipe.data_root:
        return Path(recipe.data_root)
    return Path(recipe.manifest).parent if recipe.manifest else folder.path


def rows_of(recipe: AnyRecipe, folder: RunFolder, split: str) -> list[ManifestRow]:
    """One split of the run's manifest."""
    rows = read_manifest(folder.manifest, root=root_of(recipe, folder), check_files=False)
    return [row for row in rows if row.split == split]


def class_names_of(recipe: Recipe, folder: RunFolder) -> list[str]:
    """The classes of the run: the labels of its training images, sorted."""
    return sorted({row.label or "" for row in rows_of(recipe, folder, "train")})


def need(recipe: AnyRecipe, folder: RunFolder, split: str, why: str) -> list[ManifestRow]:
    """The rows of a split that a stage cannot do without.

    Raises:
        InputError: there are none.
    """
    rows = rows_of(recipe, folder, split)
    if not rows:
        raise InputError(
            f"{folder.manifest}: no image is in the {split} split, {why}. Every class needs images of at least four "
            "patients; or mark some images as "
            f"{split} in the split column of a manifest of your own (--manifest)"
        )
    return rows


def counts_table(rows: list[ManifestRow]) -> Table:
    """Images per class and split, and the number of patients (or lesions) behind them."""
    table = Table("class", "train", "val", "test", "patients or lesions", title="images per class and split")
    for label in sorted({row.label or "" for row in rows}):
        own = [row for row in rows if row.label == label]
        counts = [str(sum(row.split == split for row in own)) for split in ("train", "val", "test")]
        table.add_row(label, *counts, str(len({row.group for row in own})))
    return table


STAGE = Stage("manifest", "reading what images there are and splitting them by patient or lesion", _inputs, _run)


Unusable = Callable[..., Iterable[tuple[ManifestRow, str]]]
"""(rows, progress=bar) -> those of them that cannot be used, with the reason"""
COLUMNS = ("row_id", "file", "reason")
SHOWN = 10


def without_bad_files(
    rows: list[ManifestRow],
    split: Callable[[list[ManifestRow]], list[ManifestRow]],
    unusable: Unusable,
    on_bad_file: str,
    folder: RunFolder,
    console: Console,
) -> list[ManifestRow]:
    """The rows with a split, without those whose files cannot be used.

    The images are decoded into the cache split by split, as the later stages will ask for them.

    Raises:
        InputError: files that cannot be used, where they are not to be skipped; or nothing else is left.
    """
    bad: dict[str, tuple[ManifestRow, str]] = {}
    while True:
        chosen = split([row for row in rows if row.row_id not in bad])
        found = {row.row_id: (row, reason) for row, reason in _unusable(chosen, unusable, console)}
        if not found:
            break
        bad |= found
        if on_bad_file == "stop" or len(bad) == len(rows):
            refuse([reason for _, reason in bad.values()], len(rows))
    _list(list(bad.values()), folder, console)
    return chosen


def skipped_files(folder: RunFolder) -> pd.DataFrame:
    """What was left out, as listed in skipped.csv."""
    return read_table(folder.skipped, COLUMNS) if folder.skipped.is_file() else pd.DataFrame(columns=list(COLUMNS))


def _unusable(rows: list[ManifestRow], unusable: Unusable, console: Console) -> Iterable[tuple[ManifestRow, str]]:
    return [
        found
        for name in SPLITS
        if (own := [row for row in rows if row.split == name])
        for found in unusable(own, progress=bar(console, f"reading {name} images", unit="images"))
    ]


def _list(bad: list[tuple[ManifestRow, str]], folder: RunFolder, console: Console) -> None:
    folder.skipped.unlink(missing_ok=True)
    if not bad:
        return
    lines = [(row.row_id, str(row.image_file), reason) for row, reason in bad]
    write_table(pd.DataFrame(lines, columns=list(COLUMNS)), folder.skipped)
    count = f"{len(bad)} images cannot be used and are" if len(bad) > 1 else "1 image cannot be used and is"
    console.print(f"{count} left out, listed in {folder.skipped}:", soft_wrap=True)
    for _, _, reason in lines[:SHOWN]:
        console.print(f"  {reason}", soft_wrap=True)
