"""The first sentence of a study's report, where there was nothing to compare."""

from types import SimpleNamespace

import pandas as pd
import pytest

from meddiff.jobs.generate.report import headline_of


@pytest.mark.parametrize(("sets", "said"), [({}, "passed the filter"), ({"synthetic": object()}, "none was added")])
def test_without_added_images_no_help_is_neither_shown_nor_denied(sets, said):
    arms = pd.DataFrame({"arm": ["real", "real_synthetic"], "n_synthetic": [0, 0]})
    headline = headline_of(SimpleNamespace(arms=arms, differences=pd.DataFrame()), sets)  # pyright: ignore
    assert headline.startswith("Whether synthetic images help stays open")
    assert said in headline
