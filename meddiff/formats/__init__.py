"""Files to arrays and back. Its folder alone imports nibabel, SimpleITK and pydicom: one reader per format."""

from meddiff.formats.arrays import (
    PERCENTILES,
    Picture,
    is_deep,
    load_image,
    load_slice,
    read_picture,
    save_image,
    value_range_of,
)
from meddiff.formats.masks.reading import load_mask

__all__ = [
    "PERCENTILES", "Picture", "is_deep", "load_image", "load_mask", "load_slice", "read_picture", "save_image",
    "value_range_of",
]  # fmt: skip
