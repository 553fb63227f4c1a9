"""The contract of each kind, over every schedule and prediction that a recipe can name."""

import pytest
from contracts import check_prediction, check_schedule

from meddiff.build import PREDICTIONS, SCHEDULES


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name):
    check_schedule(SCHEDULES[name](1000))


@pytest.mark.parametrize("name", PREDICTIONS)
def test_prediction(name):
    check_prediction(PREDICTIONS[name], SCHEDULES["cosine"](1000))
