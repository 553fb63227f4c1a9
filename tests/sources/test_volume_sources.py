"""Volumes and slices with masks as rows."""

from collections import Counter

import numpy as np
import pytest
import volume_layouts

from meddiff.cache.image_array import decode
from meddiff.errors import InputError
from meddiff.images.prepare import Transform
from meddiff.sources.decathlon import HIPPOCAMPUS, HIPPOCAMPUS_VOLUMES
from meddiff.sources.lgg import LGG


def test_hippocampus_slices(tmp_path):
    volume_layouts.hippocampus(tmp_path)
    rows = HIPPOCAMPUS.rows(tmp_path)
    assert [row.label for row in rows[:4]] == ["background", "Anterior", "Posterior", "background"]
    assert {row.patient_id for row in rows} == {"hippocampus_001", "hippocampus_004"}
    assert [(row.slice_axis, row.slice_index) for row in rows[:4]] == [(2, 0), (2, 1), (2, 2), (2, 3)]
    assert {(row.spacing_mm_0, row.spacing_mm_1, row.spacing_mm_2) for row in rows} == {(1.0, 1.0, 2.0)}
    assert {(row.modality, row.license) for row in rows} == {("MR", "CC-BY-SA 4.0")}


def test_slices_go_through_the_cache_with_their_masks(tmp_path):
    volume_layouts.hippocampus(tmp_path)
    rows = HIPPOCAMPUS.rows(tmp_path)
    array = decode(rows, Transform(5, channels=1, with_masks=True), folder=tmp_path / "cache")
    assert array.images.shape == (8, 1, 5, 5)
    assert array.images.dtype == np.uint16
    assert array.masks is not None
    assert [int(mask.max()) for mask in array.masks[:4]] == [0, 1, 2, 0]


def test_cases_that_lack_a_half_are_named(tmp_path):
    volume_layouts.hippocampus(tmp_path)
    top = tmp_path / "Task04_Hippocampus"
    (top / "labelsTr" / "hippocampus_004.nii.gz").unlink()
    (top / "imagesTr" / "hippocampus_001.nii.gz").rename(top / "imagesTr" / "hippocampus_118.nii.gz")
    with pytest.raises(InputError) as caught:
        HIPPOCAMPUS.rows(tmp_path)
    for name in ("imagesTr/hippocampus_004", "imagesTr/hippocampus_118", "labelsTr/hippocampus_001"):
        assert name in str(caught.value)


def test_a_label_of_another_size_and_an_unknown_one_are_named(tmp_path):
    volume_layouts.hippocampus(tmp_path)
    label = tmp_path / "Task04_Hippocampus" / "labelsTr" / "hippocampus_004.nii.gz"
    volume_layouts.save_volume(label, np.zeros((5, 6, 9), dtype=np.uint8))
    with pytest.raises(InputError, match=r"hippocampus_004.*\[5, 6, 4\].*\[5, 6, 9\]"):
        HIPPOCAMPUS.rows(tmp_path)
    volume_layouts.save_volume(label, np.full((5, 6, 4), 7, dtype=np.uint8))
    with pytest.raises(InputError, match="holds the label 7"):
        HIPPOCAMPUS.rows(tmp_path)


def test_whole_volumes_are_one_row_each(tmp_path):
    volume_layouts.hippocampus(tmp_path)
    rows = HIPPOCAMPUS_VOLUMES.rows(tmp_path)
    assert [row.row_id for row in rows] == ["hippocampus_001", "hippocampus_004"]
    assert [row.patient_id for row in rows] == ["hippocampus_001", "hippocampus_004"]
    assert {(row.slice_axis, row.slice_index, row.label, row.dataset) for row in rows} == {
        (None, None, None, "hippocampus")
    }
    assert {(row.spacing_mm_0, row.spacing_mm_1, row.spacing_mm_2) for row in rows} == {(1.0, 1.0, 2.0)}
    label = tmp_path / "Task04_Hippocampus" / "labelsTr" / "hippocampus_004.nii.gz"
    volume_layouts.save_volume(label, np.zeros((5, 6, 9), dtype=np.uint8))
    with pytest.raises(InputError, match=r"hippocampus_004.*\[5, 6, 4\].*\[5, 6, 9\]"):
        HIPPOCAMPUS_VOLUMES.rows(tmp_path)


def test_several_sequences_are_taken_whole_and_refused_as_slices(tmp_path):
    volume_layouts.hippocampus(tmp_path)
    image = tmp_path / "Task04_Hippocampus" / "imagesTr" / "hippocampus_004.nii.gz"
    volume_layouts.save_volume(image, np.zeros((5, 6, 4, 2), dtype=np.float32))
    assert len(HIPPOCAMPUS_VOLUMES.rows(tmp_path)) == 2
    with pytest.raises(InputError, match=r"hippocampus_004.*One sequence"):
        HIPPOCAMPUS.rows(tmp_path)


def test_lgg_slices(tmp_path):
    volume_layouts.lgg(tmp_path)
    rows = LGG.rows(tmp_path)
    assert [row.label for row in rows[:3]] == ["no_tumor", "tumor", "no_tumor"]
    assert rows[2].image_path.endswith("_10.tif")
    assert [row.age_years for row in rows[::3]] == [53.0, None]
    assert rows[0].patient_id == "TCGA_CS_5396"
    (tmp_path / rows[0].mask_path).unlink()
    with pytest.raises(InputError, match=r"slice without mask.*_1\.tif"):
        LGG.rows(tmp_path)


@pytest.mark.real_data
def test_the_real_sets(real_data):
    rows = LGG.rows(real_data / "lgg-mri-segmentation")
    assert Counter(row.label for row in rows).total() == 158
    assert len({row.patient_id for row in rows}) == 5
    rows = HIPPOCAMPUS.rows(real_data / "Task04_Hippocampus")
    assert len({row.patient_id for row in rows}) == 140
    assert {row.label for row in rows} == {"background", "Anterior", "Posterior"}
    volumes = HIPPOCAMPUS_VOLUMES.rows(real_data / "Task04_Hippocampus")
    assert [row.row_id for row in volumes] == sorted({row.patient_id for row in rows})
    with pytest.raises(InputError, match=r"hippocampus_118"):
        HIPPOCAMPUS.rows(real_data / "odd-hippocampus")
