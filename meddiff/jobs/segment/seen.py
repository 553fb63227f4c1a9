"""Images that a network is tested on and has seen: copies of those that it was trained on, or chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from meddiff.audit import Finding, study
from meddiff.audit.finding import images_of
from meddiff.audit.image_facts import Facts, facts_of_prepared
from meddiff.build import segmenting
from meddiff.errors import InputError
from meddiff.formats.masks import MaskMeaning
from meddiff.formats.masks.meaning import read_meaning
from meddiff.manifest.row import ManifestRow
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import Run

SPLITS = ("train", "val")
COPIES, NOT_AT_HAND = "copies of training images", "training images not at hand"


def seen_in_training(
    rows: Sequence[ManifestRow], other: Run[SegmentRecipe], trained: Run[SegmentRecipe]
) -> list[Finding]:
    """Say which of the images are copies or near-copies, also turned ones, of those that the networks have seen.

    Args:
        rows: the images.
        other: the test, with the meaning of its masks in its folder.
        trained: the run that is tested.
    """
    try:
        by_split = [[row for row in trained.rows if row.split == split] for split in SPLITS]
        known = [fact for some in by_split for fact in _facts(some, trained)]
    except InputError as error:
        sentence = f"whether the network has seen some of these images was not looked at: {str(error).splitlines()[0]}"
        return [Finding(NOT_AT_HAND, (), sentence, "warning")]
    own = _facts(rows, other)
    pairs = study.with_turned([*own, *known], study.pairs_of([*own, *known]))
    copied = sorted({int(one) for one, second in pairs if one < len(own) <= second})
    if not copied:
        return []
    sentence = (
        f"{len(copied)} of {len(own)} images are copies or near-copies of images that the networks were trained on or "
        "chosen by: what a model has seen cannot judge it. Leave them out, or read the scores as those of training"
    )
    return [Finding(COPIES, images_of(own[place].row for place in copied), sentence, "serious")]


def _facts(rows: Sequence[ManifestRow], run: Run[SegmentRecipe]) -> list[Facts]:
    if not rows:
        return []
    recipe = replace(run.recipe, data=replace(run.recipe.data, on_bad_file="skip"))
    meaning: MaskMeaning | None = read_meaning(run.folder.mask_values) if run.folder.mask_values.is_file() else None
    images = segmenting.prepared(rows, recipe, meaning)
    return [facts_of_prepared(row, case.image, None) for row, case in zip(images.rows, images, strict=True)]
