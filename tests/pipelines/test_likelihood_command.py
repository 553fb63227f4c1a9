"""likelihood: bits per dimension of the images of a run, and of others beside them."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.pipelines import likelihood, train
from tests.pipelines import small


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("likelihood")
    images = small.draw(place / "images", {"a": 24, "b": 24})
    assert train.main(small.arguments(place, place / "run", "--data-root", images)) == 0
    return place / "run"


FEW = "--levels", "4", "--flow", "2", "--tolerance", "0.05", "--images", "5", "--batch_size", "2"


def asked(run, out, *more):
    assert likelihood.main([*map(str, ("--checkpoint", run, "--output", out, *FEW, *more))]) == 0
    return pd.read_csv(out / "likelihood.csv").set_index(["set", "name"])


def test_images_of_a_run_beside_others(run, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "other" / f"noise{number}.png")
    table = asked(run, tmp_path / "out", "--input", tmp_path / "other", "--draws", "2")
    assert table.groupby("set").size().to_dict() == {"input": 3, "test": 5}
    assert np.allclose(table["bits"], table["L_T"] + table["L_t"] + table["L_0"], atol=1e-3)
    assert table["flow_bits"].notna().groupby("set").sum().to_dict() == {"input": 2, "test": 2}
    assert (table["bits_std_error"] > 0).all()
    said = " ".join(capsys.readouterr().out.split())
    assert "bits tell an image of the one from one of the other with an AUROC of" in said
    assert "A likelihood is no test of being like the training images" in said
    levels = pd.read_csv(tmp_path / "out" / "levels.csv")
    test = levels[levels["set"] == "test"]
    assert test["L_t_together"].sum() == pytest.approx(table.loc["test", "L_t"].mean(), rel=1e-3)
    assert (test["low"] <= test["L_t_each"]).all()
    assert (test["L_t_each"] <= test["high"]).all()
    assert Image.open(tmp_path / "out" / "likelihood.png").size[0] > 800


def test_a_figure_is_a_function_of_the_image_and_the_seed(run, tmp_path):
    both, fewer = asked(run, tmp_path / "a"), asked(run, tmp_path / "b", "--images", "3", "--flow", "0")
    same = both.loc[fewer.index]
    assert np.allclose(same["bits"], fewer["bits"], atol=1e-4)
    other = asked(run, tmp_path / "c", "--images", "3", "--flow", "0", "--seed", "1")
    assert not np.allclose(other["bits"], fewer["bits"], atol=1e-4)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--split", "none"), "--split none leaves no image to ask about"),
        (("--input", "nowhere"), "nowhere"),
        (("--images", "0"), "images"),
    ],
)
def test_mistakes_end_in_a_sentence(run, tmp_path, capsys, words, sentence):
    assert likelihood.main([str(word) for word in ("--checkpoint", run, "--output", tmp_path / "out", *words)]) == 2
    assert sentence in capsys.readouterr().err


def test_weights_alone_have_no_test_images(run, tmp_path, capsys):
    newest = sorted((run / "checkpoints").iterdir())[-1]
    assert likelihood.main(["--checkpoint", str(newest), "--output", str(tmp_path / "out")]) == 2
    assert "has no manifest.csv, and so no test images" in capsys.readouterr().err
