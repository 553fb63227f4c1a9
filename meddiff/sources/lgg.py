"""Brain MRI slices of lower-grade glioma with tumor masks: the Kaggle set lgg-mri-segmentation (Buda et al. 2019).

Each slice is a TIFF whose three channels are the sequences before contrast, FLAIR and after contrast, not colors.
The class is read off the mask: ``tumor`` where it marks a pixel, ``no_tumor`` where it is empty; so masks are opened,
once. A patient's slices stay together.
"""

import re
from pathlib import Path

from meddiff.errors import InputError, Problems
from meddiff.files.walk import Folder
from meddiff.formats import load_mask
from meddiff.manifest.row import ManifestRow
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.phantom import BRAIN_MRI
from meddiff.sources.published_tables import number, read_table
from meddiff.sources.source import Source, real_row

_SLICE = re.compile(r"(TCGA_\w{2}_\w+?)_(\d{8})_(\d+)\.tiff?", re.IGNORECASE)

HOW_TO_GET = (
    "Brain MRI of lower-grade glioma with tumor masks: Kaggle mateuszbuda/lgg-mri-segmentation (needs an account, so "
    "there is no download command). Recognized below --data-root at any depth: "
    "TCGA_<site>_<patient>_<date>_<slice>.tif with ..._<slice>_mask.tif beside it, and data.csv with the ages."
)


def lgg_rows(root: Path) -> list[ManifestRow]:
    """Return one row per slice, with mask, patient and age.

    Raises:
        InputError: no slice was recognized, or a slice lacks its mask.
    """
    folders = list_folders(root)
    ages = _ages(root, folders)
    problems, rows = Problems(root), []
    for folder in folders:
        for name in folder.names:
            match = _SLICE.fullmatch(name)
            if match is None:
                continue
            mask = f"{name[: name.rindex('.')]}_mask{name[name.rindex('.') :]}"
            if mask not in folder.names:
                problems.add("slice without mask", folder.join(name), "Download the set again; the mask lies beside.")
                continue
            patient, date, slice_ = match.groups()
            rows.append(
                real_row(
                    root,
                    f"{patient}_{date}_{int(slice_):03d}",
                    folder.join(name),
                    dataset="lgg",
                    patient_id=patient,
                    mask_path=folder.join(mask),
                    modality="MR",
                    label="tumor" if load_mask(root / folder.join(mask)).any() else "no_tumor",
                    age_years=ages.get(patient),
                    license="CC BY-NC-SA 4.0",
                )
            )
    problems.raise_if_any()
    if not rows:
        raise InputError(f"{root}: no slices of lower-grade glioma were recognized in it. {HOW_TO_GET}")
    return sorted(rows, key=lambda row: row.row_id)


def _ages(root: Path, folders: list[Folder]) -> dict[str, float]:
    """Return the patient -> age in years, of every data.csv that has such columns."""
    ages: dict[str, float] = {}
    for folder in folders:
        if "data.csv" in folder.names:
            table = read_table(root / folder.join("data.csv"))
            if "patient" in table.columns and "age_at_initial_pathologic" in table.columns:
                for line, cells in table.records:
                    try:
                        age = number(cells["age_at_initial_pathologic"])
                    except ValueError:
                        odd = f"{cells['age_at_initial_pathologic']!r} is no age"
                        raise InputError(f"{table.path}: line {line}: {odd}. Correct it or leave it empty.") from None
                    if age is not None:
                        ages[cells["patient"]] = age
    return ages


LGG = Source(
    name="lgg",
    title="Brain MRI slices of lower-grade glioma",
    modality="MR",
    augment="mirror",
    channels=3,
    rows=lgg_rows,
    how_to_get=HOW_TO_GET,
    sequences=("t1", "flair", "t1c"),
    phantom=BRAIN_MRI,
)
"""The Kaggle set lgg-mri-segmentation."""
