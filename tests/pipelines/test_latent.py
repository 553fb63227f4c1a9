"""Generation in the codes of an autoencoder, from the commands to images: cost, scale, resuming, what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import meddiff
from meddiff.errors import InputError
from meddiff.pipelines.autoencode import main as autoencode
from meddiff.pipelines.edit import main as edit
from meddiff.pipelines.synthesize import main as synthesize
from meddiff.pipelines.train import main as train
from meddiff.training import checkpoint

SHARED = ["--dataset", "image_folder", "--data.channels", "1", "--data.image_size", "16", "--training.batch_size", "16",
          "--training.warmup_steps", "5", "--training.ema_decay", "0.95", "--training.sample_every", "1000",
          "--training.checkpoint_every", "1000", "--training.learning_rate", "4e-3"]  # fmt: skip
CODES = ["--autoencoder.channels", "[16,16]", "--autoencoder.residual_blocks", "1", "--autoencoder.patch_size", "2",
         "--losses.adversarial", "0", "--training.steps", "100"]  # fmt: skip
DRAWS = ["--network.channels", "[32,64]", "--network.residual_blocks", "1", "--network.attention_levels", "0",
         "--synthesis.steps", "6", "--synthesis.per_class", "40", "--synthesis.oversample", "1",
         "--synthesis.max_ratio", "1", "--synthesis.guidance", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A manifest of squares on gray, of two classes: dark ones at the left, bright ones at the right."""
    place, generator, lines = tmp_path_factory.mktemp("drawn"), np.random.default_rng(0), []
    for number in range(120):
        pixels = np.full((16, 16), 128) + generator.normal(0, 4, (16, 16))
        row, column, side = generator.integers(1, 9), generator.integers(1, 4), generator.integers(4, 7)
        bright = number % 2
        pixels[row : row + side, column + 7 * bright :][:, :side] = 220 if bright else 30
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{number}.png")
        lines.append(f"r{number},drawn,{number}.png,real,p{number // 2},{('dark', 'bright')[bright]}")
    head = "row_id,dataset,image_path,source,lesion_id,label\n"
    (place / "manifest.csv").write_text(head + "\n".join(lines) + "\n")
    return place / "manifest.csv"


def words(drawn: Path, out: Path) -> list[str]:
    return [*SHARED, "--manifest", str(drawn), "--out", str(out), f"--data.cache={drawn.parent}/cache"]


@pytest.fixture(scope="module")
def codes(drawn, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "codes"
    assert autoencode(["train", *words(drawn, out), *CODES]) == 0
    return out


@pytest.fixture(scope="module")
def generator(drawn, codes, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "latent"
    own = [*words(drawn, out), *DRAWS, "--training.steps", "250", "--diffusion.latent", str(codes)]
    assert synthesize(own) == 0
    return out


def test_a_model_of_codes_draws_images_of_the_class_that_it_is_told(generator):
    table = pd.read_csv(generator / "synthetic_manifest.csv")
    right = []
    for path, label in zip(table["image_path"], table["label"], strict=True):
        pixels = np.asarray(Image.open(generator / path)).astype(float)
        assert pixels.shape == (16, 16)
        left, other = (np.abs(half - 128).mean() for half in (pixels[:, :8], pixels[:, 8:]))
        right.append((other > left) == (label == "bright"))
    assert len(right) > 40
    assert np.mean(right) > 0.9


def test_a_run_folder_holds_all_that_its_images_need(generator, tmp_path):
    moved = shutil.copytree(generator, tmp_path / "moved")
    model = meddiff.load(moved)
    assert model.shape == (4, 4, 4), "what is noised is a code"
    image = model("dark", seed=3)
    assert image.shape == (1, 16, 16)
    assert image.min() >= -1
    assert image.max() <= 1
    both = meddiff.generate(model, ["bright", "dark"], [1, 3])
    torch.testing.assert_close(both[1], image, rtol=0, atol=1e-3)
    facts = checkpoint.read_latest(moved / "checkpoints").facts.network["latent"]
    assert len(facts["mean"]) == len(facts["deviation"]) == 4
    assert 0 <= facts["noise_share"] < 0.2
    shutil.rmtree(moved / "models")
    with pytest.raises(InputError, match=f"draws codes of the autoencoder {facts['autoencoder']}, which is not here"):
        meddiff.load(moved)


def test_codes_of_turned_pictures_are_kept_and_scaled_to_one(drawn, codes, tmp_path):
    own = [*words(drawn, tmp_path / "run"), *DRAWS, f"--data.cache={tmp_path}/cache", "--diffusion.latent", str(codes)]
    assert train([*own, "--training.steps", "1", "--training.augment", "square"]) == 0
    noted = json.loads((tmp_path / "run" / "models" / "autoencoder" / "scale.json").read_text())
    (stored,) = [np.load(file) for file in (tmp_path / "cache").rglob("codes.npy")]
    assert stored.shape[1:] == (8, 4, 4, 4)
    by_channel = np.moveaxis(stored, 2, 0).reshape(4, -1).astype(np.float64)
    assert by_channel.mean(1) == pytest.approx(noted["mean"], rel=1e-4, abs=1e-5)
    assert by_channel.std(1) == pytest.approx(noted["deviation"], rel=1e-4)
    assert not np.array_equal(stored[:, 0], stored[:, 1]), "a turned picture has a code of its own"


def test_a_stopped_training_goes_on_to_the_bit_without_the_other_run(drawn, codes, tmp_path):
    elsewhere = shutil.copytree(codes, tmp_path / "codes")
    own = [*DRAWS, "--training.checkpoint_every", "1", "--diffusion.latent", str(elsewhere), "--training.steps"]
    for name in ("whole", "parts"):
        assert train([*words(drawn, tmp_path / name), *own, "3"]) == 0
    ends = [tmp_path / name / "checkpoints" / "step_00000003" for name in ("whole", "parts")]
    shutil.rmtree(ends[1])
    (tmp_path / "parts" / "stages.json").unlink()
    shutil.rmtree(elsewhere)
    assert train([*words(drawn, tmp_path / "parts"), *own, "3"]) == 0
    for name in (checkpoint.WEIGHTS, checkpoint.AVERAGE, checkpoint.OPTIMIZER):
        assert ends[0].joinpath(name).read_bytes() == ends[1].joinpath(name).read_bytes(), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--diffusion.latent", "nowhere"], "nowhere"),
        (["--data.channels", "3"], "encodes images like 1 x 16 x 16, with sides that 4 divides, and those of this run"),
        (["--data.image_size", "18"], "those of this run are 1 x 18 x 18"),
        (["--synthesis.threshold", "clip"], "codes (diffusion.latent) have none: leave it out"),
    ],
)
def test_what_cannot_be_encoded_is_refused_before_anything_is_done(drawn, codes, tmp_path, capsys, change, said):
    own = [*words(drawn, tmp_path / "refused"), *DRAWS, "--diffusion.latent", str(codes), "--training.steps", "2"]
    assert train([*own, *change]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()


def test_another_autoencoder_and_another_kind_of_run_are_refused(drawn, codes, generator, tmp_path, capsys):
    own = [*DRAWS, "--training.steps", "2", "--diffusion.latent"]
    assert train([*words(drawn, tmp_path / "x"), *own, str(generator)]) == 2
    assert "draws images and segments none: give the run folder of `autoencode train`" in capsys.readouterr().err
    other = tmp_path / "other"
    assert autoencode(["train", *words(drawn, other), *CODES, "--training.steps", "1", "--seed", "1"]) == 0
    again = shutil.copytree(generator, tmp_path / "again")
    assert train([*words(drawn, again), *DRAWS, "--training.steps", "250", "--diffusion.latent", str(other)]) == 2
    assert "was begun in the latents of another autoencoder" in capsys.readouterr().err


def test_what_is_done_to_pixels_is_refused(generator, drawn, tmp_path, capsys):
    picture = str(drawn.parent / "0.png")
    places = ["--checkpoint", str(generator), "--input", picture, "--output", str(tmp_path / "o")]
    assert edit([*places, "--method", "sdedit", "--label", "dark"]) == 2
    assert "draws in the codes of an autoencoder" in capsys.readouterr().err
