"""Heads of the BraTS challenges as rows, and their sequences as channels in one order."""

import numpy as np
import pytest
import volume_layouts

from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError
from meddiff.images.prepare import VolumeTransform
from meddiff.sources.brats import BRATS
from tests.formats.volume_files import labels_back

SEQUENCES = ("flair", "t1", "t1ce", "t2")  # gradients along axis 0, 1, 2, 0


def test_official_names(tmp_path):
    volume_layouts.brats(tmp_path)
    rows = BRATS.rows(tmp_path)
    top = "MICCAI_BraTS2020_TrainingData/BraTS20_Training_001/BraTS20_Training_001"
    assert rows[0].image_path == f"{top}_{{t1,t1ce,t2,flair}}.nii.gz"
    assert rows[0].mask_path == f"{top}_seg.nii.gz"
    assert [row.row_id for row in rows] == [row.patient_id for row in rows]
    assert {(row.slice_axis, row.split, row.label, row.modality) for row in rows} == {(None, None, None, "MR")}
    assert (rows[0].spacing_mm_0, rows[0].spacing_mm_2) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("before", "sequences", "label", "after", "path"),
    [
        ("BraTS-GLI-05-001-", ("t2f", "t1n", "t1c", "t2w"), "seg", "", "BraTS-GLI-05-001-{t1n,t1c,t2w,t2f}.nii.gz"),
        ("Brats18_X_", ("FLAIR", "T1", "T1Gd", "T2"), "Seg", "", "Brats18_X_{T1,T1Gd,T2,FLAIR}.nii.gz"),
        ("", ("Flair", "T1c"), "OTMultiClass", "_subtrMeanDivStd", "{T1c,Flair}_subtrMeanDivStd.nii.gz"),
    ],
)  # fmt: skip
def test_other_names_and_the_order_of_channels(tmp_path, before, sequences, label, after, path):
    volume_layouts.brats_case(tmp_path / "head", before, sequences, label, after)
    (row,) = BRATS.rows(tmp_path)
    assert row.image_path == f"head/{path}"
    assert row.mask_path is not None
    window = VolumeTransform(intensity="window", window=(0.0, 40.0))
    case = cache_volumes([row], window, with_masks=True, classes=5, folder=tmp_path / "cache")[0]
    channels = np.rint((case.image / 32767.5 - 1 + 1) * 20)
    steps = [tuple(int(np.diff(channel, axis=axis).mean()) for axis in range(3)) for channel in channels]
    by_name = dict(zip([one.lower() for one in sequences], np.eye(3, dtype=int)[[0, 1, 2, 0]], strict=False))
    names = [name for name in ("t1", "t1n", "t1ce", "t1c", "t1gd", "t2", "t2w", "flair", "t2f") if name in by_name]
    assert steps == [tuple(by_name[name]) for name in names]
    assert [index for index, _ in case.counts or ()] == [0, 1, 2, 4]


def test_several_scans_of_one_head_are_one_patient(tmp_path):
    for case in ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-GLI-00006-000"):
        volume_layouts.brats_case(tmp_path / case, f"{case}-", ("t1n", "t1c", "t2w", "t2f"), None)
    rows = BRATS.rows(tmp_path)
    assert [row.patient_id for row in rows] == ["BraTS-GLI-00005", "BraTS-GLI-00005", "BraTS-GLI-00006"]
    assert {row.mask_path for row in rows} == {None}
    for case in ("brats_tcia_pat100_0001", "brats_tcia_pat100_0090", "brats_2013_pat0006_1"):
        volume_layouts.brats_case(tmp_path / "old" / case, "", ("Flair", "T1c"), None, "_subtrMeanDivStd")
    assert [row.patient_id for row in BRATS.rows(tmp_path / "old")] == [
        "brats_2013_pat0006", "brats_tcia_pat100", "brats_tcia_pat100"
    ]  # fmt: skip


def test_folders_of_a_split(tmp_path):
    for part in ("train", "validation", "test"):
        volume_layouts.brats_case(
            tmp_path / part / f"head_{part}", "", ("Flair", "T1c"), "OTMultiClass", "_subtrMeanDivStd"
        )
    assert [row.split for row in BRATS.rows(tmp_path)] == ["test", "train", "val"]
    assert BRATS.rows(tmp_path / "train")[0].split is None
    volume_layouts.brats_case(
        tmp_path / "train" / "copy" / "head_train", "", ("Flair", "T1c"), None, "_subtrMeanDivStd"
    )
    with pytest.raises(InputError, match="duplicate row_id"):
        BRATS.rows(tmp_path / "train")


def test_the_label_of_a_lone_case_may_be_named_by_another_hand(tmp_path):
    folder = tmp_path / "BraTS20_Training_355"
    volume_layouts.brats_case(folder, "BraTS20_Training_355_", SEQUENCES, "seg")
    (folder / "BraTS20_Training_355_seg.nii.gz").rename(folder / "W39_1998.09.19_Segm.nii.gz")
    assert BRATS.rows(tmp_path)[0].mask_path == "BraTS20_Training_355/W39_1998.09.19_Segm.nii.gz"


def test_what_does_not_fit_together_is_named(tmp_path):
    volume_layouts.brats_case(tmp_path / "one", "one_", SEQUENCES, "seg")
    volume_layouts.brats_case(tmp_path / "two", "two_", SEQUENCES[:2], "seg")
    with pytest.raises(InputError, match=r"different sequences \(t1, t1ce, t2, flair: one; t1, flair: two\)"):
        BRATS.rows(tmp_path)
    volume_layouts.brats_case(tmp_path / "two", "two_", ("t1c", "t1ce", "t2"), "seg")
    with pytest.raises(InputError, match=r"two files for one sequence: two: two_t1c\.nii\.gz and two_t1ce\.nii\.gz"):
        BRATS.rows(tmp_path)
    volume_layouts.brats_case(tmp_path / "three", "", (), "flat_seg")
    with pytest.raises(InputError, match=r"label without images: three/flat_seg\.nii\.gz"):
        BRATS.rows(tmp_path)
    volume_layouts.brats_case(tmp_path / "spine" / "t2", "", ("t2",), None)
    with pytest.raises(InputError, match="no sequences"):
        BRATS.rows(tmp_path / "spine")


@pytest.mark.real_data
def test_deepmedics_copy(real_data, tmp_path):
    (row,) = BRATS.rows(real_data / "brats2015-deepmedic")
    assert row.row_id == "brats_2013_pat0006_1"
    assert row.patient_id == "brats_2013_pat0006"
    case = cache_volumes([row], VolumeTransform((2.0, 2.0, 2.0)), with_masks=True, classes=5, folder=tmp_path)[0]
    assert case.image.shape == (2, 120, 120, 78)
    assert [index for index, _ in case.counts or ()] == [0, 1, 2, 3, 4]
    back = labels_back(case.grid, np.asarray(case.mask))
    from meddiff.formats.open import load_volume

    truth = load_volume(row.mask_file).array  # type: ignore[arg-type]
    assert back.shape == truth.shape
    assert 2 * ((back > 0) & (truth > 0)).sum() / ((back > 0).sum() + (truth > 0).sum()) > 0.93
    t1c, flair = (np.asarray(channel)[np.asarray(case.mask) == 2].mean() for channel in case.image)
    assert flair > t1c  # edema is bright in FLAIR, which is the last channel
