"""Hippocampus MRI (Medical Segmentation Decathlon, Task04): volumes of 35 x 51 x 36 mm, labels anterior and posterior.

Both sources take any task of that layout; see decathlon.py.
"""

from meddiff.sources.decathlon import decathlon

_LAYOUT = (
    "Recognized below --data-root at any depth: imagesTr/<case>.nii.gz with labelsTr/<case>.nii.gz, and dataset.json "
    "beside the two folders."
)

HIPPOCAMPUS = decathlon(
    "hippocampus",
    dataset="hippocampus",
    title="Hippocampus MRI volumes (Medical Segmentation Decathlon)",
    how_to_get="Volumes of the Medical Segmentation Decathlon (medicaldecathlon.com), Task04_Hippocampus or another "
    f"task with one sequence, as slices. {_LAYOUT}",
    modality="MR",
)
"""One row per slice."""

HIPPOCAMPUS_VOLUMES = decathlon(
    "hippocampus_volumes",
    dataset="hippocampus",
    title="Hippocampus MRI volumes (Medical Segmentation Decathlon)",
    how_to_get="Volumes of the Medical Segmentation Decathlon (medicaldecathlon.com), Task04_Hippocampus or another "
    f"task, as whole volumes. {_LAYOUT}",
    modality="MR",
    whole=True,
    phantom="hippocampus",
)
"""One row per volume."""
