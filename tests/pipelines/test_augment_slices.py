"""Volumes cut into slices for the main job: rows, pictures and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.manifest.table import read_manifest
from meddiff.pipelines import synthesize, train
from tests.dicom_series import write_series
from tests.pipelines.drawn_volumes import SHAPE, arguments, draw

SLICES = ["--dimensions", "2", "--data.slice_axis", "coronal", "--data.image_size", "12", "--training.steps", "2"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    draw(folder / "study", 8)
    return folder


def test_slices_are_rows_and_are_drawn_as_pictures(workplace):
    out = workplace / "run"
    words = [*arguments(workplace, workplace / "study", out, *SLICES), "--synthesis.per_class", "32"]
    assert synthesize.main(words) == 0
    table = pd.read_csv(out / "manifest.csv")
    coronal = SHAPE[2]  # the file's axes run to the left, head and front
    assert len(table) == 8 * coronal
    assert set(table["slice_axis"]) == {2}
    assert set(table["slice_index"]) == set(range(coronal))
    assert (table.groupby("image_path")["split"].nunique() == 1).all()
    assert (table.groupby("image_path")["label"].nunique() == 1).all()
    row = read_manifest(out / "synthetic_manifest.csv")[0]
    assert row.slice_axis is None
    assert np.asarray(Image.open(row.image_file)).dtype == np.uint16
    assert Image.open(row.image_file).size == (12, 12)


def test_slices_of_dicom_series(workplace, tmp_path):
    """Training stops after two steps; what it saw are the slices that lie between head and foot of each series."""
    for number in range(8):
        write_series(
            tmp_path / "study" / f"s{number}", 4, seed=number, SeriesInstanceUID=f"1.2.{number}", PatientID=f"P{number}"
        )
    words = arguments(workplace, tmp_path / "study", tmp_path / "run", *SLICES, "--data.slice_axis", "axial")
    assert train.main([*words, "--dataset", "dicom_folder", "--label", "none"]) == 0
    table = pd.read_csv(tmp_path / "run" / "manifest.csv")
    assert table["slice_index"].tolist() == 8 * [0, 1, 2, 3]
    assert table.groupby("image_path")["patient_id"].nunique().tolist() == 8 * [1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data.neighbors", "1"], "stacks of slices are for segmentation"),
        (["--volume.spacing_mm", "[1,1,1]"], "closer than those of the file"),
        (["--dimensions", "3"], "which have two dimensions"),
    ],
)
def test_what_makes_no_sense_is_refused(workplace, tmp_path: Path, capsys, words, said):
    told = arguments(workplace, workplace / "study", tmp_path / "run", *SLICES, *words)
    assert train.main(told) == 2
    assert said in capsys.readouterr().err
