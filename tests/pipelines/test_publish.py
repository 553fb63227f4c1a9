"""A run is published, and loaded by its name: from a folder, the package, a web server, the Hugging Face hub."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from small import arguments, draw
from web import Site, serve

import meddiff
from meddiff.errors import InputError
from meddiff.files.content import sha256_of
from meddiff.hub.place import INSIDE, names_inside
from meddiff.pipelines import augment, publish, segment
from meddiff.trained import TrainedModel, load
from meddiff.training import checkpoint

MASKS = """
data: {image_size: 16, fit: stretch, phantom_images: 100}
network: {channels: [8, 16], patch_size: 1}
training: {steps: 2, batch_size: 8, warmup_steps: 1, checkpoint_every: 2, log_every: 1, sample_every: 2}
baseline: {names: [unet], channels: [4, 8]}
inference: {members: 3, steps: 2}
validation: {cases: 4, members: 1}
evaluation: {resamples: 100}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("publish")


@pytest.fixture(scope="module")
def masks_run(place):
    (recipe := place / "masks.yaml").write_text(MASKS)
    words = ["evaluate", "--dataset", "phantom", "--config", recipe, "--out", place / "masks"]
    assert segment.main([*map(str, words), f"--data.cache={place / 'cache'}"]) == 0
    return place / "masks"


@pytest.fixture(scope="module")
def masks(masks_run, place):
    """The published model of a run that segments."""
    words = ["--run", masks_run, "--out", place / "models" / "lesions", "--license", "cc0-1.0"]
    assert publish.main([*map(str, words)]) == 0
    return place / "models" / "lesions"


@pytest.fixture(scope="module")
def images(place):
    """The published model of a run that draws."""
    draw(place / "pictures", {"mel": 24, "nv": 24})
    assert augment.main(arguments(place, place / "images", "--data_root", place / "pictures")) == 0
    assert publish.main(["--run", str(place / "images"), "--out", str(place / "models" / "colors")]) == 0
    return place / "models" / "colors"


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def served(folder: Path, prefix: str) -> Site:
    return Site({f"{prefix}/{file.name}": file.read_bytes() for file in folder.iterdir()})


def test_the_masks_are_those_of_the_run_within_half_precision(masks, masks_run, photo):
    ours, theirs = load(masks), load(masks_run)
    assert isinstance(ours, TrainedModel)
    assert isinstance(theirs, TrainedModel)
    assert ours.temperature == theirs.temperature
    assert ours.likeness is not None
    difference = np.abs(ours(photo).probabilities - theirs(photo).probabilities).max()
    assert 0 < difference < 0.01


def test_its_weights_take_half_the_bytes(masks, masks_run):
    assert all(tensor.dtype == torch.float16 for tensor in load_file(masks / "ema.safetensors").values())
    (best,) = (masks_run / "models" / "diffusion" / "best").glob("step_*/ema.safetensors")
    assert (masks / "ema.safetensors").stat().st_size < 0.6 * best.stat().st_size


def test_images_are_drawn_by_class_and_seed(images):
    model = load(images)
    drawn = meddiff.generate(model, labels=["mel", "nv"], seeds=[1, 2])
    assert drawn.shape == (2, 3, 16, 16)
    assert drawn.equal(meddiff.generate(load(images), labels=["mel", "nv"], seeds=[1, 2]))


def test_no_path_of_this_machine_is_in_it(masks, images, place):
    for model in (masks, images):
        for file in model.iterdir():
            assert str(place).encode() not in file.read_bytes(), file


def test_it_says_what_it_was_trained_on(masks, masks_run):
    rows = pd.read_csv(masks_run / "manifest.csv").query("split == 'train'")
    listed = pd.read_csv(masks / "training_images.csv")
    assert list(listed["image"]) == list(rows["row_id"])
    assert f"trained on {len(rows)} images" in checkpoint.read(masks).about
    card = (masks / "README.md").read_text()
    assert card.startswith("---\nlicense: cc0-1.0\n")
    assert "mean Dice" in card


def test_by_its_name_in_a_folder(masks, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDDIFF_HUB", str(masks.parent))
    assert load("lesions").weights == load(masks).weights


@pytest.mark.parametrize(("environment", "prefix", "name"), [
    ("MEDDIFF_HUB", "/lesions", "lesions"),
    ("HF_ENDPOINT", "/somebody/lesions/resolve/main", "somebody/lesions"),
])  # fmt: skip
def test_from_a_server_once(masks, monkeypatch, tmp_path, environment, prefix, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serve(served(masks, prefix)) as site:
        monkeypatch.setenv(environment, site.url)
        assert load(name).weights == load(masks).weights
        asked = len(site.asked)
        assert asked == len(list(masks.iterdir()))
        assert load(name).weights == load(masks).weights
        assert len(site.asked) == asked, "what is there is not asked for again"


def test_weights_that_are_not_those_of_the_index_are_refused(masks, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    site = served(masks, "/lesions")
    site.files["/lesions/ema.safetensors"] = b"others"
    with serve(site):
        monkeypatch.setenv("MEDDIFF_HUB", site.url)
        with pytest.raises(InputError, match="its publisher states"):
            load("lesions")


@pytest.mark.parametrize("digests", [None, [], {"../../evil": "00"}, {"a": 1}, {"/etc/x": "00"}])
def test_an_index_that_names_files_elsewhere_is_refused(monkeypatch, tmp_path, digests):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serve(Site({"/evil/checkpoint.json": json.dumps({"sha256": digests}).encode()})) as site:
        monkeypatch.setenv("MEDDIFF_HUB", site.url)
        with pytest.raises(InputError, match="not the index of a model"):
            load("evil")
    assert not (tmp_path / "evil").exists()


def test_a_path_that_is_not_there_is_no_question_to_the_web(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with serve(Site({})) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        for name in ("runs/typo", "typo", "../x/y", str(tmp_path / "none")):
            with pytest.raises(InputError, match="no run folder"):
                load(name)
        assert site.asked == []


def test_a_card_of_ones_own(masks_run, tmp_path):
    (tmp_path / "card.md").write_text("# mine")
    words = ["--run", masks_run, "--out", tmp_path / "model", "--card", tmp_path / "card.md"]
    assert publish.main([*map(str, words)]) == 0
    assert (tmp_path / "model" / "README.md").read_text() == "# mine"
    words = ["--run", masks_run, "--out", tmp_path / "other", "--card", tmp_path / "none.md"]
    assert publish.main([*map(str, words)]) == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", names_inside())
def test_what_comes_with_the_package_is_whole_small_and_free(name):
    folder = INSIDE / name
    index = json.loads((folder / "checkpoint.json").read_text())
    assert index["sha256"] == {
        file.name: sha256_of(file) for file in folder.iterdir() if file.name != "checkpoint.json"
    }
    assert sum(file.stat().st_size for file in folder.iterdir()) < 12e6
    listed = pd.read_csv(folder / "training_images.csv")
    assert set(listed["dataset"]) == {"isic2017"}
    assert set(listed["license"]) == {"CC0-1.0"}
    assert index["license"] == "cc0-1.0"


def test_a_photograph_is_segmented_without_any_training(tmp_path, capsys):
    pixels = np.full((90, 120, 3), (224, 180, 160), np.float64)
    rows, columns = np.mgrid[:90, :120]
    lesion = (rows - 45) ** 2 + (columns - 60) ** 2 < 22**2
    pixels[lesion] = (110, 70, 60)
    pixels += np.random.default_rng(0).normal(0, 4, pixels.shape)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / "photo.png")
    words = ["predict", "--input", tmp_path / "photo.png", "--output", tmp_path / "masks"]
    assert segment.main([*map(str, words)]) == 0
    assert "weights: dermoscopy-masks, outlines skin lesions" in capsys.readouterr().out
    mask = np.asarray(Image.open(tmp_path / "masks" / "photo_mask.png")) == 1
    assert 2 * (mask & lesion).sum() / (mask.sum() + lesion.sum()) > 0.9


@pytest.mark.parametrize("place", [".", "./", "photos", "photos/..", "photos/."])
def test_the_folder_that_one_is_in_is_an_input(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save("photos/photo.png")
    assert segment.main(["predict", "--input", place, "--output", str(tmp_path.parent / f"{tmp_path.name}_masks")]) == 0


def test_volumes_are_not_given_to_weights_of_photographs(tmp_path, capsys):
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)), tmp_path / "scan.nii.gz")
    words = ["predict", "--input", tmp_path / "scan.nii.gz", "--output", tmp_path / "masks"]
    assert segment.main([*map(str, words)]) == 2
    assert "name weights for them with --checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "masks").exists()


def test_what_cannot_be_published_is_refused(masks, masks_run, tmp_path, capsys):
    assert publish.main(["--run", str(masks_run), "--out", str(masks)]) == 2
    assert "is there already" in capsys.readouterr().err
    unfinished = shutil.copytree(masks_run, tmp_path / "unfinished")
    (unfinished / "model_card.md").unlink()
    assert publish.main(["--run", str(unfinished), "--out", str(tmp_path / "model")]) == 2
    assert "finish the run first" in capsys.readouterr().err
    assert publish.main(["--run", str(tmp_path), "--out", str(tmp_path / "model")]) == 2
    assert "no run folder" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_checkpoint_of_a_run_that_segments_has_no_temperature_of_others(masks_run):
    (best,) = (masks_run / "models" / "diffusion" / "best").glob("step_*")
    assert load(best).temperature == 1.0
