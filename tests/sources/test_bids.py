"""BIDS: scans of subjects and sessions, their sequences, masks of derivatives, and what the tables say."""

import numpy as np
import pytest
import volume_layouts
from volume_layouts import save_volume

from meddiff.errors import InputError
from meddiff.sources.folders.bids_folder import BIDS

ANAT = "derivatives/hand/sub-02/anat"


@pytest.fixture
def study(tmp_path):
    volume_layouts.bids(tmp_path)
    return tmp_path


def rows_of(study):
    return {row.row_id: row for row in BIDS.rows(study)}


def test_scans_are_rows_and_suffixes_channels(study):
    rows = rows_of(study)
    assert list(rows) == ["sub-01_ses-a", "sub-01_ses-b", "sub-02"]
    one = rows["sub-01_ses-a"]
    assert [file.name for file in one.image_files] == ["sub-01_ses-a_FLAIR.nii.gz", "sub-01_ses-a_T1w.nii.gz"]
    assert (one.patient_id, one.age_years, one.sex, one.label) == ("sub-01", 34, "female", "patient")
    assert (one.dataset, one.license, one.modality, one.attributes) == ("Tumors", "CC0", "MR", "handedness=right")
    assert rows["sub-02"].age_years == 89, "older than may be said"
    assert rows["sub-02"].attributes is None
    assert [part.name for part in one.mask_parts] == ["tumor"]
    assert one.mask_parts[0].path.is_file()


def test_a_session_has_a_table_of_its_own(study):
    (study / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\tgroup\nses-b\t36\tcured\n")
    rows = rows_of(study)
    assert (rows["sub-01_ses-a"].age_years, rows["sub-01_ses-a"].label) == (34, "patient")
    assert (rows["sub-01_ses-b"].age_years, rows["sub-01_ses-b"].label) == (36, "cured")


def test_images_on_other_grids_are_rows_of_their_own_and_a_mask_is_on_one_of_them(study):
    save_volume(study / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz", np.zeros((3, 3, 3), np.float32))
    rows = rows_of(study)
    assert "sub-02_T1w" in rows
    assert "sub-02_FLAIR" not in rows, "its mask lies on the other image"
    assert rows["sub-02_T1w"].attributes == "sequence=T1w"
    (study / ANAT / "sub-02_label-tumor_mask.nii.gz").unlink()
    for scan in ("sub-01/ses-a", "sub-01/ses-b"):
        name = scan.replace("/", "_")
        (study / "derivatives" / "hand" / scan / "anat" / f"{name}_label-tumor_mask.nii.gz").unlink()
    assert set(rows_of(study)) >= {"sub-02_T1w", "sub-02_FLAIR"}, "without masks all are there"


def test_masks_of_several_kinds(study):
    mask = np.zeros((5, 6, 4), np.uint8)
    save_volume(study / ANAT / "sub-02_label-edema_mask.nii.gz", mask)
    assert [part.name for part in rows_of(study)["sub-02"].mask_parts] == ["edema", "tumor"]
    save_volume(study / ANAT / "sub-02_dseg.nii.gz", mask)
    with pytest.raises(InputError, match="are masks of one image: keep one"):
        rows_of(study)
    save_volume(study / ANAT / "sub-02_space-MNI152NLin6Asym_label-tumor_mask.nii.gz", mask)
    for name in ("edema", "tumor"):
        (study / ANAT / f"sub-02_label-{name}_mask.nii.gz").unlink()
    (part,) = rows_of(study)["sub-02"].mask_parts
    assert (part.path.name, part.name) == ("sub-02_dseg.nii.gz", "")
    save_volume(study / "derivatives" / "hand" / "sub-09" / "anat" / "sub-09_dseg.nii.gz", mask)
    with pytest.raises(InputError, match=r"mask without image: .*sub-09_dseg"):
        rows_of(study)
    (study / "derivatives" / "hand" / "sub-09" / "anat" / "sub-09_dseg.nii.gz").unlink()
    save_volume(study / ANAT.replace("hand", "other") / "sub-02_dseg.nii.gz", mask)
    with pytest.raises(InputError, match="are masks of one image: keep one"):
        rows_of(study)


def test_an_age_that_is_none_is_refused(study):
    (study / "participants.tsv").write_text("participant_id\tage\nsub-01\told\n")
    with pytest.raises(InputError, match="the age 'old' is no number"):
        rows_of(study)


def test_runs_are_scans(study):
    for run in (1, 2):
        for suffix in ("T1w", "FLAIR"):
            name = f"sub-03_run-{run}_{suffix}.nii.gz"
            save_volume(study / "sub-03" / "anat" / name, np.zeros((5, 6, 4), np.float32))
    for mask in study.glob("derivatives/**/*label*"):
        mask.unlink()
    assert {"sub-03_run-1", "sub-03_run-2"} <= set(rows_of(study))
