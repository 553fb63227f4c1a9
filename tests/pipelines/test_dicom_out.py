"""DICOM through the commands: masks as Segmentations, and no word about the patient anywhere else."""

import gzip
import os

import numpy as np
import pandas as pd
import pydicom
import pytest

from meddiff import write_manifest
from meddiff.cache.volume_array import cache_volumes
from meddiff.formats import save_image
from meddiff.images.prepare import VolumeTransform
from meddiff.pipelines import build_manifest, segment
from meddiff.sources.folders.dicom_folder import dicom_folder_rows
from tests.dicom_series import PLANTED, write_series

RECIPE = """
data: {image_size: 16, fit: stretch, phantom_images: 100}
network: {channels: [8, 16], patch_size: 1}
training: {steps: 2, batch_size: 4, warmup_steps: 1, checkpoint_every: 2, log_every: 2, sample_every: 2}
baseline: {names: []}
inference: {members: 2, steps: 1}
validation: {cases: 2, members: 1}
evaluation: {resamples: 100}
"""
STUDY, SERIES, FRAME = "1.2.777.1.424242", "1.2.777.2.434343", "1.2.777.3.454545"
SECRETS = [*PLANTED.values(), "Planted", "Station^Planted", STUDY, SERIES, FRAME]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A network of color pictures that has learned nothing: what counts is what it writes."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "recipe.yaml").write_text(RECIPE)
    words = ["train", "--config", str(folder / "recipe.yaml"), f"--data.cache={folder / 'cache'}"]
    assert segment.main([*words, "--dataset", "phantom", "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A series that names its patient, a tilted one, and a picture."""
    folder = tmp_path_factory.mktemp("study")
    known = {"StudyInstanceUID": STUDY, "FrameOfReferenceUID": FRAME, "StationName": "Station^Planted"}
    write_series(folder / "a", SeriesInstanceUID=SERIES, **known)
    write_series(folder / "b", step=(0, 1.0, 3.0), SeriesInstanceUID=f"{SERIES}.8", SeriesNumber=8, **known)
    save_image(np.zeros((20, 20, 3), np.uint8), folder / "photo.png")
    return folder


def contents(folder, *, but=()):
    """Every file's bytes, unpacked where they are packed, and every name."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file not in but:
            raw = file.read_bytes()
            yield file, os.fsencode(file.name) + raw + (gzip.decompress(raw) if file.suffix == ".gz" else b"")


def assert_nobody_is_named(folder, *, but=()):
    looked = 0
    for file, content in contents(folder, but=but):
        looked += 1
        for secret in SECRETS:
            for word in (secret.encode(), secret.encode("utf-16-le")):
                assert word not in content, f"{secret} is in {file}"
    assert looked


def predict(run, given, out, *words):
    """The run was trained on drawn skin, the series are of noise: hence --allow_unlike."""
    asked = ["predict", "--checkpoint", str(run), "--input", str(given), "--output", str(out), "--dicom_seg", "true"]
    return segment.main([*asked, "--allow_unlike", *words])


def test_of_an_image_unlike_all_of_training_no_segmentation_is_written_unasked(run, study, tmp_path, capsys):
    out = tmp_path / "out"
    assert predict(run, study, out, "--allow_unlike", "false") == 0
    table = pd.read_csv(out / "predictions.csv", keep_default_na=False).set_index("name")
    assert set(table["unlike_training"]) == {"yes"}
    assert (table["likeness"] < 0.05).all()
    assert not any(table["dicom_seg"])
    assert not list(out.rglob("*.dcm"))
    assert "modality CT, the network was trained on dermoscopy" in table.loc["a/series_7", "why_unlike"]
    assert "--allow_unlike writes it all the same" in table.loc["a/series_7", "note"]
    assert all((out / mask).is_file() for mask in table["mask"]), "the masks are there all the same"
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: 3 images are unlike those of training, do not rely on the masks" in said
    words = ["--segment_codes", "[SCT:108369006:Neoplasm]", "--on_bad_file", "stop"]
    assert predict(run, study / "a", tmp_path / "b", "--allow_unlike", "false", *words) == 2
    assert "no DICOM Segmentation is written of an image that is unlike" in capsys.readouterr().err


def test_predict_writes_a_segmentation_where_there_is_a_series(run, study, tmp_path, capsys):
    out = tmp_path / "out"
    codes = "[SCT:108369006:Neoplasm]"
    assert predict(run, study, out, "--segment_codes", codes, "--save_maps", "true", "--save_members", "true") == 0
    table = pd.read_csv(out / "predictions.csv", keep_default_na=False).set_index("name")
    assert table.loc["a/series_7", "dicom_seg"] == "a/series_7_seg.dcm"
    assert "gantry is tilted" in table.loc["b/series_8", "note"]
    assert "a picture has no DICOM Segmentation" in table.loc["photo", "note"]
    assert all((out / mask).is_file() for mask in table["mask"]), "the masks are there all the same"
    dataset = pydicom.dcmread(out / "a" / "series_7_seg.dcm")
    assert (dataset.StudyInstanceUID, str(dataset.PatientName)) == (STUDY, PLANTED["PatientName"])
    (lesion,) = dataset.SegmentSequence
    assert (lesion.SegmentLabel, lesion.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) == ("lesion", "Neoplasm")
    assert lesion.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "meddiff diffusion"
    assert_nobody_is_named(out, but=[out / "a" / "series_7_seg.dcm"])
    capsys.readouterr()
    (out / "a" / "series_7_seg.dcm").unlink()
    assert predict(run, study, out, "--segment_codes", codes, "--save_maps", "true", "--save_members", "true") == 0
    assert "2 of 3 were done before" in capsys.readouterr().out
    assert (out / "a" / "series_7_seg.dcm").is_file()


def test_the_segmentation_is_the_mask_of_the_nifti_beside_it(run, study, tmp_path):
    import nibabel

    from tests.formats.test_dicom_seg import points_in_file, points_of, same_points

    assert predict(run, study / "a", tmp_path) == 0
    image = nibabel.load(tmp_path / "series_7_mask.nii.gz")
    expected = points_of(np.asarray(image.dataobj), image.affine)
    assert same_points(points_in_file(tmp_path / "series_7_seg.dcm"), expected)


@pytest.mark.parametrize(
    ("given", "words", "said"),
    [
        ("photo.png", [], "--dicom_seg true needs a DICOM series, and there is none at"),
        ("a", ["--segment_codes", "[liver]"], "is not scheme:value:meaning"),
        ("b", ["--on_bad_file", "stop"], "its gantry is tilted"),
    ],
)
def test_what_has_no_segmentation_gets_a_sentence(run, study, tmp_path, capsys, given, words, said):
    assert predict(run, study / given, tmp_path, *words) == 2
    assert said in capsys.readouterr().err


def test_a_manifest_and_a_cache_name_nobody(study, tmp_path):
    rows = dicom_folder_rows(study)
    write_manifest(rows, tmp_path / "manifest.csv")
    cache_volumes(rows, VolumeTransform(), folder=tmp_path / "cache")
    assert len(list(tmp_path.rglob("*"))) > 2
    assert_nobody_is_named(tmp_path)


def test_a_stopped_run_names_nobody(study, tmp_path, capsys):
    words = ["--dataset", "dicom_folder", "--data-root", str(study), "--out", str(tmp_path / "run")]
    assert build_manifest.main([*words, f"--data.cache={tmp_path / 'cache'}"]) == 2
    said = capsys.readouterr()
    assert "has a label" in said.err
    assert not any(secret in said.err + said.out for secret in SECRETS)
    assert not list(contents(tmp_path))  # a refused command leaves nothing behind


def test_what_is_looked_at_beside_a_mask_makes_no_mask_anew(run, study, tmp_path, capsys):
    """Overlays and Segmentations that are asked for later are made of the masks of before."""
    out = tmp_path / "out"
    assert predict(run, study, out, "--allow_unlike", "false", "--save_overlays", "false") == 0
    masks = {file: file.stat().st_mtime_ns for file in out.rglob("*_mask.*")}
    assert masks
    assert not list(out.rglob("*_overlay.png"))
    assert not list(out.rglob("*_seg.dcm"))
    capsys.readouterr()
    assert predict(run, study, out) == 0
    assert "0 segmented, 0 failed, 3 kept from before" in " ".join(capsys.readouterr().out.split())
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*_mask.*")} == masks
    table = pd.read_csv(out / "predictions.csv", keep_default_na=False).set_index("name")
    assert table.loc["a/series_7", "dicom_seg"] == "a/series_7_seg.dcm"
    assert table.loc["a/series_7", "note"] == ""
    assert (out / "a" / "series_7_seg.dcm").is_file()
    assert len(list(out.rglob("*_overlay.png"))) == len(masks)
    fresh = tmp_path / "fresh"
    assert predict(run, study, fresh) == 0
    for file in fresh.rglob("*_overlay.png"):
        assert file.read_bytes() == (out / file.relative_to(fresh)).read_bytes(), "the same as at once"
    again = [pydicom.dcmread(folder / "a" / "series_7_seg.dcm").pixel_array for folder in (out, fresh)]
    assert (again[0] == again[1]).all()
