"""`export nnunet`: what nnU-Net reads is what the manifest said, and what it has predicted is scored and calibrated."""

import csv
import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK
import yaml
from PIL import Image

from meddiff.build.tables import SOURCES
from meddiff.manifest.row import ManifestRow, blank_row
from meddiff.manifest.table import read_manifest, write_manifest
from meddiff.pipelines import evaluate, export
from meddiff.recipe import SegmentRecipe, to_dict
from meddiff.run import RunFolder

RNG = np.random.default_rng(0)
AFFINE = np.array([[0, -1.5, 0, 10], [2, 0, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]], float)


def picture(folder, name, *, split=None, color=True, mask=True, **known) -> ManifestRow:
    """Writes a picture and a mask of 0 and 255 with a rim of 128."""
    pixels = RNG.integers(0, 256, (20, 24, 3) if color else (20, 24), np.uint8)
    Image.fromarray(pixels).save(folder / f"{name}.png")
    values = np.zeros((20, 24), np.uint8)
    values[4:12, 5:15], values[6:10, 7:12] = 128, 255
    Image.fromarray(values).save(folder / f"{name}_seg.png")
    row = blank_row(name, f"{name}.png", folder)
    return replace(row, split=split, mask_path=f"{name}_seg.png" if mask else None, **known)


def volume(folder, name, *, sequences=1, **known) -> ManifestRow:
    labels = np.zeros((6, 7, 5), np.uint8)
    labels[1:3, 1:4, 1:3], labels[4:, 5:, 3:] = 1, 2
    names = ["t1", "flair"][:sequences]
    for sequence in names:
        voxels = RNG.normal(100, 20, labels.shape).astype(np.float32)
        nibabel.Nifti1Image(voxels, AFFINE).to_filename(folder / f"{name}_{sequence}.nii.gz")
    nibabel.Nifti1Image(labels, AFFINE).to_filename(folder / f"{name}_seg.nii.gz")
    cell = f"{name}_{{{','.join(names)}}}.nii.gz" if sequences > 1 else f"{name}_t1.nii.gz"
    return replace(blank_row(name, cell, folder), mask_path=f"{name}_seg.nii.gz", **known)


def exported(rows, out, *words):
    write_manifest(rows, rows[0].root / "list.csv")
    assert export.main(["nnunet", str(rows[0].root / "list.csv"), "--out", str(out), *words]) == 0
    return json.loads((out / "dataset.json").read_text())


def stems(folder):
    return sorted(file.name for file in folder.iterdir())


def test_pictures_of_all_splits_with_those_that_were_drawn(tmp_path):
    rows = [
        picture(tmp_path, "a", split="train"), picture(tmp_path, "b", split="val", color=False),
        picture(tmp_path, "c", split="test"), picture(tmp_path, "d", split="test", mask=False),
        picture(tmp_path, "e", split="train", source="synthetic", seed=7, generator="meddiff x"),
    ]  # fmt: skip
    out = tmp_path / "raw" / "Dataset501_Lesions"
    about = exported(rows, out, "--mask_values", "0=background,128=ignore,255=lesion")
    assert about["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    assert about["labels"] == {"background": 0, "lesion": 1, "ignore": 2}
    assert (about["numTraining"], about["file_ending"]) == (3, ".png")
    assert stems(out / "imagesTr") == ["a_0000.png", "b_0000.png", "synthetic_e_0000.png"]
    assert stems(out / "imagesTs") == ["c_0000.png", "d_0000.png"]
    assert (stems(out / "labelsTr"), stems(out / "labelsTs")) == (["a.png", "b.png", "synthetic_e.png"], ["c.png"])
    assert json.loads((out / "splits_final.json").read_text()) == [{"train": ["a", "synthetic_e"], "val": ["b"]}]
    np.testing.assert_array_equal(Image.open(out / "imagesTr" / "a_0000.png"), Image.open(tmp_path / "a.png"))
    stored = np.asarray(Image.open(tmp_path / "a_seg.png"))
    classes = np.select([stored == 255, stored == 128], [1, 2])
    np.testing.assert_array_equal(Image.open(out / "labelsTr" / "a.png"), classes)
    lines = {line["case"]: line for line in csv.DictReader((out / "cases.csv").open())}
    assert (lines["synthetic_e"]["seed"], lines["synthetic_e"]["generator"]) == ("7", "meddiff x")


@pytest.mark.parametrize("sequences", [1, 2])
def test_volumes_lie_where_they_lay(tmp_path, sequences):
    rows = [volume(tmp_path, name, sequences=sequences, modality="CT") for name in "ab"]
    out = tmp_path / "Dataset007_Organs"
    about = exported(rows, out)
    assert list(about["channel_names"].values()) == (["CT"] if sequences == 1 else ["t1", "flair"])
    assert about["labels"] == {"background": 0, "class 1": 1, "class 2": 2}
    assert not (out / "imagesTs").exists()
    label = SimpleITK.ReadImage(out / "labelsTr" / "a.nii.gz")
    for number, name in enumerate(["t1", "flair"][:sequences]):
        written, given = (out / "imagesTr" / f"a_{number:04d}.nii.gz", tmp_path / f"a_{name}.nii.gz")
        np.testing.assert_array_equal(nibabel.load(written).get_fdata(), nibabel.load(given).get_fdata())
        image = SimpleITK.ReadImage(written)
        for place in ("GetOrigin", "GetSpacing", "GetDirection", "GetSize"):  # nnU-Net compares these
            assert getattr(image, place)() == pytest.approx(getattr(label, place)())
    np.testing.assert_array_equal(
        nibabel.load(out / "labelsTr" / "a.nii.gz").dataobj, nibabel.load(tmp_path / "a_seg.nii.gz").dataobj
    )


def test_slices_become_their_volume_again(tmp_path):
    whole = volume(tmp_path, "p1", split="train", patient_id="p1")
    rows = [replace(whole, row_id=f"p1 {index}", slice_axis=2, slice_index=index) for index in range(5)]
    out = tmp_path / "Dataset001_Slices"
    assert exported(rows, out)["numTraining"] == 1
    assert stems(out / "labelsTr") == ["p1_t1.nii.gz"]


def test_a_run_says_what_its_masks_mean(tmp_path):
    """Its manifest, and beside it that of what was drawn, whose masks are stored as classes."""
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    real = [picture(run.path, "a", split="train"), picture(run.path, "b", split="train", mask=False)]
    write_manifest(real, run.manifest)
    drawn = picture(run.path, "z", split="train", source="synthetic")
    as_classes = (np.asarray(Image.open(run.path / "z_seg.png")) // 127).astype(np.uint8)
    Image.fromarray(as_classes).save(run.path / "z_seg.png")
    write_manifest([drawn], run.synthetic_manifest)
    recipe = to_dict(SegmentRecipe(classes=("background", "rim", "lesion")))
    run.recipe.write_text(yaml.safe_dump(json.loads(json.dumps(recipe))))
    out = tmp_path / "Dataset001_Run"
    assert export.main(["nnunet", str(run.path), "--out", str(out)]) == 0
    labels = json.loads((out / "dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "rim": 1, "lesion": 2}
    for name in ("a", "synthetic_z"):
        assert set(np.unique(Image.open(out / "labelsTr" / f"{name}.png"))) == {0, 1, 2}


@pytest.mark.parametrize(
    ("out", "rows", "said"),
    [
        ("lesions", [picture], "Dataset501_Lesions"),
        ("Dataset1_Lesions", [picture], "three digits"),
        ("Dataset001_A", [picture, volume], "files of one kind"),
        ("Dataset001_A", [lambda f, n: volume(f, n, sequences=2), volume], "holds 1 sequences, and the first case 2"),
        ("Dataset001_A", [lambda f, n: picture(f, n, mask=False)], "no image for training has a mask"),
        ("Dataset001_A", [lambda f, n: picture(f, n, split="test")], "no image for training has a mask"),
    ],
)
def test_what_nnunet_would_not_take_is_refused(tmp_path, capsys, out, rows, said):
    made = [make(tmp_path, f"case{number}") for number, make in enumerate(rows)]
    write_manifest(made, tmp_path / "list.csv")
    words = ["nnunet", str(tmp_path / "list.csv"), "--out", str(tmp_path / out)]
    words += ["--mask_values", "0=background,1=a,2=b,128=rim,255=lesion"]
    assert export.main(words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / out).exists()


def test_a_folder_that_is_there_stays(tmp_path, capsys):
    rows = [volume(tmp_path, "a")]
    exported(rows, tmp_path / "Dataset001_A")
    assert export.main(["nnunet", str(tmp_path / "list.csv"), "--out", str(tmp_path / "Dataset001_A")]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(("make", "source"), [(picture, "image_folder"), (volume, "nifti_folder")])
def test_what_was_exported_is_read_again(tmp_path, make, source):
    rows = [make(tmp_path, name, split="train") for name in ("a", "b_0")]
    words = ["--mask_values", "0=background,128=rim,255=lesion"] if make is picture else []
    exported(rows, tmp_path / "out" / "Dataset001_A", *words)
    again = SOURCES[source].rows(tmp_path / "out" / "Dataset001_A")
    assert len(again) == 2
    assert all(row.mask_path and row.mask_path.startswith("labelsTr/") for row in again)


def nnunet_answer(folder, name, probabilities, *, like=None):
    """Writes a case as nnUNetv2_predict --save_probabilities does: z first, of a picture one slice."""
    folder.mkdir(exist_ok=True)
    classes = probabilities.argmax(axis=0).astype(np.uint8)
    (folder / f"{name}.pkl").write_bytes(b"never read")
    (folder / "dataset.json").write_text("{}")
    if like is None:
        Image.fromarray(classes).save(folder / f"{name}.png")
        np.savez_compressed(folder / f"{name}.npz", probabilities=probabilities[:, None].astype(np.float16))
    else:
        nibabel.Nifti1Image(classes, like).to_filename(folder / f"{name}.nii.gz")
        np.savez_compressed(folder / f"{name}.npz", probabilities=probabilities.transpose(0, 3, 2, 1))


def sure(labels, count, share=0.9):
    """Probabilities that give the right class so much everywhere."""
    others = (1 - share) / (count - 1)
    return np.where(np.arange(count).reshape(-1, *[1] * labels.ndim) == labels, share, others).astype(np.float32)


def evaluated(tmp_path, *words):
    out = tmp_path / "evaluated"
    told = ["masks", "--truth", tmp_path / "labelsTs", "--prediction", tmp_path / "predicted", "--out", out]
    assert evaluate.main([*map(str, told), "--resamples", "100", *words]) == 0
    report = json.loads((out / "report.json").read_text())
    return report["calibration"], list(csv.DictReader((out / "cases.csv").open()))


@pytest.mark.parametrize("shape", [(20, 24), (6, 7, 5), (6, 6, 6)])
def test_predictions_of_nnunet_are_calibrated_by_pencil(tmp_path, shape):
    (tmp_path / "labelsTs").mkdir()
    for number in range(3):
        labels = np.zeros(shape, np.uint8)
        labels[1:3, 1 + number], labels[4:5, 3:] = 1, 2
        like = AFFINE if len(shape) == 3 else None
        nnunet_answer(tmp_path / "predicted", f"c{number}", sure(labels, 3), like=like)
        if like is None:
            Image.fromarray(labels).save(tmp_path / "labelsTs" / f"c{number}.png")
        else:
            nibabel.Nifti1Image(labels, like).to_filename(tmp_path / "labelsTs" / f"c{number}.nii.gz")
    calibration, cases = evaluated(tmp_path)
    assert [float(case["nll"]) for case in cases] == pytest.approx([-np.log(0.9)] * len(cases), abs=1e-3)
    assert {float(case["dice"]) for case in cases} == {1.0}
    assert calibration


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p[:, :, ::-1], "of another mask, or stored in another orientation"),
        (lambda p: p[:2] / p[:2].sum(axis=0), "holds 2 channels, and they are no softmax"),
        (lambda p: p * 0.5, "are no softmax of background"),
        (lambda p: p[:, :-1], "its grid is"),
        (lambda p: p.astype(np.int32), "probabilities are floats"),
    ],
)
def test_probabilities_of_something_else_are_refused(tmp_path, capsys, change, said):
    (tmp_path / "labelsTs").mkdir()
    labels = np.zeros((20, 24), np.uint8)
    labels[1:4, 1:3], labels[8:12, 3:9] = 1, 2
    Image.fromarray(labels).save(tmp_path / "labelsTs" / "c.png")
    nnunet_answer(tmp_path / "predicted", "c", sure(labels, 3))
    np.savez_compressed(tmp_path / "predicted" / "c.npz", probabilities=change(sure(labels, 3))[:, None])
    words = ["--truth", tmp_path / "labelsTs", "--prediction", tmp_path / "predicted", "--out", tmp_path / "out"]
    assert evaluate.main(["masks", *map(str, words)]) == 2
    assert said in capsys.readouterr().err


def test_other_arrays_beside_masks_are_no_probabilities(tmp_path):
    labels = np.zeros((20, 24), np.uint8)
    labels[1:4, 1:3] = 1
    (tmp_path / "labelsTs").mkdir()
    Image.fromarray(labels).save(tmp_path / "labelsTs" / "c.png")
    nnunet_answer(tmp_path / "predicted", "c", sure(labels, 2))
    np.savez(tmp_path / "predicted" / "c.npz", features=np.ones(3))
    assert evaluated(tmp_path)[1][0]["dice"] == "1.0"


def test_as_nnunet_itself_checks_it(tmp_path, monkeypatch):
    """Its own reader and its own test of a data set, where it is installed."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(tmp_path))
    checks = pytest.importorskip("nnunetv2.experiment_planning.verify_dataset_integrity", exc_type=ImportError,
                                 reason="nnunetv2 is not installed: its own check was not run")  # fmt: skip
    exported([volume(tmp_path, name) for name in "ab"], tmp_path / "Dataset001_A")
    checks.verify_dataset_integrity(str(tmp_path / "Dataset001_A"), num_processes=1)
    assert read_manifest(tmp_path / "list.csv")
