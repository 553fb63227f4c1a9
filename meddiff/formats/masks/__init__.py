"""Masks: what a file holds (`stored`), what that means (`meaning`), decided once for a data set (`decide`)."""

from meddiff.formats.masks.decide import decide
from meddiff.formats.masks.levels import Levels, levels_of
from meddiff.formats.masks.meaning import IGNORED, MaskMeaning
from meddiff.formats.masks.reading import load_mask, masks_found, meaning_of, places
from meddiff.formats.masks.stored import read_stored, stored_volume

__all__ = [
    "IGNORED", "Levels", "MaskMeaning", "decide", "levels_of", "load_mask", "masks_found", "meaning_of", "places",
    "read_stored", "stored_volume",
]  # fmt: skip
