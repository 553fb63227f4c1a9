"""Synthetic images as DICOM: the pixels come back, and nobody can take them for a patient's."""

from dataclasses import replace

import highdicom
import numpy as np
import pydicom
import pytest

from meddiff import RunFolder, write_manifest
from meddiff.formats import save_image
from meddiff.formats.dicom.capture import GENERATOR, LABEL, PRIVATE_CREATOR, PRIVATE_GROUP, SEED, save_secondary_capture
from meddiff.pipelines import export
from tests.manifest.rows import example_row

PIXELS = {
    "gray": np.arange(35, dtype=np.uint8).reshape(5, 7),
    "color": np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8),
    "deep": np.random.default_rng(1).integers(0, 65536, (5, 7)).astype(np.uint16),
}


@pytest.mark.parametrize("kind", PIXELS)
def test_pixels_come_back_and_the_file_says_what_it_is(tmp_path, kind):
    file = tmp_path / "image.dcm"
    save_secondary_capture(PIXELS[kind], file, generator="meddiff 0.1 checkpoint=abc", seed=2**40, label="nevus")
    dataset = pydicom.dcmread(file)
    np.testing.assert_array_equal(dataset.pixel_array, PIXELS[kind])
    np.testing.assert_array_equal(np.squeeze(highdicom.imread(file).get_frames(dtype=np.uint16)), PIXELS[kind])
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY"]
    assert dataset.ConversionType == "SYN"
    assert "SYNTHETIC" in dataset.SeriesDescription
    assert (str(dataset.PatientName), dataset.PatientID) == ("SYNTHETIC", "SYNTHETIC")
    assert not any(dataset.get(keyword) for keyword in ("PatientBirthDate", "PatientSex", "ReferringPhysicianName"))
    assert "ReferencedSeriesSequence" not in dataset
    block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)
    told = (block[GENERATOR].value, block[SEED].value, block[LABEL].value)
    assert told == ("meddiff 0.1 checkpoint=abc", str(2**40), "nevus")


def test_uids_are_of_the_image_and_one_collection_is_one_series(tmp_path):
    for name, seed, collection in (("a", 1, "run"), ("b", 1, "run"), ("c", 2, "run"), ("d", 1, "other")):
        save_secondary_capture(
            PIXELS["gray"], tmp_path / f"{name}.dcm", generator="g", seed=seed, collection=collection
        )
    a, b, c, d = (pydicom.dcmread(tmp_path / f"{name}.dcm") for name in "abcd")
    assert a.SOPInstanceUID == b.SOPInstanceUID != c.SOPInstanceUID
    assert a.SeriesInstanceUID == c.SeriesInstanceUID != d.SeriesInstanceUID
    assert a.StudyInstanceUID not in (a.SeriesInstanceUID, d.StudyInstanceUID)


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8)])
def test_what_the_file_cannot_hold_is_refused(tmp_path, array):
    with pytest.raises(ValueError, match="is needed, not"):
        save_secondary_capture(array, tmp_path / "image.dcm", generator="g", seed=0)


def test_the_images_of_a_run_are_exported(tmp_path):
    rows = []
    for number in range(2):
        save_image(PIXELS["color"], tmp_path / "run" / "synthetic" / f"{number}.png")
        row = example_row(str(number), root=tmp_path / "run", image_path=f"synthetic/{number}.png", source="synthetic")
        rows.append(replace(row, seed=100 + number, generator="meddiff", split="train"))
    write_manifest(rows, RunFolder(tmp_path / "run").synthetic_manifest)
    assert export.main(["dicom", str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 0
    files = sorted((tmp_path / "out").glob("*.dcm"))
    seeds = [pydicom.dcmread(file).private_block(PRIVATE_GROUP, PRIVATE_CREATOR)[SEED].value for file in files]
    assert seeds == ["100", "101"]


def test_images_of_patients_are_not_exported(tmp_path, capsys):
    save_image(PIXELS["color"], tmp_path / "a.png")
    write_manifest([example_row("a", root=tmp_path, image_path="a.png")], tmp_path / "list.csv")
    assert export.main(["dicom", str(tmp_path / "list.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "keep the DICOM files they came in" in capsys.readouterr().err
