"""Stage 1 of a detection: which images are healthy, and that the model of healthy images learns no other.

A row keeps its label where it is anomalous, so that each kind can be judged; all that is healthy has the label HEALTHY.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from meddiff import build
from meddiff.errors import InputError
from meddiff.formats.masks import IGNORED, MaskAt, MaskMeaning, classes_of, meaning_of
from meddiff.jobs import manifest
from meddiff.jobs.manifest import Purpose
from meddiff.manifest.row import ManifestRow
from meddiff.recipe.detect import HEALTHY, DetectRecipe

ANOMALOUS = "anomalous"
"""The label of images that have a mask and no other label."""
Rows = list[ManifestRow]


def is_healthy(row: ManifestRow) -> bool:
    """Tell whether an image of the run's manifest is healthy."""
    return row.label == HEALTHY


def with_health(rows: Rows, recipe: DetectRecipe) -> Rows:
    """Choose the rows of which it is known whether they are healthy; healthy ones are labeled so.

    Raises:
        InputError: a label that no image has, one that means two things, no healthy image, or nothing that says it.
    """
    names = recipe.healthy_labels
    judged = _by_labels(rows, names) if names else _by_masks(rows)
    if not any(is_healthy(row) for row in judged):
        raise InputError(
            f"none of the {len(judged)} images has an empty mask: there is no healthy image to learn from. Say with "
            "--detect.healthy LABEL which labels are healthy, or add healthy images"
        )
    return judged


def _by_labels(rows: Rows, names: Sequence[str]) -> Rows:
    counts = Counter(row.label for row in rows if row.label is not None)
    listed = ", ".join(f"{label} ({count})" for label, count in sorted(counts.items())) or "none"
    if unknown := [name for name in names if name not in counts]:
        raise InputError(f"--detect.healthy {','.join(names)}: no image has the label {unknown[0]!r}. Labels: {listed}")
    if HEALTHY in counts and HEALTHY not in names:
        raise InputError(
            f"{counts[HEALTHY]} images have the label {HEALTHY!r}, which --detect.healthy {','.join(names)} does not "
            f"name: add it, or give them another label. Labels: {listed}"
        )
    return [replace(row, label=HEALTHY if row.label in names else row.label) for row in rows if row.label is not None]


def _by_masks(rows: Rows) -> Rows:
    masked = [row for row in rows if row.mask_path is not None]
    if not masked:
        raise InputError(
            f"nothing says which of the {len(rows)} images are healthy: name their labels with --detect.healthy LABEL, "
            "or give masks (an empty mask is of a healthy image)"
        )
    meaning = meaning_of(masked)
    return [replace(row, label=_kind(row, meaning)) for row in masked]


def _kind(row: ManifestRow, meaning: MaskMeaning) -> str:
    """Say HEALTHY of an empty mask; else its own label, but for one that says healthy."""
    classes = classes_of(MaskAt.of(row), meaning)
    if not ((classes > 0) & (classes != IGNORED)).any():
        return HEALTHY
    return row.label if row.label not in (None, HEALTHY) else ANOMALOUS


def learned_alone(rows: Rows, recipe: DetectRecipe) -> Rows:
    """Leave out what the model must not learn from: anomalous images of the training split.

    Raises:
        InputError: a split has no healthy image.
    """
    kept = [row for row in rows if is_healthy(row) or row.split != "train" or recipe.detect.learns == "labels"]
    for split, why in (("train", "that the model learns"), ("val", "that thresholds are fitted to"),
                       ("test", "that false alarms are counted on")):  # fmt: skip
        if not any(is_healthy(row) for row in kept if row.split == split):
            raise InputError(f"no healthy image is in the {split} split, {why}: give more healthy images or patients")
    return kept


def _said(recipe: DetectRecipe) -> list[Any]:
    return [recipe.detect.healthy, recipe.detect.learns]


PURPOSE = Purpose(
    "label or mask", with_health, build.unusable, build.prepared, learned_alone, manifest.counts_of_classes,
    settings=_said,
)  # fmt: skip
