"""The feature extractor of the distances is checked before the first hour of work, and named in what it made."""

from dataclasses import replace

import pytest

from meddiff import build
from meddiff.batches.images import Images
from meddiff.cache.image_array import decode
from meddiff.errors import InputError
from meddiff.images.prepare import Transform
from meddiff.recipe import EvaluationRecipe, Recipe
from meddiff.sources import phantom
from meddiff.training.apply import features


def test_an_extractor_without_its_file_is_refused_at_once():
    with pytest.raises(InputError, match=r"radimagenet needs its file: --evaluation\.weights"):
        build.check_names(replace(Recipe(), evaluation=EvaluationRecipe(features="radimagenet")))
    with pytest.raises(InputError, match=r"nowhere\.npz"):
        build.check_names(replace(Recipe(), evaluation=EvaluationRecipe(features="radimagenet", weights="nowhere.npz")))
    with pytest.raises(InputError, match=r"evaluation\.features.*vgg"):
        build.check_names(replace(Recipe(), evaluation=EvaluationRecipe(features="vgg")))


def test_an_extractor_that_has_learned_nothing_takes_no_file():
    with pytest.raises(
        InputError, match=r"evaluation\.features untrained .* takes no weights: leave --evaluation\.weights"
    ):
        build.check_names(replace(Recipe(), evaluation=EvaluationRecipe(features="untrained", weights="some.npz")))


def test_the_untrained_network_gives_features_of_a_runs_images(tmp_path):
    recipe = replace(Recipe(), evaluation=EvaluationRecipe(features="untrained"))
    rows = phantom.write(phantom.rows("dermoscopy", seed=0, count=3), tmp_path, size=32)
    images = Images(decode(rows, Transform(32), folder=tmp_path / "cache"), sorted({row.label for row in rows}))
    assert features(build.extractor(recipe), images, batch_size=2).shape == (3, 64)
