"""Small folders of volumes and slices as their publishers distribute them; these sources do open masks."""

import json
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from tests.dicom_series import write_series

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


def brats(root: Path) -> None:
    """Two heads with four sequences and labels 0, 1, 2, 4, as the challenge distributes them."""
    for number in (1, 2):
        case = f"BraTS20_Training_{number:03d}"
        brats_case(root / "MICCAI_BraTS2020_TrainingData" / case, f"{case}_", ("flair", "t1", "t1ce", "t2"), "seg")


def brats_case(folder: Path, before: str, sequences: tuple[str, ...], label: str | None, after: str = "") -> None:
    """One head; the n-th sequence is a gradient along its axis n, and the mask a row of all labels."""
    for number, sequence in enumerate(sequences):
        values = np.indices((6, 7, 8))[number % 3].astype(np.float32) + 10 * number
        save_volume(folder / f"{before}{sequence}{after}.nii.gz", values)
    if label is not None:
        mask = np.zeros((6, 7, 8), dtype=np.float32)
        mask[2:5, 3, 4] = 1, 2, 4
        save_volume(folder / f"{before}{label}.nii.gz", mask)


def nifti_folder(root: Path) -> None:
    """Three volumes with masks; one of them has an ending of its own."""
    for name, mask in (("a.nii.gz", "a.nii.gz"), ("b.nii", "b_seg.nii.gz"), ("c.v2.nii.gz", "c.v2_mask.nii")):
        save_volume(root / "images" / name, np.zeros((5, 6, 4), dtype=np.int16))
        save_volume(root / "masks" / mask, np.zeros((5, 6, 4), dtype=np.uint8))
    (root / "labels.csv").write_text("case,label,patient,age,split\na,sick,p1,70,\nb.nii,well,p1,,\nc.v2,,p2,,\n")


def bids(root: Path) -> None:
    """Two subjects, one of them in two sessions, with two sequences on one grid and a tumor each."""
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tgroup\thandedness\nsub-01\t34\tF\tpatient\tright\nsub-02\t89+\tM\tcontrol\tn/a\n"
    )
    about = {"Name": "Tumors", "BIDSVersion": "1.9.0", "License": "CC0"}
    (root / "dataset_description.json").write_text(json.dumps(about))
    mask = np.zeros((5, 6, 4), dtype=np.uint8)
    mask[1:3, 1:3, 1] = 1
    for scan in ("sub-01/ses-a", "sub-01/ses-b", "sub-02"):
        name = scan.replace("/", "_")
        for suffix in ("T1w", "FLAIR"):
            save_volume(root / scan / "anat" / f"{name}_{suffix}.nii.gz", np.full((5, 6, 4), 7, np.float32))
        save_volume(root / scan / "func" / f"{name}_task-rest_bold.nii.gz", np.zeros((5, 6, 4, 3), np.float32))
        save_volume(root / "derivatives" / "hand" / scan / "anat" / f"{name}_label-tumor_mask.nii.gz", mask)
        save_volume(root / "derivatives" / "hand" / scan / "anat" / f"{name}_desc-brain_mask.nii.gz", mask)


def dicom_folder(root: Path) -> None:
    """Two patients; the first has two series."""
    for number, (folder, patient) in enumerate((("x/s1", "A-17"), ("x/s2", "A-17"), ("y", "B-4"))):
        write_series(root / folder, PatientID=patient, SeriesInstanceUID=f"1.2.3.{number}")
    (root / "x" / "report.txt").write_text("no image")
