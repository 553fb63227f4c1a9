"""The whole job on small volumes: NIfTI at the right place, rows that say how to draw them again, refusals in time."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
import torch
from PIL import Image

from meddiff import build
from meddiff.jobs.generate.synthesize import save
from meddiff.manifest.table import read_manifest
from meddiff.pipelines import augment, export, synthesize, train
from meddiff.recipe import Recipe, VolumeRecipe
from tests.manifest.rows import example_row
from tests.pipelines.drawn_volumes import BOX, VOXEL, arguments, draw


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Drawn volumes, and a place for recipe and cache."""
    place = tmp_path_factory.mktemp("volumes")
    draw(place / "study")
    return place


@pytest.fixture(scope="module")
def run(study) -> Path:
    """One finished run."""
    assert augment.main(arguments(study, study / "study", study / "run")) == 0
    return study / "run"


def test_every_synthetic_volume_is_a_file_and_a_row(run):
    rows = read_manifest(run / "synthetic_manifest.csv")
    assert len(rows) == 20
    assert {row.label for row in rows} == {"large", "small"}
    assert len({row.seed for row in rows}) == len(rows)
    for row in rows:
        assert row.source == "synthetic"
        assert (row.spacing_mm_0, row.spacing_mm_1, row.spacing_mm_2) == VOXEL
        assert "checkpoint=" in (row.generator or "")
        image = nibabel.load(row.image_file)
        assert image.shape == BOX
        assert image.get_data_dtype() == np.uint16
        assert len(np.unique(np.asarray(image.dataobj))) > 256, "more than 8 bits"


def test_a_synthetic_volume_lies_at_the_same_place_for_every_program(run):
    from monai.transforms import LoadImage  # pyright: ignore[reportPrivateImportUsage]

    file = read_manifest(run / "synthetic_manifest.csv")[0].image_file
    ours = nibabel.load(file)
    assert (int(ours.header["sform_code"]), int(ours.header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(ours.get_sform(), ours.get_qform(), atol=1e-5)
    assert nibabel.aff2axcodes(ours.affine) == ("R", "A", "S")
    assert ours.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(ours.affine @ [*(np.array(BOX) - 1) / 2, 1], [0, 0, 0, 1], atol=1e-5)  # its middle
    theirs, corner = SimpleITK.ReadImage(str(file)), tuple(side - 1 for side in BOX)
    lps = np.array(theirs.TransformIndexToPhysicalPoint(corner))
    np.testing.assert_allclose(lps * [-1, -1, 1], (ours.affine @ [*corner, 1])[:3], atol=1e-5)
    np.testing.assert_allclose(theirs.GetSpacing(), VOXEL)
    read = LoadImage(image_only=True)(file)
    np.testing.assert_allclose(np.asarray(read.affine), ours.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(read), np.asarray(ours.dataobj))


def test_the_report_and_the_grid_show_three_planes(run):
    report = json.loads((run / "report.json").read_text())
    assert "12 x 10 x 9 voxels" in report["title"]
    assert {row["arm"] for row in report["scores"]} == {"real", "real_classical", "real_synthetic", "synthetic"}
    assert {gallery["class_name"] for gallery in report["galleries"]} == {"large", "small"}
    (grid,) = (run / "samples").glob("*.png")
    assert len(np.unique(np.asarray(Image.open(grid)))) > 50


def test_a_second_run_does_nothing_and_a_deleted_volume_is_drawn_again_the_same(run, study, capsys):
    rows = read_manifest(run / "synthetic_manifest.csv")
    before = rows[3].image_file.read_bytes()
    rows[3].image_file.unlink()
    assert augment.main(arguments(study, study / "study", run)) == 0
    assert rows[3].image_file.read_bytes() == before
    said = capsys.readouterr().out
    assert "19 of 20 synthetic images stand already" in said
    assert said.count("done before, skipped") == 5


@pytest.mark.parametrize("channels", [1, 2])
def test_a_synthetic_volume_is_read_as_it_was_drawn(tmp_path, channels):
    drawn = torch.rand(channels, 6, 5, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    like = SimpleNamespace(pixel_dtype="uint16", spacing_mm=(1.0, 2.0, 3.0))
    save(drawn.numpy(), tmp_path / "a.nii.gz", like)  # type: ignore[arg-type]
    row = example_row("a", root=tmp_path, image_path="a.nii.gz", source="synthetic", split="train", label="x")
    recipe = Recipe(dimensions=3, volume=VolumeRecipe(patch_size=(6, 5, 4), spacing_mm=(9.0, 9.0, 9.0)))
    recipe = replace(recipe, data=replace(recipe.data, cache=str(tmp_path / "cache")))
    read = build.images([row], recipe, ["x"])
    assert read.shape == (channels, 6, 5, 4)
    assert read.spacing_mm == (1.0, 2.0, 3.0)
    torch.testing.assert_close(read.batch([0]).image[0], drawn, atol=1 / 65535, rtol=0)


def test_a_volume_is_exported_as_a_series_of_its_axial_slices(run, tmp_path):
    assert export.main(["dicom", str(run), "--out", str(tmp_path / "out")]) == 0
    row = read_manifest(run / "synthetic_manifest.csv")[0]
    voxels = np.asarray(nibabel.load(row.image_file).dataobj)
    slices = [pydicom.dcmread(file) for file in sorted((tmp_path / "out" / row.row_id).glob("*.dcm"))]
    assert [one.InstanceNumber for one in slices] == list(range(1, BOX[2] + 1))
    np.testing.assert_array_equal(slices[2].pixel_array[::-1, ::-1].T, voxels[:, :, 2])
    assert len({one.SeriesInstanceUID for one in slices}) == 1
    series = {pydicom.dcmread(file).SeriesInstanceUID for file in tmp_path.glob("out/*/0001.dcm")}
    assert len(series) == 20
    assert len({one.SOPInstanceUID for one in slices}) == BOX[2]


def test_a_changed_preparation_is_not_gone_on_with(run, study, capsys):
    words = arguments(study, study / "study", run, "--volume.intensity", "percentile", "--training.steps", "6")
    assert train.main(words) == 2
    said = capsys.readouterr().err
    assert "zscore in the checkpoint" in said
    assert "percentile here" in said


def test_volumes_without_labels_are_one_class(study, tmp_path, capsys):
    draw(tmp_path / "bare", 8, labels=False)
    words = arguments(study, tmp_path / "bare", tmp_path / "run")
    assert train.main(words) == 2
    assert "--label none, --label size" in capsys.readouterr().err
    assert synthesize.main([*words, "--label", "none"]) == 0
    assert {row.label for row in read_manifest(tmp_path / "run" / "synthetic_manifest.csv")} == {"unlabeled"}


def test_the_class_can_be_the_size_of_what_the_mask_marks(study, tmp_path):
    words = arguments(study, study / "study", tmp_path / "run", "--label", "size")
    assert train.main(words) == 0
    rows = read_manifest(tmp_path / "run" / "manifest.csv", root=study / "study")
    by_size = sorted(rows, key=lambda row: np.count_nonzero(nibabel.load(row.mask_file).dataobj))
    assert len({row.label for row in by_size[:8]}) == 1
    assert len({row.label for row in by_size}) == 3


def test_pictures_are_no_volumes(study, tmp_path, capsys):
    words = ["--dataset", "brain_tumor", "--dimensions", "3", "--data.phantom_images", "100"]
    assert train.main([*words, "--out", str(tmp_path), "--preset", "quick"]) == 2
    assert "pictures or slices, which are worked on with --dimensions 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spacings", "words", "said"),
    [
        ([(1.0, 2.0, 1.5), (1.0, 1.0, 1.0)], [], "voxels of several sizes"),
        ([(1.0, 2.0, 1.5)], ["--training.augment", "square"], "use mirror or none"),
        ([(1.0, 2.0, 1.5)], ["--evaluation.features", "untrained"], "looks at pictures"),
        ([(1.0, 2.0, 1.5)], ["--dimensions", "2"], "take them as they are with --dimensions 3"),
        ([(1.0, 2.0, 1.5)], ["--volume.patch_size", "[0,8,8]"], "volume.patch_size is [0, 8, 8]"),
        ([(1.0, 2.0, 1.5)], ["--label", "size"], "too few for thirds by size"),
    ],
)
def test_what_makes_no_sense_is_refused_before_training(study, tmp_path, capsys, spacings, words, said):
    for number, spacing in enumerate(spacings):
        draw(tmp_path / "study" / str(number), 8, spacing=spacing)
        for file in [*(tmp_path / "study" / str(number)).rglob("*.nii.gz")]:
            file.rename(file.with_name(f"{number}{file.name}"))
        table = tmp_path / "study" / str(number) / "labels.csv"
        table.write_text(table.read_text().replace("case0", f"{number}case0"))
    assert augment.main(arguments(study, tmp_path / "study", tmp_path / "run", *words)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoints").exists()
