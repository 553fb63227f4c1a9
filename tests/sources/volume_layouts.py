"""Small folders of volumes and slices as their publishers distribute them; these sources do open masks."""

import json
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

SPACING = (1.0, 1.0, 2.0)


def save_volume(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*SPACING, 1.0])), path)


def hippocampus(root: Path) -> None:
    """Two cases; of the four slices of each, 1 is anterior, 2 mostly posterior."""
    top = root / "Task04_Hippocampus"
    mask = np.zeros((5, 6, 4), dtype=np.uint8)
    mask[1:3, 1:3, 1] = 1
    mask[1:3, 1:4, 2] = 2
    mask[1, 1, 2] = 1
    for case in ("hippocampus_001", "hippocampus_004"):
        save_volume(top / "imagesTr" / f"{case}.nii.gz", np.arange(120, dtype=np.float32).reshape(5, 6, 4))
        save_volume(top / "labelsTr" / f"{case}.nii.gz", mask)
    (top / "imagesTr" / "._hippocampus_001.nii.gz").write_bytes(b"rubbish of macOS")
    told = {"modality": {"0": "MRI"}, "licence": "CC-BY-SA 4.0",
            "labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}  # fmt: skip
    (top / "dataset.json").write_text(json.dumps(told))


def lgg(root: Path) -> None:
    """Two patients with three slices each; the second slice shows a tumor."""
    for patient in ("TCGA_CS_5396_20010302", "TCGA_HT_7684_19950816"):
        folder = root / "kaggle_3m" / patient
        folder.mkdir(parents=True)
        for number in (1, 2, 10):
            mask = np.zeros((8, 8), dtype=np.uint8)
            mask[2:4, 2:4] = 255 if number == 2 else 0
            Image.fromarray(np.full((8, 8, 3), 10 * number, dtype=np.uint8)).save(folder / f"{patient}_{number}.tif")
            Image.fromarray(mask).save(folder / f"{patient}_{number}_mask.tif")
    table = "Patient,gender,age_at_initial_pathologic\nTCGA_CS_5396,1,53\nTCGA_HT_7684,,\n"
    (root / "kaggle_3m" / "data.csv").write_text(table)
