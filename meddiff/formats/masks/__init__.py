"""Masks: what a file holds (`stored`), what that means (`meaning`), decided once for a data set (`decide`)."""

from meddiff.formats.masks.by_name import NameRules
from meddiff.formats.masks.decide import decide
from meddiff.formats.masks.levels import Levels, levels_of
from meddiff.formats.masks.meaning import IGNORED, MaskMeaning
from meddiff.formats.masks.reading import (
    MaskAt,
    classes_of,
    load_mask,
    masks_found,
    masks_of_rows,
    meaning_of,
    stored_at,
)
from meddiff.formats.masks.stored import read_stored, stored_volume

__all__ = [
    "IGNORED", "Levels", "MaskAt", "MaskMeaning", "NameRules", "classes_of", "decide", "levels_of", "load_mask",
    "masks_found", "masks_of_rows", "meaning_of", "read_stored", "stored_at", "stored_volume",
]  # fmt: skip
