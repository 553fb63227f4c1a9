"""Autoencoders from the command to the report, on drawn stripes that a small image cannot hold."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import meddiff
from meddiff.errors import InputError
from meddiff.pipelines.autoencode import main
from meddiff.training import checkpoint

SMALL = ["--dataset", "image_folder", "--data.channels", "1", "--data.image_size", "16", "--training.batch_size", "16",
         "--training.warmup_steps", "5", "--training.ema_decay", "0.95", "--training.sample_every", "1000",
         "--training.checkpoint_every", "1000", "--training.learning_rate", "4e-3", "--autoencoder.channels", "[16,16]",
         "--autoencoder.residual_blocks", "1", "--autoencoder.patch_size", "2", "--evaluation.resamples", "200",
         "--losses.adversarial", "0", "--training.augment", "none"]  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A manifest of steep stripes of any phase, four pixels from one to the next: half of the pixels shows few of
    them."""
    place, generator, lines = tmp_path_factory.mktemp("drawn"), np.random.default_rng(0), []
    y, x = np.mgrid[:16, :16]
    for number in range(120):
        angle, phase, level = generator.uniform(-0.3, 0.3), generator.uniform(0, 2 * np.pi), generator.uniform(110, 146)
        stripes = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 1.6 + phase)
        Image.fromarray((level + 100 * stripes).astype(np.uint8)).save(place / f"{number}.png")
        lines.append(f"r{number},drawn,{number}.png,real,p{number // 2}")
    (place / "manifest.csv").write_text("row_id,dataset,image_path,source,patient_id\n" + "\n".join(lines) + "\n")
    return place / "manifest.csv"


def run(manifest: Path, out: Path, *words: str, steps: int, verb: str = "evaluate", code: int = 0) -> Path:
    shared = ["--manifest", str(manifest), "--out", str(out), f"--data.cache={manifest.parent}/cache"]
    assert main([verb, *SMALL, *shared, "--training.steps", str(steps), *words]) == code
    return out


def psnr(folder: Path) -> dict[str, float]:
    table = pd.read_csv(folder / "scores.csv").query("metric == 'psnr_db'")
    return dict(zip(table["model"], table["mean"], strict=True))


@pytest.fixture(scope="module")
def codes(drawn, tmp_path_factory) -> Path:
    return run(drawn, tmp_path_factory.mktemp("runs") / "kl", steps=100)


def test_an_autoencoder_keeps_what_as_many_numbers_of_a_small_image_cannot(codes):
    both = psnr(codes)
    assert list(both) == ["bicubic", "autoencoder"]
    assert both["autoencoder"] > both["bicubic"] + 3
    report = json.loads((codes / "report.json").read_text())
    assert report["format"] == "meddiff reconstruction report"
    assert "4 x 4 x 4 numbers of 1 x 16 x 16, 4 times fewer: autoencoder is nearer" in report["headline"]
    assert "of the variance of a drawn code" in report["headline"].lower()
    assert len(report["latents"]) == 4
    assert (codes / "samples" / "step_00000100.png").is_file()


def test_rounded_codes_learn_too(drawn, tmp_path):
    rounded = ["--autoencoder.regularization", "vq", "--autoencoder.codes", "64"]
    both = psnr(run(drawn, tmp_path / "vq", *rounded, steps=100))
    assert both["autoencoder"] > both["bicubic"] + 1


def test_a_program_encodes_and_decodes(codes, drawn):
    model = meddiff.load(codes)
    assert repr(model) == "ImageAutoencoder([1, 16, 16] <-> [4, 4, 4])"
    pixels = np.stack([np.asarray(Image.open(drawn.parent / f"{number}.png")) for number in range(20)])
    images = torch.from_numpy(pixels)[:, None] / 127.5 - 1
    made = model.decode(model.encode(images))
    assert made.shape == images.shape
    assert (made - images).square().mean() < 0.02
    assert torch.equal(model.encode(images), model.encode(images)), "the mean, which is not drawn"
    with pytest.raises(InputError, match=r"got images \[20, 3, 16, 16\]: this autoencoder takes \[images, 1"):
        model.encode(images.expand(-1, 3, -1, -1))
    with pytest.raises(InputError, match="takes 4 channels of 2 dimensions"):
        model.decode(images)


def test_a_training_with_a_discriminator_goes_on_to_the_bit(drawn, tmp_path):
    judged = ["--losses.adversarial", "0.1", "--losses.discriminator_channels", "4", "--losses.adversarial_from", "0.5",
              "--training.decay", "none", "--training.checkpoint_every", "2"]  # fmt: skip
    whole = run(drawn, tmp_path / "whole", *judged, steps=4, verb="train")
    # the discriminator begins at half of the steps asked for: the same step for both
    parts = run(drawn, tmp_path / "parts", *judged[:-2], "--training.checkpoint_every", "1", steps=4, verb="train")
    for path in (parts / "models" / "autoencoder" / "checkpoints").glob("step_00000004"):
        (path / checkpoint.INDEX).unlink()
    (parts / "stages.json").unlink()
    run(drawn, parts, *judged, steps=4, verb="train")
    ends = [one / "models" / "autoencoder" / "checkpoints" / "step_00000004" for one in (whole, parts)]
    for name in (checkpoint.WEIGHTS, checkpoint.AVERAGE, checkpoint.OPTIMIZER, checkpoint.HISTORY):
        assert ends[0].joinpath(name).read_bytes() == ends[1].joinpath(name).read_bytes(), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data.image_size", "18"], "make a code 4 times coarser, which does not divide 18 x 18"),
        (["--losses.perceptual", "nowhere"], "losses.perceptual looks at pictures of 31 pixels or more"),
        (["--losses.perceptual", "nowhere", "--data.image_size", "32"], "perceptual nowhere: there is no alex"),
        (["--training.class_balance", "0.5"], "images have no classes here: use 0"),
        (["--autoencoder.channels", "[]"], "has one level or more"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_done(drawn, tmp_path, capsys, words, said):
    run(drawn, tmp_path / "refused", *words, steps=2, verb="train", code=2)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()


def test_another_kind_of_run_is_told_apart(codes, capsys):
    from meddiff.pipelines.translate import main as translate

    assert translate(["predict", "--checkpoint", str(codes), "--input", str(codes), "--output", str(codes / "x")]) == 2
    assert "encodes images and draws none" in capsys.readouterr().err


def test_the_cost_is_told_before_anything_is_trained(drawn, capsys):
    assert main(["train", *SMALL, "--manifest", str(drawn), "--describe"]) == 0
    said = capsys.readouterr().out
    assert "an image becomes 4 x 4 x 4 numbers by one call" in said
    assert "autoencoder" in said
