"""segment train, evaluate and predict as a user runs them: whole, twice, interrupted, and with what people have."""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from contracts import complaints
from PIL import Image

from meddiff.errors import InputError
from meddiff.evaluation.masks.pairs import match_folders
from meddiff.formats import load_image, save_image
from meddiff.jobs.segment.evaluate import file_stems
from meddiff.manifest.row import COLUMNS
from meddiff.pipelines import segment
from meddiff.run import RunFolder
from meddiff.trained import load

RECIPE = """
data: {image_size: 16, fit: stretch, phantom_images: 100}
network: {channels: [8, 16], patch_size: 1}
training: {steps: 6, batch_size: 8, warmup_steps: 2, checkpoint_every: 3, log_every: 2, sample_every: 3}
baseline: {names: [unet], channels: [4, 8]}
inference: {members: 3, steps: 2}
validation: {cases: 4, members: 1}
evaluation: {resamples: 100}
"""


def command(workplace, verb, *words):
    recipe = workplace / "recipe.yaml"
    recipe.write_text(RECIPE)
    return segment.main([verb, "--config", str(recipe), f"--data.cache={workplace / 'cache'}", *map(str, words)])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return tmp_path_factory.mktemp("segment")


@pytest.fixture(scope="module")
def run(workplace):
    """A finished run on phantoms."""
    out = workplace / "run"
    assert command(workplace, "evaluate", "--dataset", "phantom", "--out", out) == 0
    return out


def test_the_whole_job(run):
    cases = pd.read_csv(run / "cases.csv", keep_default_na=False)
    manifest = pd.read_csv(run / "manifest.csv")
    test_rows = set(manifest.loc[manifest["split"] == "test", "row_id"])
    assert set(cases["model"]) == {"diffusion", "unet"}
    assert all(set(cases.loc[cases["model"] == name, "case"]) == test_rows for name in ("diffusion", "unet"))
    assert cases["uncertainty"].between(0, 1).all()
    patients = manifest.groupby("patient_id")["split"].nunique()
    assert (patients == 1).all()
    assert 0.05 <= json.loads((run / "temperatures.json").read_text())["diffusion"] <= 20
    assert "unet" in (run / "report.html").read_text()
    assert complaints(json.loads((run / "report.json").read_text())) == [], "the report keeps to its schema"
    networks = {row["model"]: row for row in json.loads((run / "report.json").read_text())["networks"]}
    assert {row["image_size"] for row in networks.values()} == {"16 x 16"}
    assert all(row["weights"] > 1000 and row["training_seconds"] > 0 for row in networks.values())
    sizes = {Image.open(file).size for file in (run / "masks" / "diffusion").glob("*.png")}
    assert sizes == {(128, 128)}, "masks come back in the size of their images"


def test_twice_the_same_to_the_bit(run, workplace):
    again = workplace / "again"
    assert command(workplace, "evaluate", "--dataset", "phantom", "--out", again) == 0
    for name in ("cases.csv", "calibration.csv", "scores.csv"):
        assert (again / name).read_bytes() == (run / name).read_bytes()


def test_what_is_finished_is_not_done_again_and_what_is_lost_is(run, workplace, capsys):
    before = (run / "cases.csv").read_bytes()
    kept = sorted((run / "masks" / "unet").glob("*.json"))
    for file in kept[::2]:
        file.unlink()
    (run / "cases.csv").unlink()
    assert command(workplace, "evaluate", "--dataset", "phantom", "--out", run) == 0
    assert (run / "cases.csv").read_bytes() == before
    printed = capsys.readouterr().out
    assert "2/6 train: done before, skipped" in printed
    assert "5/6 evaluate: segmenting" in printed


def test_training_that_is_killed_goes_on_to_the_same_weights(run, workplace):
    """Six steps at once, or three, a lost process, and three more."""
    other = workplace / "interrupted"
    assert command(workplace, "train", "--dataset", "phantom", "--out", other) == 0
    model = other / "models" / "diffusion"
    shutil.rmtree(model / "checkpoints" / "step_00000006")
    shutil.rmtree(model / "best")
    shutil.copytree(model / "checkpoints" / "step_00000003", model / "best" / "step_00000003")
    validation = pd.read_csv(model / "validation.csv")
    validation[validation["step"] <= 3].to_csv(model / "validation.csv", index=False)
    assert command(workplace, "train", "--dataset", "phantom", "--out", other) == 0
    weights = Path("models/diffusion/checkpoints/step_00000006/ema.safetensors")
    assert (other / weights).read_bytes() == (run / weights).read_bytes()


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """What people have: photographs of odd sizes, a volume, a file that is none."""
    folder = tmp_path_factory.mktemp("things")
    generator = np.random.default_rng(0)
    for name, size in (("large", (90, 70, 3)), ("thin", (40, 1, 3)), ("tiny", (2, 3, 3)), ("gray", (20, 30))):
        save_image(generator.integers(0, 255, size).astype(np.uint8), folder / f"{name}.png")
    save_image(np.zeros((20, 20, 3), np.uint8), folder / "black.png")
    affine = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, 5], [0, 0, 4.0, -3], [0, 0, 0, 1]])
    volume = generator.normal(size=(12, 10, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, affine), folder / "mri.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.where(volume > 2, np.nan, volume), affine), folder / "holes.nii.gz")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_predict_on_whatever_is_there(run, things, tmp_path, capsys):
    words = ["predict", "--checkpoint", str(run), "--input", str(things), "--output", str(tmp_path / "out")]
    assert segment.main([*words, "--save_maps", "true", "--save_probabilities", "true", "--save_members", "true"]) == 0
    table = pd.read_csv(tmp_path / "out" / "predictions.csv").set_index("name")
    assert set(table.index) == {"large", "thin", "tiny", "gray", "black", "mri", "holes", "broken"}
    assert "not an image" in table.loc["broken", "problem"]
    assert "not finite" in table.loc["holes", "problem"]
    assert table.drop(["broken", "holes"])["uncertainty"].between(0, 1).all()
    assert Image.open(tmp_path / "out" / "large_mask.png").size == (70, 90)
    assert Image.open(tmp_path / "out" / "thin_mask.png").size == (1, 40)
    probability = np.asarray(Image.open(tmp_path / "out" / "large_probability_lesion.png")) / 65535
    mask = np.asarray(Image.open(tmp_path / "out" / "large_mask.png"))
    assert ((probability > 0.5) == (mask == 1)).mean() > 0.99
    assert len(list((tmp_path / "out").glob("large_member_*.png"))) == 3
    volume, source = (nibabel.load(path) for path in (tmp_path / "out" / "mri_mask.nii.gz", things / "mri.nii.gz"))
    assert volume.shape == source.shape
    np.testing.assert_allclose(volume.affine, source.affine, atol=1e-5)
    assert np.asarray(volume.dataobj).dtype.kind == "u"
    assert "6 segmented, 2 failed" in capsys.readouterr().out


def test_predict_on_an_archive(run, things, tmp_path, monkeypatch):
    """What lies in it is named as if it were a folder, and nothing of it stays behind."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    archive = tmp_path / "things.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("gray.png", "mri.nii.gz", "broken.png"):
            file.write(things / name, f"case/{name}")
    words = ["predict", "--checkpoint", str(run), "--input", str(archive), "--output", str(tmp_path / "out")]
    assert segment.main([*words, "--members", "1"]) == 0
    table = pd.read_csv(tmp_path / "out" / "predictions.csv").set_index("name")
    assert set(table.index) == {"case/gray", "case/mri", "case/broken"}
    assert table.loc["case/gray", "file"] == str(archive / "case" / "gray.png")
    assert table.loc["case/broken", "problem"].startswith(str(archive / "case" / "broken.png"))
    assert (tmp_path / "out" / "case" / "mri_mask.nii.gz").is_file()
    assert not list((tmp_path / "temporary").iterdir())


def test_predict_goes_on_where_it_was_and_starts_afresh_with_other_settings(run, things, tmp_path, capsys):
    words = ["predict", "--checkpoint", str(run), "--input", str(things), "--output", str(tmp_path)]
    assert segment.main(words) == 0
    first = (tmp_path / "large_mask.png").read_bytes()
    (tmp_path / "gray_mask.png").unlink()
    capsys.readouterr()
    assert segment.main(words) == 0
    assert "5 of 8 were done before" in capsys.readouterr().out
    assert (tmp_path / "gray_mask.png").is_file()
    assert segment.main([*words, "--members", "1"]) == 0
    assert "done before" not in capsys.readouterr().out
    alone = [
        "predict",
        "--checkpoint",
        str(run),
        "--input",
        str(things / "large.png"),
        "--output",
        str(tmp_path / "one"),
    ]
    assert segment.main(alone) == 0
    assert (tmp_path / "one" / "large_mask.png").read_bytes() == first, "alone or in a folder, the same mask"


def test_predict_says_what_is_new_has_changed_or_is_gone(run, things, tmp_path, capsys):
    shutil.copytree(things, tmp_path / "in")
    words = ["predict", "--checkpoint", str(run), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert segment.main(words) == 0
    shutil.copy(things / "black.png", tmp_path / "in" / "large.png")
    shutil.copy(things / "gray.png", tmp_path / "in" / "0.png")
    (tmp_path / "in" / "tiny.png").unlink()
    capsys.readouterr()
    assert segment.main(words) == 0
    printed = capsys.readouterr().out
    assert "segmented again, the image has changed: large" in printed
    assert "masks of images that are not among these, left as they are: tiny" in printed
    assert "2 segmented, 2 failed, 4 kept from before" in printed
    assert Image.open(tmp_path / "out" / "large_mask.png").size == (20, 20)
    table = pd.read_csv(tmp_path / "out" / "predictions.csv", keep_default_na=False).set_index("name")
    assert "not among the images" in table.loc["tiny", "stale"]
    assert not table.drop("tiny")["stale"].any()


def test_a_model_takes_what_people_have(run, things):
    model = load(run, members=1)
    by_case = model(model.picture(things / "large.png"))
    for path in (things / "large.png", str(things / "large.png")):
        np.testing.assert_array_equal(model(path).probabilities, by_case.probabilities)
    plain = np.ones((9, 8))
    for pixels in (load_image(things / "large.png"), plain, plain.astype(bool), plain.astype(np.uint16)):
        assert model(pixels).classes.shape == pixels.shape[:2]
    for wrong in (np.zeros(3), np.zeros((3, 4, 5, 6)), np.zeros((3, 4, 2)), np.array([["a"]]), np.full((3, 3), np.nan),
                  np.zeros((0, 3)), [[1, 2]], None, 3, torch.zeros(3, 3)):  # fmt: skip
        with pytest.raises(InputError):
            model(wrong)
    with pytest.raises(InputError, match="no such file"):
        model(things / "nothing.png")
    assert len(repr(model)) < 200
    assert "\n" not in repr(model)
    assert "classes background, lesion" in repr(model)


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3)])
def test_the_same_picture_in_other_numbers_is_the_same_picture(run, shape):
    model = load(run, members=1)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    asked = model(pixels).probabilities
    for same in (pixels.astype(np.int64), pixels.astype(np.float64), pixels / 255, (pixels / 255).astype(np.float32)):
        np.testing.assert_array_equal(model(same).probabilities, asked)
    dark = np.minimum(pixels, 1)
    np.testing.assert_array_equal(model(dark.astype(np.int32)).probabilities, model(dark).probabilities)
    beyond = pixels.astype(np.float32) * 100
    np.testing.assert_array_equal(model(beyond).probabilities, model(beyond - 7.0).probabilities)


def test_masks_to_look_at_and_reasons_on_the_screen(run, things, tmp_path, capsys):
    shutil.copytree(things, tmp_path / "in")
    (tmp_path / "in" / "also_broken.png").write_bytes(b"no picture")
    words = ["predict", "--checkpoint", str(run), "--input", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert segment.main([*words, "--save-members"]) == 0
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if "not an image" in line]
    assert line.endswith(": also_broken, broken")
    assert [line.rpartition(": ")[2] for line in printed.splitlines() if "not finite" in line] == ["holes"]
    for name in ("large", "thin", "tiny", "gray", "black", "mri"):
        assert Image.open(tmp_path / "out" / f"{name}_overlay.png").mode == "RGB"
    assert Image.open(tmp_path / "out" / "overview.png").width > 4 * 192
    scored = match_folders(tmp_path / "out", tmp_path / "out")
    assert set(scored.pairs) == {f"{name}_mask" for name in ("large", "thin", "tiny", "gray", "black", "mri")}


def test_predict_holds_its_output_folder_alone(run, things, tmp_path, capsys):
    things = shutil.copytree(things, tmp_path / "in")
    words = ["predict", "--checkpoint", str(run), "--input", str(things / "gray.png"), "--output"]
    with RunFolder(tmp_path / "out").opened():
        assert segment.main([*words, str(tmp_path / "out")]) == 2
    assert "another process is running in" in capsys.readouterr().err
    assert segment.main([*words, str(things)]) == 0, "beside a single image there is room for its mask"
    assert segment.main(["predict", "--checkpoint", str(run), "--input", str(things), "--output", str(things)]) == 2
    assert "is a folder that is read" in capsys.readouterr().err


def test_masks_below_the_images_are_not_segmented(run, things, tmp_path):
    shutil.copytree(things, tmp_path / "in")
    words = ["predict", "--checkpoint", str(run), "--input", str(tmp_path / "in")]
    for _ in range(2):
        assert segment.main([*words, "--output", str(tmp_path / "in" / "masks")]) == 0
    assert len(pd.read_csv(tmp_path / "in" / "masks" / "predictions.csv")) == 8


@pytest.mark.parametrize("members", [3, 1])
def test_channels_are_one_case_or_are_refused(run, things, tmp_path, capsys, members):
    (tmp_path / "in").mkdir()
    for number in range(members):
        shutil.copy(things / "mri.nii.gz", tmp_path / "in" / f"case_{number:04d}.nii.gz")
    words = ["predict", "--checkpoint", str(run), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert segment.main(words) == (0 if members == 1 else 2)
    said = "1 segmented" if members == 1 else "are named as the channels of one case, and the network was trained on"
    printed = capsys.readouterr()
    assert said in printed.out + printed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--checkpoint", "nowhere"], "is no run folder"),
        (["--model", "dynunet"], "no weights of dynunet"),
        (["--input", "nothing_here"], "nothing_here"),
        (["--fusion", "median"], "fusion"),
        (["--members", "0"], "inference.members is 0"),
        (["--memberss", "1"], "memberss"),
        (["--on_bad_file", "cry"], "neither skip nor stop"),
        (["--on_bad_file", "stop"], "not an image"),
    ],
)
def test_mistakes_in_predict_are_told(run, things, tmp_path, capsys, words, said):
    given = {"--checkpoint": str(run), "--input": str(things), "--output": str(tmp_path)}
    given |= dict(zip(words[::2], words[1::2], strict=True))
    assert segment.main(["predict", *(word for pair in given.items() for word in pair)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("script", ["segment_folder.py", "segment_volume.py", "segment_dicom_series.py"])
def test_the_scripts_of_the_checkout_do_what_they_say(run, things, tmp_path, script):
    from tests.dicom_series import write_series

    if script == "segment_dicom_series.py":
        write_series(tmp_path / "series")
    inputs = {
        "folder": things_without_damage(things, tmp_path),
        "volume": things / "mri.nii.gz",
        "dicom": tmp_path / "series",
    }
    name = script.split("_")[1].removesuffix(".py")
    target = tmp_path / ("masks" if name == "folder" else "mask.nii.gz")
    file = Path(__file__).parents[2] / "pipelines" / script
    done = subprocess.run(
        [sys.executable, file, run, inputs[name], target], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert target.exists()


def things_without_damage(things, tmp_path):
    copied = Path(shutil.copytree(things, tmp_path / "things"))
    (copied / "broken.png").unlink()
    return copied


def own_data(folder, *, count=24, change=None):
    """A manifest of bright squares with masks, one patient each."""
    generator, rows = np.random.default_rng(0), []
    for number in range(count):
        image, mask = generator.integers(0, 60, (20, 20)).astype(np.uint8), np.zeros((20, 20), np.uint8)
        at = 2 + number % 8
        image[at : at + 6, 4:12], mask[at : at + 6, 4:12] = 200, 1
        row = dict.fromkeys(COLUMNS, "") | {
            "row_id": f"r{number}", "dataset": "own", "patient_id": f"p{number}", "image_path": f"{number}.png",
            "mask_path": f"{number}_mask.png", "modality": "MR", "source": "real",
        }  # fmt: skip
        if change:
            image, mask = change(number, row, image, mask)
        if image is not None:
            save_image(image, folder / f"{number}.png")
        if mask is not None:
            save_image(mask, folder / f"{number}_mask.png")
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


def values_beyond(number, row, image, mask):
    return image, mask * 3 if number == 5 else mask


def one_of_another_size(number, row, image, mask):
    return image, mask[:10] if number == 5 else mask


def none_has_a_mask(number, row, image, mask):
    return image, row.update(mask_path="")


def masks_are_colors(number, row, image, mask):
    return image, np.stack([mask * 200, mask, mask], axis=-1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (values_beyond, "holds the value 3, but there are 2 classes"),
        (one_of_another_size, "20 x 10 pixels"),
        (none_has_a_mask, "none of the 24 images has a mask"),
        (masks_are_colors, "color"),
    ],
)
def test_masks_that_cannot_be_learned_from_are_told_before_training(tmp_path, capsys, change, said):
    manifest = own_data(tmp_path, change=change)
    words = ["--dataset", "lgg", "--classes", "[background,thing]", "--manifest", manifest, "--out", tmp_path / "run"]
    assert command(tmp_path, "train", *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "models").exists()


def test_own_data_with_missing_and_empty_masks_trains(tmp_path, capsys):
    """A row without a mask is left out and said so; a slice without lesion is a case."""

    def some(number, row, image, mask):
        if number < 3:
            return image, row.update(mask_path="")
        return image, mask * 0 if number % 2 else mask

    manifest = own_data(tmp_path, count=40, change=some)
    words = ["--dataset", "lgg", "--manifest", manifest, "--out", tmp_path / "run"]
    assert command(tmp_path, "evaluate", *words) == 0
    assert "3 images without a mask are left out" in capsys.readouterr().out
    cases = pd.read_csv(tmp_path / "run" / "cases.csv", keep_default_na=False)
    assert set(cases["empty"]) & {"truth", "both"}, "no empty slice came into the test split"
    assert len(cases) == 2 * cases["case"].nunique()


def volumes(root, *, count=16):
    """A Decathlon task of small volumes: a bright front part and a dark back part of a body, on an oblique grid."""
    generator = np.random.default_rng(0)
    affine = np.array([[0, 1.5, 0, -9], [-1, 0, 0.2, 4], [0.2, 0, 2, 7], [0, 0, 0, 1]])
    for name in ("imagesTr", "labelsTr"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        shape = (10 + number % 3, 12, 8)
        mask = np.zeros(shape, np.uint8)
        mask[3:7, 2:5, 2:6], mask[3:7, 5:10, 2:6] = 1, 2
        image = (60 * mask + generator.normal(100, 8, shape)).astype(np.int16)
        for name, array in (("imagesTr", image), ("labelsTr", mask)):
            nibabel.save(nibabel.Nifti1Image(array, affine), root / name / f"case_{number:03d}.nii.gz")
    task = {"labels": {"0": "background", "1": "front", "2": "back"}, "modality": {"0": "MRI"}, "licence": "none"}
    (root / "dataset.json").write_text(json.dumps(task))
    return root


def test_whole_volumes_of_three_classes(tmp_path, capsys):
    root = volumes(tmp_path / "task")
    words = ["--dataset", "hippocampus_volumes", "--data_root", root, "--classes", "[background,front,back]",
             "--volume.patch_size", "[8,8,8]", "--baseline.channels", "[4,8]", "--out", tmp_path / "run"]  # fmt: skip
    assert command(tmp_path, "evaluate", *words) == 0
    cases = pd.read_csv(tmp_path / "run" / "cases.csv", keep_default_na=False)
    assert set(cases["class_name"]) == {"front", "back"}
    assert set(cases["unit"]) == {"mm"}
    masks = sorted((tmp_path / "run" / "masks" / "diffusion").glob("*.nii.gz"))
    first = masks[0].name.removesuffix(".nii.gz")
    mask, image = nibabel.load(masks[0]), nibabel.load(root / "imagesTr" / f"{first}.nii.gz")
    assert mask.shape == image.shape
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-4)
    out = ["--checkpoint", str(tmp_path / "run"), "--output", str(tmp_path / "out")]
    assert segment.main(["predict", *out, "--input", str(root / "imagesTr"), "--save_maps", "true"]) == 0
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert {"front ml", "back ml"} <= set(table.columns)
    assert np.array_equal(nibabel.load(tmp_path / "out" / f"{first}_mask.nii.gz").dataobj, mask.dataobj)
    save_image(np.zeros((20, 20), np.uint8), tmp_path / "photo.png")
    capsys.readouterr()
    assert segment.main(["predict", *out, "--input", str(tmp_path / "photo.png")]) == 2
    assert "trained on volumes" in capsys.readouterr().err


def test_training_ends_when_patience_does(workplace, tmp_path):
    """Weights that no longer move have no better Dice: the third look is the last one."""
    words = ["--dataset", "phantom", "--training.learning_rate", "1e-8", "--training.sample_every", "1"]
    words += ["--validation.patience", "2", "--training.steps", "30", "--out", tmp_path / "run"]
    assert command(workplace, "train", *words) == 0
    for name in ("diffusion", "unet"):
        looks = pd.read_csv(tmp_path / "run" / "models" / name / "validation.csv")
        best = looks["dice"].idxmax()
        assert len(looks) == best + 3 < 30
        kept = list((tmp_path / "run" / "models" / name / "best").iterdir())
        assert [int(path.name.removeprefix("step_")) for path in kept] == [looks["step"][best]]


def test_the_networks_of_a_run_on_other_images(run, tmp_path, capsys):
    def in_color(number, row, image, mask):
        return np.stack([image] * 3, axis=-1), mask

    manifest = own_data(tmp_path, count=6, change=in_color)
    words = ["test", "--checkpoint", str(run), "--manifest", str(manifest), "--out", str(tmp_path / "there")]
    assert segment.main(words) == 0
    cases = pd.read_csv(tmp_path / "there" / "cases.csv")
    assert set(cases["case"]) == {f"r{number}" for number in range(6)}
    assert set(cases["model"]) == {"diffusion", "unet"}
    assert "on other images" in (tmp_path / "there" / "report.html").read_text()
    printed = capsys.readouterr().out
    assert "weights" in printed
    assert printed.count("16 x 16") == 2, "beside the Dice of each network"
    assert "| Weights | Training | Image |" in (tmp_path / "there" / "report.md").read_text()
    first = (tmp_path / "there" / "cases.csv").read_bytes()
    assert segment.main(words) == 0
    assert (tmp_path / "there" / "cases.csv").read_bytes() == first
    capsys.readouterr()
    assert segment.main(words[:3] + words[5:]) == 2
    assert "needs images" in capsys.readouterr().err


def test_images_that_the_networks_have_seen_are_said(run, tmp_path, capsys):
    """One of training as it was, one of validation as a JPEG, one of the test split, which nothing was learned from."""
    manifest = pd.read_csv(run / "manifest.csv")
    shown = [manifest[manifest["split"] == split].iloc[0] for split in ("train", "val", "test")]

    def of_training(number, row, image, mask):
        if number >= len(shown):
            return np.stack([image] * 3, axis=-1), mask
        row["image_path"] = f"{number}.jpg" if number == 1 else f"{number}.png"
        Image.open(run / shown[number]["image_path"]).convert("RGB").save(tmp_path / row["image_path"], quality=90)
        return None, (load_image(run / shown[number]["mask_path"]) > 0).astype(np.uint8)

    own_data(tmp_path, count=6, change=of_training)
    out = tmp_path / "there"
    words = ["test", "--checkpoint", str(run), "--manifest", str(tmp_path / "manifest.csv"), "--out", str(out)]
    assert segment.main(words) == 0
    findings = pd.read_csv(out / "findings.csv")
    assert findings["file"].tolist() == ["0.png", "1.jpg"]
    assert set(findings["severity"]) == {"serious"}
    said = " ".join(capsys.readouterr().out.split())
    assert "2 of 6 images are copies or near-copies of images that the networks were trained on or chosen by" in said
    assert "2 of 6 images are copies" in (out / "report.html").read_text()
    own_data(tmp_path, count=6, change=lambda number, row, image, mask: (np.stack([image] * 3, axis=-1), mask))
    assert segment.main(words) == 0
    assert not (out / "findings.csv").exists()
    moved = tmp_path / "moved"
    shutil.copytree(run, moved, ignore=shutil.ignore_patterns("phantom"))
    elsewhere = [word.replace(str(run), str(moved)).replace(str(out), f"{out}2") for word in words]
    assert segment.main(elsewhere) == 0
    unknown = (tmp_path / "there2" / "findings.csv").read_text()
    assert "whether the network has seen some of these images was not looked at" in unknown


@pytest.mark.parametrize("ids", [("a/b", "a_b"), ("a_b", "A_b"), ("x/y_z", "x_y/z", "x_y_z")])
def test_no_two_cases_share_a_file(ids):
    stems = file_stems([*ids, "other", "left/right"])
    assert len({name.casefold() for name in stems.values()}) == len(stems)
    assert (stems["other"], stems["left/right"]) == ("other", "left_right")


def test_another_set_of_classes_is_another_set_up(run, workplace, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "stages.json").unlink()
    words = ["--dataset", "phantom", "--classes", "[background,other]", "--out", tmp_path / "run"]
    assert command(workplace, "train", *words) == 2
    assert "class names" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], [], ["dance"], ["train", "--inference.steps", "0"]])
def test_the_command_explains_itself(words, capsys):
    code = segment.main(words)
    printed = capsys.readouterr()
    said = printed.out + printed.err
    assert (code == 0) == (not words or words == ["--help"])
    assert "python -m meddiff.pipelines.segment" in said or "the verbs are" in said or "inference.steps" in said


def rimmed(number, row, image, mask):
    mask[4:8] *= 2
    return image, np.where(np.pad(mask, 1)[:-2, 1:-1] != np.pad(mask, 1)[2:, 1:-1], 255, mask).astype(np.uint8)


def all_empty(number, row, image, mask):
    return image, mask * 0


def nothing_to_train_on(number, row, image, mask):
    row.update(split="train" if number < 12 else "val" if number < 18 else "test")
    return image, mask * (number >= 12)


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (rimmed, [], "is 255 a class, a rim that is not judged"),
        (
            rimmed,
            ["--classes", "[background,a,b]", "--data.mask_values", "0=background,1=a,2=b"],
            "holds the value 255, and --data.mask_values says",
        ),
        (all_empty, [], "all 24 masks are empty"),
        (nothing_to_train_on, [], "all 12 masks of the train split are empty: nothing can be learned from them"),
        (None, ["--classes", "[background,thing,other]"], "no mask holds 'other'"),
    ],
)
def test_masks_whose_meaning_is_not_known_stop_the_first_stage(tmp_path, capsys, change, words, said):
    manifest = own_data(tmp_path, change=change)
    words = ["--dataset", "lgg", "--manifest", manifest, "--out", tmp_path / "run", *words]
    assert command(tmp_path, "train", *words) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists(), "a refused command leaves a folder behind"


def test_a_rim_that_is_not_judged_goes_through_all_stages(tmp_path, capsys):
    manifest = own_data(tmp_path, count=40, change=rimmed)
    words = ["--dataset", "lgg", "--manifest", manifest, "--out", tmp_path / "run",
             "--classes", "[background,a,b]", "--data.mask_values", "0=background,1=a,2=b,255=ignore"]  # fmt: skip
    assert command(tmp_path, "evaluate", *words) == 0
    shown = capsys.readouterr().out
    assert "not judged" in shown
    assert "what the masks hold" in shown
    cases = pd.read_csv(tmp_path / "run" / "cases.csv")
    assert set(cases["class_name"]) == {"a", "b"}
    stored = json.loads((tmp_path / "run" / "mask_values.json").read_text())
    classes = [(one["values"], one["class"]) for one in stored["values"]]
    assert classes == [("0", 0), ("1", 1), ("2", 2), ("255", "ignore")]
    other = ["--checkpoint", tmp_path / "run", "--dataset", "lgg", "--manifest", manifest, "--out", tmp_path / "test"]
    assert segment.main(["test", *map(str, other)]) == 0
    assert (tmp_path / "test" / "mask_values.json").is_file()


def test_predict_says_which_images_are_unlike_those_of_training(run, tmp_path, capsys):
    manifest = pd.read_csv(run / "manifest.csv")
    given = tmp_path / "given"
    given.mkdir()
    for path in manifest.loc[manifest["split"] == "test", "image_path"]:
        shutil.copy(run / path, given)
    save_image(np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8), given / "noise.png")
    words = ["--checkpoint", run, "--members", 1, "--steps", 1]
    assert segment.main(["predict", *map(str, words), "--input", str(given), "--output", str(tmp_path / "masks")]) == 0
    table = pd.read_csv(tmp_path / "masks" / "predictions.csv", keep_default_na=False).set_index("name")
    assert table.loc["noise", "unlike_training"] == "yes"
    assert (table.drop(index="noise")["unlike_training"] == "no").mean() > 0.9
    said = " ".join(capsys.readouterr().out.split())
    assert "unlike those of training, do not rely on the masks" in said
    other = shutil.copytree(run, tmp_path / "former")
    (other / "likeness.json").unlink()
    words[1] = other
    assert segment.main(["predict", *map(str, words), "--input", str(given), "--output", str(tmp_path / "others")]) == 0
    table = pd.read_csv(tmp_path / "others" / "predictions.csv", keep_default_na=False)
    assert set(table["unlike_training"]) == {""}
    assert "cannot be said: the run has no likeness.json" in " ".join(capsys.readouterr().out.split())


def test_a_loaded_model_warns_of_an_image_unlike_those_of_training(run, tmp_path):
    import meddiff

    model = meddiff.load(run, members=1, steps=1)
    save_image(np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8), tmp_path / "noise.png")
    with pytest.warns(UserWarning, match="noise is unlike the training images"):
        answer = model(model.picture(tmp_path / "noise.png"))
    assert answer.verdict.unlike
