"""Volumes of one's own as rows: NIfTI folders with masks and a table, DICOM series without a word about the patient."""

from dataclasses import astuple

import numpy as np
import pytest
import volume_layouts

from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError
from meddiff.formats.masks import NameRules, meaning_of
from meddiff.formats.open import load_volume
from meddiff.images.prepare import VolumeTransform
from meddiff.manifest.table import read_manifest, write_manifest
from meddiff.sources.folders.dicom_folder import DICOM_FOLDER
from meddiff.sources.folders.nifti_folder import NIFTI_FOLDER
from tests.dicom_series import PLANTED, write_series


def test_images_masks_and_a_table(tmp_path):
    volume_layouts.nifti_folder(tmp_path)
    rows = NIFTI_FOLDER.rows(tmp_path)
    assert [(row.row_id, row.image_path, row.mask_path) for row in rows] == [
        ("a", "images/a.nii.gz", "masks/a.nii.gz"),
        ("b", "images/b.nii", "masks/b_seg.nii.gz"),
        ("c.v2", "images/c.v2.nii.gz", "masks/c.v2_mask.nii"),
    ]
    assert [(row.label, row.patient_id, row.age_years) for row in rows] == [
        ("sick", "p1", 70.0), ("well", "p1", None), (None, "p2", None)
    ]  # fmt: skip
    assert (rows[0].spacing_mm_0, rows[0].spacing_mm_2, rows[0].slice_axis) == (1.0, 2.0, None)


def test_volumes_of_one_name_are_told_apart_by_their_folders(tmp_path):
    """A folder per patient with the same names in each is the usual layout."""
    for name in ("01/t1.nii.gz", "02/t1.nii.gz", "02/t2.nii.gz"):
        volume_layouts.save_volume(tmp_path / name, np.zeros((3, 3, 3), dtype=np.uint8))
    assert [row.row_id for row in NIFTI_FOLDER.rows(tmp_path)] == ["01_t1", "02_t1", "t2"]


@pytest.mark.parametrize(("files", "rows"), [
    (("c_0000", "c_0001", "d_0000", "d_0001"),
     [("c", "c_{0000,0001}.nii.gz", "c"), ("d", "d_{0000,0001}.nii.gz", "d")]),
    (("c_0000", "d_0000"), [("c", "c_0000.nii.gz", "c"), ("d", "d_0000.nii.gz", "d")]),
    (("c", "d"), [("c", "c.nii.gz", "c"), ("d", "d.nii.gz", "d")]),
])  # fmt: skip
def test_the_channels_of_a_case_are_one_row(tmp_path, files, rows):
    """As nnU-Net lays them out: channels are numbered, masks are not."""
    for name in files:
        volume_layouts.save_volume(tmp_path / "imagesTr" / f"{name}.nii.gz", np.zeros((3, 3, 3), dtype=np.uint8))
    for name in ("c", "d"):
        volume_layouts.save_volume(tmp_path / "labelsTr" / f"{name}.nii.gz", np.zeros((3, 3, 3), dtype=np.uint8))
    expected = [(case, f"imagesTr/{image}", f"labelsTr/{mask}.nii.gz") for case, image, mask in rows]
    assert [(row.row_id, row.image_path, row.mask_path) for row in NIFTI_FOLDER.rows(tmp_path)] == expected


def test_channels_without_masks_are_no_patients_of_their_own(tmp_path):
    for name in ("c_0000", "c_0001", "d"):
        volume_layouts.save_volume(tmp_path / f"{name}.nii.gz", np.zeros((3, 3, 3), dtype=np.uint8))
    assert [row.row_id for row in NIFTI_FOLDER.rows(tmp_path)] == ["c", "d"]
    (tmp_path / "c_0001.nii.gz").rename(tmp_path / "c_0001.nii")
    with pytest.raises(InputError, match="the channels of one case end alike"):
        NIFTI_FOLDER.rows(tmp_path)


FILES_PER_CLASS = {
    "by name": (["images/p1", "images/p2", "masks/p1_liver", "masks/p1_spleen", "masks/p2_liver_mask"],
                ["masks/p1_liver=liver;masks/p1_spleen=spleen", "masks/p2_liver_mask=liver"]),
    "one name within another": (["images/p1", "images/p1_2", "labels/p1_liver", "labels/p1_2_liver"],
                                ["labels/p1_liver=liver", "labels/p1_2_liver=liver"]),
    "by folder of cases": (["images/p1", "images/p2", "masks/p1/liver", "masks/p2/liver", "masks/p2/left.kidney"],
                           ["masks/p1/liver=liver", "masks/p2/left.kidney=left_kidney;masks/p2/liver=liver"]),
    "by folder of classes": (["images/p1", "images/p2", "masks/liver/p1", "masks/liver/p2"],
                             ["masks/liver/p1=liver", "masks/liver/p2=liver"]),
    "beside a lone volume": (["s1/ct", "s1/segmentations/liver", "s2/ct", "s2/segmentations/liver"],
                             ["s1/segmentations/liver=liver", "s2/segmentations/liver=liver"]),
    "of nnU-Net's channel": (["imagesTr/p1_0000", "labelsTr/p1_liver"], ["labelsTr/p1_liver=liver"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES_PER_CLASS)
def test_a_mask_may_be_a_file_per_class(tmp_path, kind):
    files, cells = FILES_PER_CLASS[kind]
    for number, name in enumerate(files):
        marked = np.zeros((3, 3, 3), dtype=np.uint8)
        marked[number % 3] = 1
        volume_layouts.save_volume(tmp_path / f"{name}.nii.gz", marked)
    rows = NIFTI_FOLDER.rows(tmp_path)
    assert [str(row.mask_path).replace(".nii.gz", "") for row in rows] == cells
    meaning = meaning_of(rows, rules=NameRules(missing="empty"))
    assert "liver" in meaning.names
    write_manifest(rows, tmp_path / "manifest.csv")
    assert [row.mask_parts for row in read_manifest(tmp_path / "manifest.csv")] == [row.mask_parts for row in rows]


def test_a_mask_of_a_class_without_its_image_is_named(tmp_path):
    for name in ("images/p1", "masks/p1_liver", "masks/p2_liver", "masks/p1_2"):
        volume_layouts.save_volume(tmp_path / f"{name}.nii.gz", np.zeros((3, 3, 3), dtype=np.uint8))
    with pytest.raises(InputError, match=r"(?s)mask without image.*masks/p1_2\.nii\.gz") as caught:
        NIFTI_FOLDER.rows(tmp_path)
    assert "masks/p2_liver.nii.gz" in str(caught.value)


def test_volumes_alone_anywhere(tmp_path):
    volume_layouts.save_volume(tmp_path / "ward" / "x.nii.gz", np.zeros((3, 3, 3), dtype=np.uint8))
    volume_layouts.save_volume(tmp_path / "y.nii", np.zeros((3, 3, 3), dtype=np.uint8))
    assert [(row.row_id, row.mask_path, row.group) for row in NIFTI_FOLDER.rows(tmp_path)] == [
        ("x", None, "x"), ("y", None, "y")
    ]  # fmt: skip
    volume_layouts.save_volume(tmp_path / "y.nii.gz", np.zeros((3, 3, 3), dtype=np.uint8))
    with pytest.raises(InputError, match="duplicate row_id"):
        NIFTI_FOLDER.rows(tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("d,x,p1,,", "unknown case: labels.csv: line 5: 'd'"),
        ("a,x,p1,old,", "line 5: 'old' is no age"),
        ("a,x,p1,,holdout", "line 5: 'holdout' is no split"),
    ],
)
def test_tables_that_say_something_else(tmp_path, line, reason):
    volume_layouts.nifti_folder(tmp_path)
    with (tmp_path / "labels.csv").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=reason):
        NIFTI_FOLDER.rows(tmp_path)


def test_one_patient_in_two_splits_is_refused(tmp_path):
    volume_layouts.nifti_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("case,patient,split\na,p,train\nb,p,test\n")
    with pytest.raises(InputError, match="one patient_id in several splits"):
        NIFTI_FOLDER.rows(tmp_path)


def test_halves_are_named(tmp_path):
    volume_layouts.nifti_folder(tmp_path)
    (tmp_path / "masks" / "a.nii.gz").rename(tmp_path / "masks" / "z.nii.gz")
    with pytest.raises(InputError) as caught:
        NIFTI_FOLDER.rows(tmp_path)
    assert "mask without image: masks/z.nii.gz" in str(caught.value)
    assert "image without mask: images/a.nii.gz" in str(caught.value)


def test_series_become_rows_without_a_word_about_the_patient(tmp_path):
    volume_layouts.dicom_folder(tmp_path)
    rows = DICOM_FOLDER.rows(tmp_path)
    assert [(row.row_id, row.image_path, row.patient_id) for row in rows] == [
        ("series_00001", "x/s1", "patient_0001"),
        ("series_00002", "x/s2", "patient_0001"),
        ("series_00003", "y", "patient_0002"),
    ]
    assert {(row.modality, row.spacing_mm_0, row.spacing_mm_1, row.spacing_mm_2) for row in rows} == {
        ("CT", 0.25, 0.5, 3.0)
    }
    write_manifest(rows, tmp_path / "manifest.csv")
    told = (tmp_path / "manifest.csv").read_text() + "".join(str(value) for row in rows for value in astuple(row)[:-1])
    for secret in (*PLANTED.values(), "A-17", "B-4", "1.2.3", "thorax"):
        assert secret not in told
    ct = VolumeTransform(intensity="window", window=(-1024.0, 3000.0))
    array = cache_volumes(rows, ct, folder=tmp_path / "cache")
    expected = load_volume(tmp_path / "y").array
    restored = array[2].grid.restore(np.asarray(array[2].image) / 65535.0)[0]
    assert restored * 4024 - 1024 == pytest.approx(expected, abs=0.1)


def test_series_that_share_a_folder_are_told_apart(tmp_path):
    """As a PACS exports them: all files of several series side by side, and one folder below another."""
    for spacing in (3, 4):
        write_series(tmp_path / "b", step=(0, 0, spacing), SeriesInstanceUID=f"1.2.{spacing}")
        (tmp_path / "a").mkdir(exist_ok=True)
        for file in (tmp_path / "b").iterdir():
            file.rename(tmp_path / "a" / f"IM{spacing}{file.stem}")
    write_series(tmp_path / "a" / "deeper", step=(0, 0, 5), SeriesInstanceUID="1.2.5")
    rows = DICOM_FOLDER.rows(tmp_path)
    assert [row.image_path for row in rows] == ["a/IM30#series", "a/IM40#series", "a/deeper"]
    assert [load_volume(row.image_file).spacing_mm[2] for row in rows] == [3, 4, 5]
    write_manifest(rows, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == rows
    array = cache_volumes(rows, VolumeTransform(), folder=tmp_path / "cache")
    assert len(array.rows) == 3
    (tmp_path / "a" / "IM30").unlink()
    with pytest.raises(InputError, match=r"file does not exist: line 2: .*IM30#series"):
        read_manifest(tmp_path / "manifest.csv")


def test_copies_of_a_series_stay_apart_and_parts_come_together(tmp_path):
    write_series(tmp_path / "raw")
    write_series(tmp_path / "compressed")
    write_series(tmp_path / "halves" / "one", SeriesInstanceUID="1.2.8")
    (tmp_path / "halves" / "two").mkdir()
    for name in ("2.dcm", "3.dcm"):
        (tmp_path / "halves" / "one" / name).rename(tmp_path / "halves" / "two" / name)
    rows = DICOM_FOLDER.rows(tmp_path)
    assert [row.image_path for row in rows] == ["compressed", "halves", "raw"]
    assert load_volume(rows[1].image_file).shape[2] == 4


def test_a_series_spread_among_others_is_refused(tmp_path):
    write_series(tmp_path / "a" / "one", SeriesInstanceUID="1.2.4")
    write_series(tmp_path / "a" / "two", SeriesInstanceUID="1.2.5")
    (tmp_path / "a" / "two" / "0.dcm").rename(tmp_path / "a" / "one" / "astray.dcm")
    with pytest.raises(InputError, match=r"series spread among others: 4 files of one series \(astray\.dcm"):
        DICOM_FOLDER.rows(tmp_path)


def test_a_table_tells_what_series_are(tmp_path):
    volume_layouts.dicom_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("path,label,age,patient\nx,sick,61,\ny,well,,other\n")
    told = [(row.label, row.age_years, row.patient_id) for row in DICOM_FOLDER.rows(tmp_path)]
    assert told == [("sick", 61.0, "patient_0001")] * 2 + [("well", None, "other")]
    (tmp_path / "labels.csv").write_text("path,label\nz,sick\n")
    with pytest.raises(InputError, match=r"unknown path: labels\.csv: line 2: 'z'"):
        DICOM_FOLDER.rows(tmp_path)


def test_files_that_are_no_volume_are_kept(tmp_path):
    write_series(tmp_path / "b" / "ok", SeriesInstanceUID="1.2.5")
    write_series(tmp_path / "b" / "still", step=(0, 0, 0), SeriesInstanceUID="1.2.6")  # all at one place
    rows = DICOM_FOLDER.rows(tmp_path / "b")
    assert [row.spacing_mm_2 for row in rows] == [3.0, None]
    array = cache_volumes(rows, VolumeTransform(), on_bad_file="skip", folder=tmp_path / "cache")
    assert [row.image_path for row in array.rows] == ["ok"]
    assert "slices lie at" in array.skipped[0][1]


@pytest.mark.real_data
def test_real_folders(real_data, tmp_path):
    rows = NIFTI_FOLDER.rows(real_data / "mni152-template")
    assert len(rows) == 3
    assert rows[0].spacing_mm_0 == 1.0
    rows = NIFTI_FOLDER.rows(real_data / "Task04_Hippocampus")
    assert len(rows) == 140
    assert all(row.mask_path for row in rows)
