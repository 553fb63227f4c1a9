"""From the files and facts of one ISIC id to one manifest row: which copy, whose label, which official part.

A picture that several challenges distribute is one row. Its pixels (image and mask) come from one challenge, because
copies differ in size; its label, lesion, patient, age, sex and site come from whoever knows them, the most trusted
challenge first.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from meddiff.manifest.row import ManifestRow
from meddiff.sources.isic.archives import CC0, CC_BY_NC
from meddiff.sources.isic.challenges import Origin, Picture
from meddiff.sources.isic.diagnoses import Facts
from meddiff.sources.isic.labels import COARSE
from meddiff.sources.source import real_row

LICENSES = {
    "ham10000": CC_BY_NC, "isic2016": CC0, "isic2017": CC0, "isic2018-task1": CC0, "isic2018-task3": CC_BY_NC,
    "isic2019": CC_BY_NC, "isic2020": CC_BY_NC,
}  # fmt: skip
# the same picture under two ids, found by comparing all images: they must not be in two splits
SAME_PICTURE = {"ISIC_0012970": "ISIC_0012127"}
SAME_PICTURE |= {kept: kept for kept in SAME_PICTURE.values()}
_ORDER = ("test", "val", "train")


def choose_pixels(images: Sequence[Picture], masks: Sequence[Picture]) -> tuple[Picture, Picture | None]:
    """Choose the copy to use and the mask that fits it: of one challenge where possible, else a copy of full size."""
    for image in images:
        for mask in masks:
            if image.origin.challenge == mask.origin.challenge:
                return image, mask
    full = [image for image in images if not image.reduced]
    return (full[0], masks[0] if masks else None) if full else (images[0], None)


def make_row(
    root: Path, name: str, pixels: tuple[Picture, Picture | None], *, facts: Sequence[Facts], split: str | None
) -> ManifestRow:
    """Build one picture as a row. ``facts`` stand in the order in which they are believed."""
    image, mask = pixels
    exact = [fact for fact in facts if fact.label not in COARSE] + [fact for fact in facts if fact.label in COARSE]

    def first(column: str) -> str | float | None:
        return next((value for fact in exact if (value := getattr(fact, column)) is not None), None)

    challenge = image.origin.challenge or next((fact.origin.challenge for fact in exact), None)
    facts_first = {column: first(column) for column in ("label", "patient_id", "lesion_id", "age_years", "sex", "site")}
    facts_first["lesion_id"] = facts_first["lesion_id"] or SAME_PICTURE.get(name)
    return real_row(
        root, name, image.path, mask_path=mask.path if mask else None, dataset=challenge or "isic", split=split,
        modality="dermoscopy", license=LICENSES.get(challenge or ""), **facts_first,
    )  # fmt: skip


class OfficialParts:
    """The pictures that the publishers put into train, val and test.

    A challenge of which only one part is on disk with its ground truth says nothing about how to split that part: its
    pictures are left without a split, to be divided by lesion. HAM10000 is the training part of ISIC 2018 Task 3.
    """

    def __init__(self, known: Mapping[str, Iterable[Origin]], shown: Mapping[str, Iterable[Origin]]):
        """Note ``known``: where the masks and diagnoses of a picture come from; ``shown``: where its images do."""
        present: dict[str, set[str]] = defaultdict(set)
        for challenge, part in {_part(origin) for origins in known.values() for origin in origins}:
            present[challenge] |= {part} - {""}
        self._complete = {challenge for challenge, parts in present.items() if len(parts) > 1}
        self._parts = {name: {_part(origin) for origin in (*known.get(name, ()), *shown[name])} for name in shown}

    def split(self, name: str) -> str | None:
        """Return test if any challenge tests on this picture, else val, else train; None where no challenge says."""
        parts = {part for challenge, part in self._parts.get(name, ()) if challenge in self._complete}
        return next((part for part in _ORDER if part in parts), None)


def _part(origin: Origin) -> tuple[str, str]:
    if origin.challenge == "ham10000":
        return "isic2018-task3", "train"
    return (origin.challenge or "", origin.part or "") if origin.challenge else ("", "")


def keep_groups_whole(rows: Sequence[ManifestRow]) -> tuple[list[ManifestRow], list[str]]:
    """Move lesions and patients that the official parts cut into train, whole.

    Returns:
        the rows, and the ids that were moved: what a model has seen in training cannot judge it.
    """
    rows, moved = list(rows), []
    while True:
        cut = {*_cut(rows, "lesion_id"), *_cut(rows, "patient_id")}
        if not cut:
            return rows, moved
        for index, row in enumerate(rows):
            if row.split in ("val", "test") and not cut.isdisjoint((row.lesion_id, row.patient_id)):
                rows[index] = replace(row, split="train")
                moved.append(row.row_id)


def _cut(rows: Iterable[ManifestRow], column: str) -> set[str]:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.split is not None and getattr(row, column) is not None:
            splits[getattr(row, column)].add(row.split)
    return {name for name, of in splits.items() if len(of) > 1}
