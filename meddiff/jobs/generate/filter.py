"""Stage 4: which synthetic images may join training. What is dropped, and why, stands in filter.csv.

An image is kept if a classifier trained on real images alone gives its label at least ``filter.confidence``, and if
it is no near-copy: it lies no nearer to a training image, turned or mirrored, than all but a ``filter.copy_quantile``
of held-out real images do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from meddiff import build
from meddiff.audit.study import repeated
from meddiff.batches.images import Images
from meddiff.errors import InputError
from meddiff.files.bad import is_file
from meddiff.files.content import sha256_of
from meddiff.files.long_tables import read_table, write_table
from meddiff.files.writing import write_atomically
from meddiff.inference.sampling import ImageDenoiser
from meddiff.jobs import weights
from meddiff.jobs.progress import bar
from meddiff.jobs.splits import labeled, labeled_rows
from meddiff.jobs.stage import Stage, need
from meddiff.jobs.weights import train_classifier
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.table import read_manifest
from meddiff.metrics.images.memorization import copy_threshold, nearest_image
from meddiff.networks.classifier import Classifier
from meddiff.recipe import Recipe, to_dict
from meddiff.run import Run, digest
from meddiff.seeds import child_seed
from meddiff.training.apply import predict

LOW_CONFIDENCE, COPY = "low confidence", "near-copy"
COLUMNS = ("row_id", "label", "kept", "reason", "confidence", "predicted")
AT_ONCE = 64  # images in memory, before they are averaged
COMPARED_SIDE = {2: 32, 3: 16}
SHOWN = 5
"""Side in pixels, or voxels, at which images are compared for copies: a copy is of the whole, not of its noise."""


def _inputs(run: Run[Recipe]) -> str:
    settings = to_dict(run.recipe.filter), weights.training_settings(run.recipe), weights.data_settings(run.recipe)
    return digest(run.folder.synthetic_manifest, run.folder.manifest, *settings, run.recipe.seed)


def _check(run: Run[Recipe]) -> None:
    need(run, "val", "by which near-copies are told from honest images")
    names = run.classes
    if len(names) < 2:
        raise InputError(
            f"{run.folder.manifest}: all training images are of one class, {', '.join(map(repr, names))}: there is "
            "nothing for a classifier to tell apart. Add images of another class; the commands train and "
            "synthesize also work with one"
        )
    weights.new_classifier(
        run.recipe, labeled(run, "train"), run.recipe.seed
    )  # with settings that fit, and weights that are there


def _work(run: Run[Recipe]) -> list[Path]:
    names = run.classes
    train, held_out = (labeled(run, split) for split in ("train", "val"))
    synthetic_rows = drawn(run)
    show = bar(run.console, "reading synthetic images", unit="images")
    synthetic = labeled_rows(run, synthetic_rows, progress=show)
    judge = _judge(train, run)
    table = judged(synthetic, predict(judge, synthetic, batch_size=run.recipe.classifier.batch_size), names, run.recipe)
    table = without_copies(table, synthetic, train, held_out, run.recipe.filter.copy_quantile)
    write_table(table, run.folder.filter)
    run.console.print(counts_table(table))
    return [run.folder.filter, run.folder.classifier]


def judge_of(run: Run[Recipe], images: Images | ImageDenoiser) -> Classifier:
    """Return the classifier of real images alone that this stage has trained; it takes images like these.

    Raises:
        InputError: its file is damaged.
    """
    judge = weights.new_classifier(run.recipe, images, run.recipe.seed)
    try:
        judge.load_state_dict(load_file(run.folder.classifier))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(
            f"{run.folder.classifier} is damaged or of another classifier ({' '.join(str(error).split())[:200]}). "
            "Delete it: the same command makes it again."
        ) from error
    return judge


def _judge(train: Images, run: Run[Recipe]) -> Classifier:
    """Return a classifier of real images alone, saved in the run folder.

    Classes are drawn alike, images turned as their kind allows. Changed colors make a worse judge after short training
    (quick preset on phantoms: balanced accuracy 0.62 with the strong ``classical_augmentation``, 0.85 with flips).
    """
    arm = build.ARMS["real_balanced_flips"]
    seed = child_seed(run.recipe.seed, "filter", "classifier")
    judge = train_classifier(run.recipe, arm, train, seed, run.console)
    write_atomically(run.folder.classifier, lambda file: file.write(save(judge.state_dict())))
    return judge


def judged(synthetic: Images, probabilities: np.ndarray, names: Sequence[str], recipe: Recipe) -> pd.DataFrame:
    """Return one row per synthetic image: what the classifier says of it, and whether that is enough."""
    confidence = probabilities[np.arange(len(synthetic)), synthetic.labels]
    kept = confidence >= recipe.filter.confidence
    return pd.DataFrame(
        {
            "row_id": [row.row_id for row in synthetic.rows],
            "label": [row.label for row in synthetic.rows],
            "kept": kept,
            "reason": np.where(kept, "", LOW_CONFIDENCE),
            "confidence": confidence.round(4),
            "predicted": [names[index] for index in probabilities.argmax(1)],
        }
    )


def without_copies(
    table: pd.DataFrame, synthetic: Images, train: Images, held_out: Images, quantile: float
) -> pd.DataFrame:
    """Return the table with the nearest training image of each synthetic one, and those that are too near dropped."""
    copy, distance, index = near_copies(synthetic, train, held_out, quantile)
    return table.assign(
        kept=table["kept"] & ~copy,
        reason=np.where(copy, COPY, table["reason"]),
        nearest_row_id=[train.rows[position].row_id for position in index],
        copy_distance=distance.round(5),
    )


def near_copies(
    synthetic: Images, train: Images, held_out: Images, quantile: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find which synthetic images are copies [N], and the distance and index of the training image next to each."""
    references = compared(train)
    distance, index, _ = nearest_image(compared(synthetic), references)
    honest, _, _ = nearest_image(compared(held_out)[originals(held_out, train)], references)
    return distance < copy_threshold(honest, quantile), distance, index


@lru_cache(maxsize=2)  # synthesis asks again after every round of images
def originals(held_out: Images, train: Images) -> np.ndarray:
    """Mark held-out images that are no copies or near-copies of a training image: bool [N].

    A copy says nothing of how near to the training images an honest image lies.

    Raises:
        InputError: all of them are copies.
    """
    shown, others = (zip(some.rows, (case.image for case in some.prepared), strict=True) for some in (held_out, train))
    original = ~repeated(shown, others)
    if not original.any():
        raise InputError(
            f"all {len(held_out)} validation images are copies of training images: by what is a synthetic image told "
            "from a copy? Give a split in which they are not, or --data.copies drop"
        )
    return original


def compared(images: Images) -> np.ndarray:
    """Return the images [N, C, *s] float32 in [-1, 1], averaged down to the size at which copies are looked for."""
    from torch.nn.functional import interpolate

    size = images.shape[1:]
    smaller = tuple(min(COMPARED_SIDE[len(size)], side) for side in size)
    parts = np.array_split(np.arange(len(images)), -(-len(images) // AT_ONCE))
    return np.concatenate([interpolate(images.batch(part).image, smaller, mode="area").numpy() for part in parts])


def drawn(run: Run[Recipe]) -> list[ManifestRow]:
    """Read which images were drawn.

    Raises:
        InputError: one is not what was drawn any more.
    """
    rows = read_manifest(run.folder.synthetic_manifest, check_files=False)
    others = [row.image_path for row in rows
              if row.sha256 and is_file(row.image_file) and sha256_of(row.image_file) != row.sha256]  # fmt: skip
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        raise InputError(
            f"{len(others)} of the images that were drawn have changed: {', '.join(others[:SHOWN])}{more}. Delete them "
            "and the same command draws them again, or put them back"
        )
    return rows


def accepted(run: Run[Recipe]) -> list[ManifestRow]:
    """Return the synthetic rows that passed, in the order they were drawn."""
    table = read_table(run.folder.filter, COLUMNS)
    kept = set(table.loc[table["kept"], "row_id"])
    return [row for row in drawn(run) if row.row_id in kept]


def filter_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Count, per class, images drawn, kept, dropped_confidence, dropped_copy."""
    groups = table.groupby("label", sort=True)
    return pd.DataFrame(
        {
            "drawn": groups.size(),
            "kept": groups["kept"].sum(),
            "dropped_confidence": groups["reason"].agg(lambda reasons: int((reasons == LOW_CONFIDENCE).sum())),
            "dropped_copy": groups["reason"].agg(lambda reasons: int((reasons == COPY).sum())),
        }
    ).rename_axis("class_name").reset_index()  # fmt: skip


def counts_table(table: pd.DataFrame) -> Table:
    """Return the counts for the terminal."""
    shown = Table("class", "drawn", "kept", "unsure label", "near-copy", title="synthetic images")
    for row in filter_counts(table).itertuples(index=False):
        shown.add_row(*map(str, row))
    return shown


STAGE = Stage(
    "filter", "dropping synthetic images of doubtful label and near-copies of training images", _inputs, _work, _check,
    lambda run: [weights.classifier_work(run, times=1)],
)  # fmt: skip
