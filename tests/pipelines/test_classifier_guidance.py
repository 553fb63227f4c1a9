"""Guidance by a classifier of noisy images: trained with the run, resumed, used, and refused where it cannot be."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import meddiff
from meddiff.errors import InputError
from meddiff.manifest.table import read_manifest
from meddiff.pipelines import publish, synthesize, train
from tests.pipelines import small


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    place = tmp_path_factory.mktemp("guided")
    small.draw(place / "photos", {"red": 24, "green": 24})
    return place


def arguments(workplace, *more):
    return small.arguments(workplace, workplace / "run", "--data_root", workplace / "photos",
                           "--synthesis.classifier_guidance=3", *more)  # fmt: skip


@pytest.fixture(scope="module")
def run(workplace):
    assert synthesize.main(arguments(workplace)) == 0
    return workplace / "run"


def test_what_was_drawn_says_by_what_and_is_drawn_again(run):
    rows = read_manifest(run / "synthetic_manifest.csv")
    assert all(" classifier=" in row.generator and row.generator.endswith(" scale=3") for row in rows)
    model = meddiff.load(run)
    again = meddiff.generate(model, [rows[0].label], [rows[0].seed])
    pixels = np.asarray(Image.open(rows[0].image_file))
    assert np.abs((again[0].numpy().transpose(1, 2, 0) + 1) * 127.5 - pixels).max() <= 1
    plainly = meddiff.generate(meddiff.load(run, classifier_guidance=0), [rows[0].label], [rows[0].seed])
    assert not torch.equal(plainly, again)


def test_its_training_is_resumed_to_the_same_bit(run, workplace):
    folder = run / "models" / "guide" / "checkpoints"
    last, before = folder / "step_00000004", folder / "step_00000002"
    weights = (last / "ema.safetensors").read_bytes()
    assert before.is_dir()
    shutil.rmtree(last)
    assert train.main(arguments(workplace)) == 0
    assert (last / "ema.safetensors").read_bytes() == weights


def test_a_checkpoint_alone_is_not_half_of_it(run, workplace, capsys):
    alone = shutil.copytree(run / "checkpoints" / "step_00000004", workplace / "alone")
    with pytest.raises(InputError, match="with guidance by a classifier, which is not here"):
        meddiff.load(alone)
    assert publish.main(["--run", str(run), "--out", str(workplace / "model"), "--license", "cc0-1.0"]) == 2
    assert "a published model is one network" in " ".join(capsys.readouterr().err.split())


def test_a_single_class_cannot_be_named(workplace, tmp_path, capsys):
    place = small.draw(tmp_path / "photos", {"red": 24})
    words = small.arguments(workplace, tmp_path / "run", "--data_root", place, "--synthesis.classifier_guidance=3")
    assert train.main(words) == 2
    assert "all images are of one class" in " ".join(capsys.readouterr().err.split())
