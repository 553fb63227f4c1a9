"""The feature extractor of the distances is checked before the first hour of work, and named in what it made."""

from dataclasses import replace

import pytest

from meddiff import build
from meddiff.batches.images import Images
from meddiff.cache.pictures import decode
from meddiff.errors import InputError
from meddiff.recipe import EvaluationRecipe, Recipe
from meddiff.sources import phantom
from meddiff.training.apply import features


def test_an_extractor_without_its_file_is_refused_at_once():
    with pytest.raises(InputError, match=r"mobilenet needs its file: --evaluation\.weights"):
        build.check_names(replace(Recipe(), evaluation=EvaluationRecipe(features="mobilenet")))
    with pytest.raises(InputError, match=r"nowhere\.npz"):
        build.check_names(replace(Recipe(), evaluation=EvaluationRecipe(features="mobilenet", weights="nowhere.npz")))
    with pytest.raises(InputError, match=r"evaluation\.features.*vgg"):
        build.check_names(replace(Recipe(), evaluation=EvaluationRecipe(features="vgg")))


@pytest.mark.real_data
def test_the_local_file_gives_features_of_a_runs_images(real_data, tmp_path):
    weights = next((real_data / "weights").rglob("*.npz"))
    recipe = replace(Recipe(), evaluation=EvaluationRecipe(features="mobilenet", weights=str(weights)))
    rows = phantom.write(phantom.rows("dermoscopy", seed=0, count=3), tmp_path, size=32)
    images = Images(decode(rows, image_size=32, folder=tmp_path / "cache"), sorted({row.label for row in rows}))
    assert features(build.extractor(recipe), images, batch_size=2).shape == (3, 1280)
