"""Stage 1: which images there are, which of them can be used, and who trains and who judges.

Every file is read once, before the split and before any hour of work is lost to it. Files that cannot be read stop the
run, all of them counted; or, where ``data.on_bad_file`` is skip, they are listed in the terminal, in skipped.csv and in
the report, and the split is made of the others. The images as they were prepared are audited (`jobs/audit.py`): copies
lie in one split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.panel import Panel
from rich.table import Table

from meddiff import build
from meddiff.audit import Finding
from meddiff.audit.image_facts import Facts, facts_of_prepared
from meddiff.build import segmenting
from meddiff.cache.image_array import ImageArray
from meddiff.cache.store import Prepared, refuse
from meddiff.errors import InputError
from meddiff.evaluation.masks.summary import FEW_PATIENTS
from meddiff.files.long_tables import read_table, write_table
from meddiff.formats.masks import MaskMeaning
from meddiff.images.sizes import is_flat, labeled_by_size
from meddiff.jobs import audit
from meddiff.jobs.audit import Copies
from meddiff.jobs.progress import bar
from meddiff.jobs.segment.mask_values import MaskValues
from meddiff.jobs.stage import AnyRun, Stage
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.split import SPLITS, assign_splits
from meddiff.manifest.table import read_manifest, write_manifest
from meddiff.recipe import AnyRecipe, ImageRecipe, MaskedRecipe, Recipe, SegmentRecipe, of_volumes, to_dict
from meddiff.recipe.segment import MASKS_AS_THEY_ARE
from meddiff.run import RunFolder, digest
from meddiff.seeds import child_seed

UNLABELED = "unlabeled"
"""The one class of a run with ``--label none``."""
COLUMNS = ("row_id", "file", "reason")
SHOWN = 10
FEWEST_OF_A_CLASS = 5
"""Images in a split: with fewer, one more that is named right moves its sensitivity by a quarter and more."""
Rows = list[ManifestRow]


@dataclass(frozen=True)
class Purpose:
    """The demands of a kind of run on its images."""

    needs: str
    """The thing that an image must have: one without is left out."""
    usable: Callable[[Rows, Any], Rows]
    """(rows, recipe) -> those that have it; InputError where none has."""
    unusable: Callable[..., Sequence[tuple[ManifestRow, str]]]
    """(rows, recipe, progress=bar; of masks also their meaning) -> those that cannot be used, with the reason."""
    prepared: Callable[..., Prepared | ImageArray]
    """(rows whose files can be used, recipe; of masks also their meaning) -> their images as they were prepared, and
    masks where it needs them."""
    finished: Callable[[Rows, Any], Rows]
    """(rows with a split, recipe) -> what the manifest holds: the images, or the slices of each."""
    counts: Callable[[Rows], Table]
    """Table of how many there are, for the terminal."""
    masks: Callable[[Rows, Any], MaskValues] | None = None
    """(rows, run) -> what the values of the masks mean, where masks are learned from."""
    settings: Callable[[Any], Sequence[Any]] = lambda _recipe: ()
    """(recipe) -> settings of this kind alone that the manifest depends on; empty ones were not there formerly."""

    def knowing(self, meaning: MaskMeaning) -> Purpose:
        """Read masks by this meaning from here on."""
        unusable, prepared = partial(self.unusable, meaning=meaning), partial(self.prepared, meaning=meaning)
        return replace(self, unusable=unusable, prepared=prepared)


def stage(does: str, purpose_of: Callable[[Any], Purpose]) -> Stage:
    """Return the stage that writes the manifest of a kind of run; ``purpose_of`` is asked with its recipe."""
    return Stage("manifest", does, partial(_inputs, purpose_of), partial(_work, purpose_of))


def _inputs(purpose_of: Callable[[Any], Purpose], run: AnyRun) -> str:
    recipe, purpose = run.recipe, purpose_of(run.recipe)
    own = Path(recipe.manifest) if recipe.manifest else None
    fractions = recipe.data.train_fraction, recipe.data.val_fraction
    cut = (recipe.data.slice_axis, to_dict(recipe.volume)) if recipe.data.slice_axis else None
    former = () if recipe.data.copies == "stop" else (recipe.data.copies,)  # former versions had no such settings
    label = getattr(recipe, "label", None)
    later = (*former, *filter(None, purpose.settings(recipe)))
    return digest(recipe.dataset, recipe.data_root, own, recipe.data.phantom_images, fractions, cut,
                  recipe.data.on_bad_file, recipe.dimensions, label, recipe.seed, *later)  # fmt: skip


def said_of_masks(recipe: MaskedRecipe) -> list[Any]:
    """List what the user says of the masks' classes and values."""
    said = [getattr(recipe.data, name) for name in MASKS_AS_THEY_ARE]
    plain = MASKS_AS_THEY_ARE.values()
    return [recipe.classes, *(own for own, usual in zip(said, plain, strict=True) if own != usual)]


def _work(purpose_of: Callable[[Any], Purpose], run: AnyRun) -> list[Path]:
    purpose, rows = purpose_of(run.recipe), find_rows(run)
    check_dimensions(rows, run.recipe)
    usable = purpose.usable(rows, run.recipe)
    if len(usable) < len(rows):
        left_out = len(rows) - len(usable)
        run.console.print(f"{left_out} images without a {purpose.needs} are left out", soft_wrap=True)
    masks = purpose.masks(usable, run) if purpose.masks else None
    if masks is not None:
        purpose = purpose.knowing(masks.meaning)
    chosen, findings = _chosen(usable, purpose, run)
    rows = purpose.finished(chosen, run.recipe)
    written = masks.tell(rows, run) if masks else []
    write_manifest(rows, run.folder.manifest)
    write_table(audit.to_table(findings), run.folder.findings)
    run.forget()
    run.console.print(purpose.counts(rows))
    for verdict in too_few(rows, by_class=isinstance(run.recipe, Recipe)):
        run.console.print(verdict, style="yellow", soft_wrap=True)
    audit.tell(run.console, findings, str(run.folder.findings))
    return [run.folder.manifest, run.folder.findings, *written]


def check_dimensions(rows: Rows, recipe: AnyRecipe) -> None:
    """Refuse pictures where volumes are asked for, and the other way around, before thousands are opened.

    Raises:
        InputError: all rows are of the wrong kind, as far as the manifest tells.
    """
    flat = [is_flat(row) for row in rows]
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


def with_labels(rows: Rows, recipe: Recipe) -> Rows:
    """Choose the rows that have a class, by the recipe's ``label``: their own, the size of what their mask marks, none.

    Raises:
        InputError: no row has one, or rows cannot be labeled by size.
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


def with_masks(rows: Rows, recipe: AnyRecipe) -> Rows:
    """Choose the rows that have a mask.

    Raises:
        InputError: no row has one.
    """
    masked = [row for row in rows if row.mask_path is not None]
    if not masked:
        raise InputError(
            f"none of the {len(rows)} images has a mask, and masks are what {_learner(recipe)} from: add the masks of "
            "the data set to the folder, or give a --manifest with its mask_path column filled in"
        )
    return masked


def _learner(recipe: AnyRecipe) -> str:
    if isinstance(recipe, Recipe):
        return "is drawn with images, and learned"
    return "segmentation learns" if isinstance(recipe, SegmentRecipe) else "images are drawn"


def cut_to_slices(rows: Rows, recipe: ImageRecipe) -> Rows:
    """Return the rows of the slices that volumes are cut into; the rows themselves where they are not cut."""
    return rows if recipe.data.slice_axis is None else build.slices_of(rows, recipe)


def find_rows(run: AnyRun) -> Rows:
    """Return the rows of the user's manifest, of the user's folder, or of the phantom set where neither is given."""
    recipe = run.recipe
    if recipe.manifest:
        return read_manifest(recipe.manifest, root=recipe.data_root or None)
    source = build.source(recipe.dataset)
    if recipe.data_root:
        return source.rows(Path(recipe.data_root))
    drawn = source.phantom
    if drawn is None:
        raise InputError(f"--dataset {recipe.dataset} needs --data-root or --manifest. {source.how_to_get}")
    if recipe.dataset != "phantom":
        run.console.print(
            Panel(
                f"No images were given ({source.title}), so this run uses the built-in phantom set: pictures "
                "drawn by code, in which nothing is a patient. It shows the whole path and says nothing about "
                f"medicine; every picture, table and file of it is stamped phantom.\n\n{source.how_to_get}",
                title="phantom data",
                border_style="yellow",
            )
        )
    show = bar(run.console, "drawing phantoms", unit=drawn.unit)
    return drawn.write(run.folder.path, recipe.data.phantom_images, progress=show)


def split_rows(rows: Rows, run: AnyRun, ties: Sequence[tuple[int, int]] = ()) -> Rows:
    """Give each row its split, so that no patient and no lesion is cut; an official split is kept where it can be.

    A challenge's test labels are often not published: its training part is then all that there is to judge on.
    ``ties`` are positions of rows that belong together beside.
    """
    if _missing_parts(rows):
        rows = [replace(row, split=None) if row.split == "train" else row for row in rows]
    shares = {"train": run.recipe.data.train_fraction, "val": run.recipe.data.val_fraction}
    return assign_splits(rows, **shares, seed=child_seed(run.recipe.seed, "split"), ties=ties)


def _missing_parts(rows: Rows) -> list[str]:
    """List the parts that a split lacks which has a training part."""
    given = Counter(row.split for row in rows)
    return [name for name in ("val", "test") if not given[name]] if given["train"] else []


def _chosen(rows: Rows, purpose: Purpose, run: AnyRun) -> tuple[Rows, list[Finding]]:
    """Return the rows with a split, without those that are left out; and what the audit found in them.

    The images are decoded into the cache split by split, as the later stages will ask for them.

    Raises:
        InputError: files that cannot be used, where they are not to be skipped; or nothing else is left. One picture
            in several of the splits that the rows came with, unless ``data.copies`` says what to do.
    """
    if missing := _missing_parts(rows):
        count = sum(row.split == "train" for row in rows)
        sentence = f"no image is marked as {' and no '.join(missing)}: the {count} of the training part are split"
        run.console.print(sentence, soft_wrap=True)
    left_out: dict[str, tuple[ManifestRow, str]] = {}
    facts: dict[str, Facts] = {}
    ties: list[tuple[str, str]] = []
    while True:
        rows = [row for row in rows if row.row_id not in left_out]
        chosen = split_rows(rows, run, _positions(ties, rows))
        if worse := _unusable(chosen, purpose, run):
            left_out |= {row.row_id: (row, reason) for row, reason in worse}
            if run.recipe.data.on_bad_file == "stop" or len(worse) == len(rows):
                refuse([reason for _, reason in left_out.values()], len(rows) + len(left_out) - len(worse))
            continue
        if new := [row for row in chosen if row.row_id not in facts]:
            facts |= _facts(new, purpose, run)
        copies = Copies.among([replace(facts[row.row_id], row=row) for row in rows])
        if run.recipe.data.copies == "stop":
            copies.check(run.recipe.manifest or run.recipe.data_root or "the images")
        elif run.recipe.data.copies == "drop" and (dropped := copies.dropped()):
            left_out |= {row.row_id: (row, reason) for row, reason in dropped}
            continue
        if ties or all(chosen[one].split == chosen[other].split for one, other in copies.ties()):
            break
        run.console.print("copies of a picture lie in several splits: they are tied together and all are split anew")
        ties = [(rows[one].row_id, rows[other].row_id) for one, other in copies.ties()]
    _list(tuple(left_out.values()), run)
    return chosen, audit.findings_of([facts[row.row_id] for row in chosen], copies, chosen)


def _positions(ties: Sequence[tuple[str, str]], rows: Rows) -> list[tuple[int, int]]:
    at = {row.row_id: place for place, row in enumerate(rows)}
    return [(at[one], at[other]) for one, other in ties if one in at and other in at]


def _facts(rows: Rows, purpose: Purpose, run: AnyRun) -> Mapping[str, Facts]:
    """Look at the images as they were prepared, split by split; by the ids of their rows."""
    parts = [own for name in SPLITS if (own := [row for row in rows if row.split == name])]

    def each() -> Iterator[Facts]:
        for part in parts:
            images = purpose.prepared(part, run.recipe)
            for row, case in zip(images.rows, images, strict=True):
                yield facts_of_prepared(row, case.image, case.mask)

    show = bar(run.console, "looking for copies", unit="images")
    return {one.row.row_id: one for one in show(each(), len(rows))}


def _unusable(rows: Rows, purpose: Purpose, run: AnyRun) -> list[tuple[ManifestRow, str]]:
    return [
        one
        for name in SPLITS
        if (own := [row for row in rows if row.split == name])
        for one in purpose.unusable(own, run.recipe, progress=bar(run.console, f"reading {name} images", unit="images"))
    ]


def _list(bad: Sequence[tuple[ManifestRow, str]], run: AnyRun) -> None:
    run.folder.skipped.unlink(missing_ok=True)
    if not bad:
        return
    lines = [(row.row_id, str(row.image_file), reason) for row, reason in bad]
    write_table(pd.DataFrame(lines, columns=list(COLUMNS)), run.folder.skipped)
    count = f"{len(bad)} images cannot be used and are" if len(bad) > 1 else "1 image cannot be used and is"
    run.console.print(f"{count} left out, listed in {run.folder.skipped}:", soft_wrap=True)
    for _, _, reason in lines[:SHOWN]:
        run.console.print(f"  {reason}", soft_wrap=True)


def skipped_files(folder: RunFolder) -> pd.DataFrame:
    """Read what was left out, as listed in skipped.csv."""
    return read_table(folder.skipped, COLUMNS) if folder.skipped.is_file() else pd.DataFrame(columns=list(COLUMNS))


def counts_of_classes(rows: Rows) -> Table:
    """Count images per class and split, and the patients (or lesions) behind them."""
    table = Table("class", *SPLITS, "patients or lesions", title="images per class and split")
    for label in sorted({row.label or "" for row in rows}):
        own = [row for row in rows if row.label == label]
        counts = [str(sum(row.split == split for row in own)) for split in SPLITS]
        table.add_row(label, *counts, str(len({row.group for row in own})))
    return table


def too_few(rows: Rows, *, by_class: bool) -> list[str]:
    """Say what cannot be judged for want of images, before anything is trained: how many there are, and are needed."""
    verdicts = []
    test = [row for row in rows if row.split == "test"]
    if test and (groups := len({row.group for row in test})) < FEW_PATIENTS:
        verdicts.append(
            f"too few images: the test split has {len(test)} images of {groups} patients or lesions, and with fewer "
            f"than {FEW_PATIENTS} of these nothing can be judged. Add images, or give the test split more of them "
            "(--data.train_fraction 0.5)"
        )
    counts = {name: [sum(row.split == split for row in rows if row.label == name) for split in SPLITS]
              for name in sorted({row.label or "" for row in rows if by_class})}  # fmt: skip
    small = {name: count for name, count in counts.items() if min(count) < FEWEST_OF_A_CLASS}
    if small:
        shown = [f"{name} ({', '.join(map('{} {}'.format, SPLITS, count))})" for name, count in small.items()]
        verdicts.append(
            f"too few images of {'; '.join(shown)}: a class needs at least {FEWEST_OF_A_CLASS} in each split for its "
            "figures to say anything. Add images of it, or merge it with another class"
        )
    return verdicts


def counts_of_splits(rows: Rows, title: str = "images with masks") -> Table:
    """Count images per split, and the patients (or lesions) behind them."""
    table = Table("split", "images", "patients or lesions", title=title)
    for split in SPLITS:
        own = [row for row in rows if row.split == split]
        table.add_row(split, str(len(own)), str(len({row.group for row in own})))
    return table


LABELED = Purpose("label", with_labels, build.unusable, build.prepared, cut_to_slices, counts_of_classes)
PAIRED = Purpose(
    "label or mask", lambda rows, recipe: with_labels(with_masks(rows, recipe), recipe), build.unusable,
    build.prepared, cut_to_slices, counts_of_classes, MaskValues.of, said_of_masks,
)  # fmt: skip
PLAIN = Purpose(
    "file", lambda rows, _: rows, build.unusable, build.prepared, cut_to_slices,
    partial(counts_of_splits, title="images"),
)  # fmt: skip
MASKED = Purpose(
    "mask", with_masks, segmenting.unusable, segmenting.prepared, lambda rows, _: rows, counts_of_splits,
    MaskValues.of, said_of_masks,
)  # fmt: skip
BY_MASKS = Purpose(
    "mask", with_masks, build.unusable, build.prepared, cut_to_slices, partial(counts_of_splits, title="images"),
    MaskValues.of, said_of_masks,
)  # fmt: skip
