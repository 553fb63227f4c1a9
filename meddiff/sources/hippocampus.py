"""Medical Segmentation Decathlon, Task04 Hippocampus, and any task of that layout: volumes as rows of slices.

``imagesTr/x.nii.gz`` goes with ``labelsTr/x.nii.gz``; ``dataset.json`` names the labels and the modality. A volume is
cut across its coarsest axis (the last where all are alike). A slice's class is the label that covers most of it,
``background`` where there is none, so label volumes are opened, once. All slices of a volume are one patient.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.data.manifest import ManifestRow
from meddiff.data.problems import Problems
from meddiff.data.volume import Volume
from meddiff.data.volumes import load_volume
from meddiff.errors import InputError
from meddiff.sources.listing import Folder, list_folders
from meddiff.sources.source import Source, real_row

_MODALITIES = {"mri": "MR", "ct": "CT", "mr": "MR", "t1": "MR", "t2": "MR", "flair": "MR"}
_SUFFIXES = (".nii.gz", ".nii")

HOW_TO_GET = (
    "Volumes of the Medical Segmentation Decathlon (medicaldecathlon.com), Task04_Hippocampus or another task with one "
    "sequence. Recognized below --data-root at any depth: imagesTr/<case>.nii.gz with labelsTr/<case>.nii.gz, and "
    "dataset.json beside the two folders."
)


@dataclass(frozen=True)
class Task:
    """What dataset.json says."""

    labels: Mapping[int, str]
    modality: str | None
    license: str | None


def hippocampus_rows(root: Path) -> list[ManifestRow]:
    """One row per slice, with mask, spacing and the label that covers most of it.

    Raises:
        InputError: nothing was recognized, images without labels or labels without images, of unequal sizes, or
            volumes with several sequences.
    """
    folders = {folder.path: folder for folder in list_folders(root)}
    rows = []
    for path, folder in folders.items():
        if Path(path).name == "labelsTr":
            top = path[: -len("labelsTr")]
            images = folders.get(f"{top}imagesTr", Folder(f"{top}imagesTr", ()))
            rows += _task_rows(root, images, folder, _read_task(root / top / "dataset.json"))
    if not rows:
        raise InputError(f"{root}: no volumes with labels were recognized in it. {HOW_TO_GET}")
    return sorted(rows, key=lambda row: row.row_id)


def _task_rows(root: Path, images: Folder, labels: Folder, task: Task) -> list[ManifestRow]:
    names = sorted({name for name in (*images.names, *labels.names) if name.endswith(_SUFFIXES)})
    problems, rows = Problems(root), []
    for name in names:
        if name not in images.names or name not in labels.names:
            there, missing = (images, labels) if name in images.names else (labels, images)
            cure = "Take it out, or put its counterpart there."
            problems.add(f"no such file in {missing.path}", there.join(name), cure)
    problems.raise_if_any()
    for name in names:
        rows += _case_rows(root, images.join(name), labels.join(name), task)
    return rows


def _case_rows(root: Path, image: str, label: str, task: Task) -> list[ManifestRow]:
    mask, volume = load_volume(root / label), load_volume(root / image)
    if mask.array.shape != volume.array.shape or volume.count > 1:
        shapes = f"{list(volume.array.shape)}, its label {label} is {list(mask.array.shape)}"
        raise InputError(
            f"{root / image} is {shapes}. One sequence and a label of its size are needed: take the case out, or "
            "split its sequences into files."
        )
    case = Path(image).name.partition(".nii")[0]
    axis = _slice_axis(volume)
    return [
        real_row(
            root,
            f"{case}_{index:03d}",
            image,
            dataset="hippocampus",
            patient_id=case,
            mask_path=label,
            slice_axis=axis,
            slice_index=index,
            modality=task.modality,
            label=_class(np.take(mask.array, index, axis=axis), task, label),
            spacing_mm_0=volume.spacing_mm[0],
            spacing_mm_1=volume.spacing_mm[1],
            spacing_mm_2=volume.spacing_mm[2],
            license=task.license,
        )
        for index in range(volume.array.shape[axis])
    ]


def _slice_axis(volume: Volume) -> int:
    spacing = [round(value or 0.0, 3) for value in volume.spacing_mm]
    return max(range(3), key=lambda axis: (spacing[axis], axis))


def _class(mask: np.ndarray, task: Task, label: str) -> str:
    indices, counts = np.unique(mask[mask > 0], return_counts=True)
    index = int(indices[np.argmax(counts)]) if len(indices) else 0
    if task.labels and index not in task.labels:
        known = ", ".join(map(str, task.labels))
        raise InputError(f"{label} holds the label {index}; dataset.json names {known}. Correct one of them.")
    return task.labels.get(index, f"label_{index}" if index else "background")


def _read_task(path: Path) -> Task:
    if not path.is_file():
        return Task({}, None, None)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        labels = {int(index): str(name) for index, name in content.get("labels", {}).items()}
        names = [str(name).lower() for name in content.get("modality", {}).values()]
        terms = content.get("licence") or content.get("license")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not a dataset.json of the Decathlon ({error}). Download it again.") from None
    return Task(labels, _MODALITIES.get(names[0]) if len(names) == 1 else None, str(terms) if terms else None)


HIPPOCAMPUS = Source(
    name="hippocampus",
    title="Hippocampus MRI volumes (Medical Segmentation Decathlon)",
    modality="MR",
    channels=1,
    rows=hippocampus_rows,
    how_to_get=HOW_TO_GET,
)
"""Medical Segmentation Decathlon, Task04, or another task of its layout."""
