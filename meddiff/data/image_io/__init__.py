"""Files to arrays and back. The only package that imports nibabel, SimpleITK and pydicom: one reader per format."""

from meddiff.data.image_io.images import (
    PERCENTILES,
    Picture,
    is_deep,
    load_image,
    load_mask,
    load_slice,
    read_picture,
    save_image,
    value_range_of,
)

__all__ = [
    "PERCENTILES", "Picture", "is_deep", "load_image", "load_mask", "load_slice", "read_picture", "save_image",
    "value_range_of",
]  # fmt: skip
