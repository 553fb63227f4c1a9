"""Volumes segmented slice by slice, with neighbors (2.5D): trained on, judged and predicted as volumes."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch

from meddiff import load
from meddiff.batches.cuts import AXES
from meddiff.build.segmenting import volume_transform
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.images.case import case_of_volume
from meddiff.images.prepare import VolumeTransform
from meddiff.inference.decision import Decision, decide
from meddiff.inference.segmenters import Segmenter, SliceSegmenter
from meddiff.manifest.table import read_manifest, write_manifest
from meddiff.pipelines import segment
from meddiff.sources.folders.nifti_folder import nifti_folder_rows
from tests.dicom_series import write_series
from tests.formats.volume_files import affine_of, turned, volume_of
from tests.manifest.rows import example_row
from tests.pipelines.drawn_volumes import SHAPE, draw

RECIPE = """
dataset: nifti_folder
dimensions: 2
classes: [background, ball]
data: {slice_axis: axial, neighbors: 1, image_size: 8}
network: {channels: [8, 16], patch_size: 1}
training: {steps: 2, batch_size: 4, warmup_steps: 1, checkpoint_every: 2, log_every: 2, sample_every: 2}
baseline: {names: [unet], channels: [4, 8]}
inference: {members: 2, steps: 1, overlap: 0.25}
validation: {cases: 1, members: 1}
evaluation: {resamples: 100}
"""


def command(workplace: Path, verb: str, *words: str | Path) -> int:
    recipe = workplace / "recipe.yaml"
    recipe.write_text(RECIPE)
    told = ["--config", str(recipe), f"--data.cache={workplace / 'cache'}", "--preset", "quick"]
    return segment.main([verb, *told, *map(str, words)])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    draw(folder / "study", 8, labels=False)
    return folder


@pytest.fixture(scope="module")
def run(workplace):
    """A finished run on volumes whose axes lead to the left, head and front."""
    out = workplace / "run"
    assert command(workplace, "evaluate", "--data_root", workplace / "study", "--out", out) == 0
    return out


def test_volumes_are_judged_on_their_own_grids(run, workplace):
    cases = pd.read_csv(run / "cases.csv")
    rows = [row for row in read_manifest(run / "manifest.csv", root=workplace / "study") if row.split == "test"]
    assert len(cases) == 2 * len(rows), "one line per model and volume, none per slice"
    assert set(cases["unit"]) == {"mm"}
    for row in rows:
        mask, image = nibabel.load(run / "masks" / "diffusion" / f"{row.row_id}.nii.gz"), nibabel.load(row.image_file)
        assert mask.shape == image.shape == SHAPE
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)
    assert "axial slices, each told with 1 neighbor to either side" in (run / "report.md").read_text()


def test_what_the_network_is_told(run):
    model = load(run)
    assert (model.channels, model.sequences) == (3, 1)
    assert isinstance(model.segmenter, SliceSegmenter)
    assert (model.segmenter.axis, model.segmenter.neighbors) == (2, 1)


def test_predict_on_a_volume_is_what_the_program_says(run, workplace, tmp_path):
    source = next((workplace / "study" / "images").glob("*.nii.gz"))
    words = ["predict", "--checkpoint", str(run), "--input", str(source), "--output", str(tmp_path)]
    assert segment.main(words) == 0
    mask = nibabel.load(next(tmp_path.glob("*_mask.nii.gz")))
    model = load(run)
    case = case_of_volume(source.name.partition(".")[0], load_volume(source), volume_transform(model.recipe))
    np.testing.assert_array_equal(mask.get_fdata(), model(case).classes)
    np.testing.assert_allclose(mask.affine, nibabel.load(source).affine, atol=1e-5)


def test_predict_on_a_dicom_series(run, tmp_path):
    write_series(tmp_path / "series", 4)
    words = [
        "predict",
        "--checkpoint",
        str(run),
        "--input",
        str(tmp_path / "series"),
        "--output",
        str(tmp_path / "out"),
    ]
    assert segment.main([*words, "--dicom_seg", "true"]) == 0
    assert nibabel.load(tmp_path / "out" / "series_7_mask.nii.gz").shape == (6, 5, 4)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("orientation", ["LPS", "SAR"])
def test_a_delta_comes_back_to_its_voxel(axis, orientation):
    """Through slices, members, fusion and the way back of an oblique volume."""
    affine = turned(affine_of(orientation, (1.0, 2.0, 3.0)), (10.0, 20.0, -15.0))
    array = np.zeros((5, 6, 7), np.float32)
    array[1, 4, 2] = 1.0
    plain = VolumeTransform(intensity="window", window=(0.0, 1.0))
    case = case_of_volume("delta", volume_of(array, affine), plain)
    members = SliceSegmenter(Bright(), AXES[axis], 1).members(torch.from_numpy(case.image), [1]).numpy()
    assert np.argwhere(decide(members, case, Decision()).classes).tolist() == [[1, 4, 2]]


class Bright(Segmenter):
    """Calls what is bright in the middle slice of a stack."""

    device = torch.device("cpu")

    def at_once(self, size, members):
        return 2

    def members_of(self, images, seeds):
        bright = (images[:, images.shape[1] // 2] > 0).float()
        return torch.stack([1 - bright, bright], dim=1)[:, None]


def test_training_on_dicom_series(workplace, tmp_path):
    rows = []
    for number in range(8):
        stored = write_series(tmp_path / f"s{number}", 4, seed=number, SeriesInstanceUID=f"1.2.{number}")
        mask = f"{number}.nii"
        volume = load_volume(tmp_path / f"s{number}")
        save_volume((volume.array > stored.mean() - 1024).astype(np.uint8), tmp_path / mask, affine=volume.affine)
        path = f"s{number}/0.dcm#series"
        rows.append(example_row(str(number), root=tmp_path, image_path=path, mask_path=mask, patient_id=f"p{number}"))
    write_manifest(rows, tmp_path / "data_manifest.csv")
    words = ["--manifest", tmp_path / "data_manifest.csv", "--out", tmp_path / "run", "--data.slice_axis", "sagittal"]
    assert command(workplace, "train", *words) == 0
    assert load(tmp_path / "run").sequences == 1


def test_two_sequences_are_channels_of_every_slice(workplace, tmp_path, capsys):
    study = workplace / "study"
    _, *rows = nifti_folder_rows(study)
    rows = [replace(row, image_path=f"images/{{{row.row_id},case00}}.nii.gz") for row in rows]
    write_manifest(rows, tmp_path / "data_manifest.csv")
    words = ["--manifest", tmp_path / "data_manifest.csv", "--data_root", study, "--out", tmp_path / "run"]
    assert command(workplace, "train", *words, "--data.neighbors", "2") == 0
    model = load(tmp_path / "run")
    assert (model.channels, model.sequences) == (10, 2)
    one = ["--input", str(study / "images" / "case00.nii.gz"), "--output", str(tmp_path / "out")]
    assert segment.main(["predict", "--checkpoint", str(tmp_path / "run"), *one]) == 2
    assert "1 sequences, the network was trained on 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dimensions", "3"], "data.slice_axis axial cuts volumes into slices"),
        (["--data.slice_axis", "null"], "data.neighbors is 1, and only slices of volumes have neighbors"),
        (["--data.slice_axis", "null", "--data.neighbors", "0"], "whole volumes: take them as they are"),
        (["--data.neighbors", "-1"], "data.neighbors is -1; allowed is 0 to 16"),
        (["--data.slice_axis", "oblique"], "axial"),
        (["--training.augment", "square"], "for volumes and their slices use mirror or none"),
        (["--training.augment", "mirror", "--data.slice_axis", "sagittal"], "a sagittal slice has neither"),
    ],
)
def test_what_makes_no_sense_is_refused(workplace, tmp_path, capsys, words, said):
    assert command(workplace, "train", "--data_root", workplace / "study", "--out", tmp_path / "run", *words) == 2
    assert said in capsys.readouterr().err


def test_pictures_and_axes_are_refused(workplace, run, tmp_path, capsys):
    rows = [example_row(str(number), root=tmp_path, image_path=f"{number}.png") for number in range(3)]
    for row in rows:
        row.image_file.touch()
    write_manifest(rows, tmp_path / "data_manifest.csv")
    assert command(workplace, "train", "--manifest", tmp_path / "data_manifest.csv", "--out", tmp_path / "run") == 2
    assert "the 3 images are pictures or slices already" in capsys.readouterr().err
    words = ["predict", "--checkpoint", str(run), "--input", str(tmp_path), "--output", str(tmp_path / "out")]
    assert segment.main([*words, "--axis", "1"]) == 2
    assert "trained on axial slices of volumes and takes them so" in capsys.readouterr().err
    assert segment.main(words) == 2
    assert "the network was trained on volumes" in capsys.readouterr().err
