"""How many of the nearest images may be synthetic by chance, and what the first sentence says of them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom

from meddiff.evaluation.images.copies import HELD_OUT, SYNTHETIC, chance_of, copied
from meddiff.reports.images import _verdict

NOTHING = pd.DataFrame({"metric": ["copying_statistic"], "synthetic": [0.0]})
QUALITY = pd.DataFrame({"fault": [""]})


def table_of(synthetic, held_out, quantile=0.05):
    """The rows of `copies` for distances alone; the interval of the share is as wide as can be."""
    threshold = np.quantile(held_out, quantile)
    return pd.DataFrame([
        {"set": name, "space": "pixels", "n": len(values), "share_of_copies": (values < threshold).mean(), "low": 0.0,
         "high": 1.0, "nearer_than_held_out": int((values < held_out.min()).sum()),
         "half_as_near": int((values < held_out.min() / 2).sum())}
        for name, values in ((SYNTHETIC, synthetic), (HELD_OUT, held_out))
    ])  # fmt: skip


@pytest.mark.parametrize(("count", "synthetic", "held_out"), [(0, 5, 5), (1, 5, 5), (3, 20, 10), (20, 420, 400)])
def test_chance_is_that_of_drawing_without_putting_back(count, synthetic, held_out):
    every = hypergeom(synthetic + held_out, synthetic, count)
    assert chance_of(count, synthetic, held_out) == pytest.approx(every.pmf(count))


@pytest.mark.parametrize("seed", range(5))
def test_twenty_copies_among_four_hundred_honest_images_are_flagged(seed):
    generator = np.random.default_rng(seed)
    honest, held_out = generator.gamma(20, 0.01, 400), generator.gamma(20, 0.01, 400)
    assert not copied(table_of(honest, held_out), NOTHING)
    planted = np.append(honest, np.full(20, 1e-6))
    table = table_of(planted, held_out)
    assert copied(table, NOTHING)
    first = _verdict(QUALITY, table, NOTHING).partition(". ")[0]
    nearer = table.loc[0, "nearer_than_held_out"]
    assert first.startswith("The synthetic images show copies of training images; ")
    assert f"{nearer} of 420 lie nearer to a training image than every held-out real image does, by pixels" in first


def test_blur_alone_is_no_copying():
    """Blurred images lie nearer to all images than sharp ones do, and none is anybody's copy."""
    generator = np.random.default_rng(0)
    held_out = generator.gamma(20, 0.01, 400)
    assert not copied(table_of(0.8 * generator.gamma(20, 0.01, 400), held_out), NOTHING)


def test_a_single_copy_is_said():
    held_out = np.random.default_rng(0).gamma(20, 0.01, 400)
    said = _verdict(QUALITY, table_of(np.append(held_out + 0.1, 0.0), held_out), NOTHING)
    assert "no fault that these measures see; 1 of 401 lies nearer to a training image than every held-out" in said
    assert _verdict(QUALITY, table_of(held_out + 0.1, held_out), NOTHING).endswith("measures see.")
