"""Tasks of the Medical Segmentation Decathlon (Antonelli et al. 2022): rows of slices, or of whole volumes.

``imagesTr/x.nii.gz`` goes with ``labelsTr/x.nii.gz``; ``dataset.json`` names the labels and the modality. As slices, a
volume of one sequence is cut across its coarsest axis (the last where all are alike). A slice's class is the label
that covers most of it, ``background`` where there is none, so label volumes are opened, once. A whole volume may hold
several sequences as its fourth axis, and has no class: its labels are in its mask. All rows of a case are one patient.

Of the hippocampus (Task04), volumes are 35 x 51 x 36 mm, labels anterior and posterior.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from meddiff.errors import InputError, Problems
from meddiff.files.walk import Folder
from meddiff.formats.nifti import read_nifti_header
from meddiff.formats.open import load_volume
from meddiff.formats.volume import Volume
from meddiff.manifest.row import ManifestRow
from meddiff.sources import phantom as phantoms
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.source import Source, StandIn, real_row

_MODALITIES = {"mri": "MR", "ct": "CT", "mr": "MR", "t1": "MR", "t2": "MR", "flair": "MR", "t1w": "MR", "t2w": "MR",
               "t1gd": "MR", "adc": "MR"}  # fmt: skip
_SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Task:
    """The content of dataset.json."""

    labels: Mapping[int, str]
    modality: str | None
    license: str | None


def decathlon(
    name: str,
    *,
    dataset: str,
    title: str,
    how_to_get: str,
    modality: str,
    channels: int = 1,
    whole: bool = False,
    phantom: StandIn | None = None,
) -> Source:
    """Return the source of one task.

    Args:
        name: what ``--dataset`` calls it.
        dataset: the name in the rows; slices and volumes of one set share it.
        title: what a report calls it.
        how_to_get: where it is offered, and what is recognized.
        modality: MR or CT.
        channels: sequences per volume.
        whole: one row per volume instead of one per slice.
        phantom: the drawn images that stand in where there are no others.
    """
    rows = partial(decathlon_rows, dataset=dataset, how_to_get=how_to_get, whole=whole)
    return Source(
        name=name, title=title, modality=modality, channels=channels, rows=rows, how_to_get=how_to_get, phantom=phantom
    )


def decathlon_rows(root: Path, *, dataset: str, how_to_get: str, whole: bool) -> list[ManifestRow]:
    """Return one row per slice, or per volume, with mask and spacing; the slice with the label that covers most of it.

    Raises:
        InputError: nothing was recognized, images without labels or labels without images, of unequal sizes, or
            slices asked for of volumes with several sequences.
    """
    folders = {folder.path: folder for folder in list_folders(root)}
    rows = []
    for path, labels in folders.items():
        if Path(path).name == "labelsTr":
            top = path[: -len("labelsTr")]
            images = folders.get(f"{top}imagesTr", Folder(f"{top}imagesTr", ()))
            task = _read_task(root / top / "dataset.json")
            for name in _paired(root, images, labels):
                make = _whole_row if whole else _slice_rows
                rows += make(root, images.join(name), labels.join(name), task, dataset=dataset)
    if not rows:
        raise InputError(f"{root}: no volumes with labels were recognized in it. {how_to_get}")
    return sorted(rows, key=lambda row: row.row_id)


def _paired(root: Path, images: Folder, labels: Folder) -> list[str]:
    names = sorted({name for name in (*images.names, *labels.names) if name.endswith(_SUFFIXES)})
    problems = Problems(root)
    for name in names:
        if name not in images.names or name not in labels.names:
            there, missing = (images, labels) if name in images.names else (labels, images)
            cure = "Take it out, or put its counterpart there."
            problems.add(f"no such file in {missing.path}", there.join(name), cure)
    problems.raise_if_any()
    return names


def _whole_row(root: Path, image: str, label: str, task: Task, *, dataset: str) -> list[ManifestRow]:
    """Return the row of a volume, by a look at the headers."""
    volume, mask = read_nifti_header(root / image), read_nifti_header(root / label)
    if volume.shape != mask.shape or mask.count > 1:
        sides = [*mask.shape, mask.count] if mask.count > 1 else [*mask.shape]
        raise InputError(
            f"{root / image} is {list(volume.shape)}, its label {label} is {sides}. One label of the volume's size "
            "is needed: take the case out, or correct it."
        )
    case = _case(image)
    return [_row(root, case, image, label, task, dataset=dataset, spacing_mm=volume.spacing_mm)]


def _slice_rows(root: Path, image: str, label: str, task: Task, *, dataset: str) -> list[ManifestRow]:
    mask, volume = load_volume(root / label), load_volume(root / image)
    if mask.array.shape != volume.array.shape or volume.count > 1:
        shapes = f"{list(volume.array.shape)}, its label {label} is {list(mask.array.shape)}"
        raise InputError(
            f"{root / image} is {shapes}. One sequence and a label of its size are needed: take the case out, or "
            "split its sequences into files."
        )
    axis = _slice_axis(volume)
    return [
        _row(
            root,
            f"{_case(image)}_{index:03d}",
            image,
            label,
            task,
            dataset=dataset,
            spacing_mm=volume.spacing_mm,
            slice_axis=axis,
            slice_index=index,
            label=_class(np.take(mask.array, index, axis=axis), task, label),
        )
        for index in range(volume.array.shape[axis])
    ]


def _row(root: Path, row_id: str, image: str, mask: str, task: Task, *, dataset: str, spacing_mm, **known):
    spacing = {f"spacing_mm_{axis}": mm for axis, mm in enumerate(spacing_mm)}
    facts = {"patient_id": _case(image), "mask_path": mask, "modality": task.modality, "license": task.license}
    return real_row(root, row_id, image, dataset=dataset, **facts, **spacing, **known)


def _case(image: str) -> str:
    return Path(image).name.partition(".nii")[0]


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
        kinds = {_MODALITIES.get(str(name).lower()) for name in content.get("modality", {}).values()}
        terms = content.get("licence") or content.get("license")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not a dataset.json of the Decathlon ({error}). Download it again.") from None
    return Task(labels, kinds.pop() if len(kinds) == 1 else None, str(terms) if terms else None)


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
    phantom=phantoms.HIPPOCAMPUS,
)
"""One row per volume."""
