"""Several raters, one image: the members of a denoiser of masks stand for all of them, one answer cannot.

Trained on lesions with four masks each, one of which is shown per step. The same at a larger size, with other numbers
of steps: ``benchmarks/segmentation.py --raters``.
"""

import numpy as np
import pytest
from segmentation_quality import ambiguity, fit, rated, small_recipe, with_steps

from meddiff import build

SIZE, RATERS, MEMBERS = 32, 4, 12


@pytest.fixture(scope="module")
def answers():
    """What the members and a deterministic network, trained for as many steps, make of unseen lesions."""
    train = rated(range(1000, 1200), size=SIZE, raters=RATERS)
    test = rated(range(24), size=SIZE, raters=RATERS)
    recipe = small_recipe(SIZE, steps=250, channels=(16, 32, 64), recycle=0.0, scale=0.2)
    members = with_steps(fit(recipe, build.DIFFUSION, train).segmenter, 3)
    single = fit(recipe, "unet", train).segmenter
    return ambiguity(members, test, members=MEMBERS), ambiguity(single, test, members=1)


@pytest.mark.slow
def test_members_are_nearer_to_the_raters_than_one_answer(answers):
    members, single = answers
    assert members.distance.mean() < 0.75 * single.distance.mean()
    assert np.mean(members.distance < single.distance) > 0.75
    assert (single.spread == 0).all()


@pytest.mark.slow
def test_members_differ_where_raters_do(answers):
    members, _ = answers
    assert np.ptp(members.raters_spread) > 0.1
    assert members.correlation() > 0.4
