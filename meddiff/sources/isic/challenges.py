"""The challenge that a file belongs to, and the images and lesion masks below a folder, by ISIC id.

An ISIC id names one picture throughout the archive: ISIC_0000000 of the 2016, 2017, 2018 and 2019 challenges is the
same lesion photographed once, so the id is the picture's identity and ``ISIC_0000000_downsampled`` (2019) has it too.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from meddiff.files.walk import Folder
from meddiff.formats.pictures import PICTURE_SUFFIXES
from meddiff.manifest.mask_cells import image_of_mask, mask_cell

_logger = logging.getLogger(__name__)
_ID = re.compile(r"(ISIC_\d{7})(_downsampled)?(_segmentation|_attribute_\w+)?", re.IGNORECASE)
_MASK_FOLDER = re.compile(r"masks?\b|segmentations?|ground.?truth", re.IGNORECASE)
_PARTS = (("train", "train"), ("valid", "val"), ("test", "test"))
# part of a name -> challenge; the first that matches
_CHALLENGES = (
    (re.compile(r"HAM_?10000", re.IGNORECASE), "ham10000"),
    (re.compile(r"ISIC[-_ ]?2018.*task[-_ ]?3", re.IGNORECASE), "isic2018-task3"),
    (re.compile(r"ISIC[-_ ]?2018.*task[-_ ]?[12]", re.IGNORECASE), "isic2018-task1"),
    (re.compile(r"ISBI[-_ ]?2016|ISIC[-_ ]?2016", re.IGNORECASE), "isic2016"),
    (re.compile(r"ISIC[-_ ]?2017", re.IGNORECASE), "isic2017"),
    (re.compile(r"ISIC[-_ ]?2018", re.IGNORECASE), "isic2018"),
    (re.compile(r"ISIC[-_ ]?2019", re.IGNORECASE), "isic2019"),
    (re.compile(r"ISIC[-_ ]?2020", re.IGNORECASE), "isic2020"),
)
# where two challenges know a picture, the earlier one here is believed: diagnoses by name before benign/malignant
CHALLENGES = ("ham10000", "isic2018-task3", "isic2018", "isic2019", "isic2017", "isic2018-task1", "isic2020",
              "isic2016", None)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """A challenge, and which of its official parts."""

    challenge: str | None
    part: str | None  # train, val, test

    @property
    def rank(self) -> int:
        """Smaller is believed first."""
        return CHALLENGES.index(self.challenge)


@dataclass(frozen=True)
class Picture:
    """One file with an ISIC id in its name."""

    path: str
    origin: Origin
    reduced: bool  # a copy of another size than the original, so that masks of other challenges do not fit it


@lru_cache(maxsize=4096)
def origin_of(path: str) -> Origin:
    """Read the origin off a path, the innermost folder first: ``.../ISIC-2017_Test_v2_Data`` is (isic2017, test)."""
    part = None
    for name in reversed(PurePosixPath(path).parts):
        part = part or next((part for word, part in _PARTS if word in name.lower()), None)
        challenge = next((challenge for pattern, challenge in _CHALLENGES if pattern.search(name)), None)
        if challenge is not None:
            return Origin(challenge, None if challenge == "ham10000" else part)
    return Origin(None, None)


def isic_id(text: str) -> str | None:
    """Return the id in a table's cell: ``ISIC_0000000``, ``ISIC_0000000_downsampled`` or ``ISIC_0000000.jpg``."""
    match = _ID.fullmatch(PurePosixPath(text).stem)
    return match[1].upper() if match and not match[3] else None


def _of_one_kind(masks: dict[str, list[Picture]]) -> dict[str, list[Picture]]:
    """Leave out masks of attributes (ISIC 2018, task 2) where others are of lesions; else make one of each image's."""
    lesions = {name: [one for one in some if not _is_of_attribute(one)] for name, some in masks.items()}
    count = sum(map(len, masks.values())) - sum(map(len, lesions.values()))
    if any(lesions.values()) and count:
        _logger.warning("%d masks of attributes (ISIC 2018, task 2) are left out, as others are of lesions: to learn "
                        "the attributes, keep no other masks below the folder", count)  # fmt: skip
    if any(lesions.values()) or not count:
        return {name: some for name, some in lesions.items() if some}
    return {name: _together(some) for name, some in masks.items()}


def _is_of_attribute(mask: Picture) -> bool:
    return "_attribute_" in mask.path.lower()


def _together(attributes: list[Picture]) -> list[Picture]:
    """Make one mask of those that hold an attribute each, by their origin."""
    by_origin: dict[Origin, dict[str, str]] = defaultdict(dict)
    for mask in attributes:
        _, name = image_of_mask(PurePosixPath(mask.path).stem) or ("", "")
        by_origin[mask.origin][mask.path] = name
    return [Picture(mask_cell(named) or "", origin, False) for origin, named in by_origin.items()]


def find_pictures(folders: Iterable[Folder], inside: str) -> tuple[dict[str, list[Picture]], dict[str, list[Picture]]]:
    """Find images and masks by ISIC id, those of the most trusted challenge first.

    Args:
        folders: what lies below the root.
        inside: the name of the root itself, which may be all that tells the challenge.
    """
    images: dict[str, list[Picture]] = defaultdict(list)
    masks: dict[str, list[Picture]] = defaultdict(list)
    for folder in folders:
        origin = origin_of(f"{inside}/{folder.path}")
        of_masks = _MASK_FOLDER.search(PurePosixPath(folder.path or inside).name) is not None
        for name in folder.names:
            stem, dot, suffix = name.rpartition(".")
            match = _ID.fullmatch(stem) if dot + suffix.lower() in PICTURE_SUFFIXES else None
            if match is not None:
                kind = masks if match[3] or (of_masks and suffix.lower() not in ("jpg", "jpeg")) else images
                kind[match[1].upper()].append(Picture(folder.join(name), origin, match[2] is not None))
    masks = _of_one_kind(masks)
    for pictures in (*images.values(), *masks.values()):
        pictures.sort(key=lambda picture: (picture.origin.rank, picture.path))
    return images, masks
