"""Files to arrays and back. Its folder alone imports nibabel, SimpleITK and pydicom: one reader per format."""

from meddiff.formats.masks.reading import load_mask
from meddiff.formats.slices import (
    PERCENTILES,
    Picture,
    is_deep,
    load_image,
    load_slice,
    read_picture,
    save_image,
    value_range_of,
)

__all__ = [
    "PERCENTILES", "Picture", "is_deep", "load_image", "load_mask", "load_slice", "read_picture", "save_image",
    "value_range_of",
]  # fmt: skip
