"""Truth: samples of known distributions."""

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.evaluation import ImageFeatures, distances
from meddiff.metrics.images.fidelity import frechet_distance

SPECTRUM = np.exp(-4 * np.arange(32) / 32)


def sample(images, seed, shares=(0.5, 0.5), shift=0.0, per_patient=1):
    generator = np.random.default_rng(seed)
    patients = -(-images // per_patient)
    labels = generator.choice(2, patients, p=shares).repeat(per_patient)[:images]
    values = generator.normal(size=(images, 32)) * SPECTRUM + labels[:, None] * 0.6 + shift
    names = np.array([f"{seed}-{p}" for p in range(patients)]).repeat(per_patient)[:images]
    return ImageFeatures(values, names, np.array(["common", "rare"])[labels])


def row(table, comparison, metric):
    return table[table.comparison.str.contains(comparison) & (table.metric == metric)].iloc[0]


def test_perfect_synthetic_images_are_as_far_as_held_out_ones():
    table = distances(sample(600, 0), sample(200, 1), sample(200, 2), features="toy")
    assert len(table) == 4
    assert (table.features == "toy").all()
    for metric in ("frechet_distance", "kernel_distance"):
        synthetic, held_out = row(table, "synthetic", metric), row(table, "held-out", metric)
        assert synthetic.low < held_out.value < synthetic.high
        assert synthetic.n_synthetic == held_out.n_synthetic
        assert synthetic.dimension == 32


def test_shifted_synthetic_images_are_farther():
    table = distances(sample(600, 0), sample(200, 1, shift=0.3), sample(200, 2))
    for metric in ("frechet_distance", "kernel_distance"):
        assert row(table, "synthetic", metric).low > row(table, "held-out", metric).high


def test_another_mix_of_classes_is_not_taken_for_another_look():
    """Synthetic images are mostly of rare classes; without labels that alone looks like a bad generator."""
    real, synthetic, held_out = sample(900, 0, (0.9, 0.1)), sample(300, 1, (0.1, 0.9)), sample(300, 2, (0.9, 0.1))
    told = distances(real, synthetic, held_out)
    assert row(told, "synthetic", "kernel_distance").low < row(told, "held-out", "kernel_distance").high
    untold = distances(*(ImageFeatures(part.values, part.groups) for part in (real, synthetic, held_out)))
    assert row(untold, "synthetic", "kernel_distance").low > row(untold, "held-out", "kernel_distance").high


def test_interval_holds_the_spread_of_fresh_samples():
    """The half-sample error against the standard deviation over new samples of the same size."""
    table = distances(sample(300, 0, (1, 0)), sample(150, 1, (1, 0), shift=0.2), sample(150, 2, (1, 0)))
    found = row(table, "synthetic", "frechet_distance")
    fresh = [
        frechet_distance(sample(300, 10 + k, (1, 0)).values, sample(150, 90 + k, (1, 0), shift=0.2).values)
        for k in range(60)
    ]
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(fresh), rel=0.5)


def test_without_held_out_images_half_of_the_patients_is_held_out():
    table = distances(sample(400, 0, per_patient=4), sample(150, 1))
    assert row(table, "synthetic", "frechet_distance").n_real <= 200
    assert np.isfinite(table.value).all()


def test_warnings_and_refusals():
    few = distances(sample(100, 0), sample(20, 1), sample(20, 2))
    assert "fewer than 32 features" in row(few, "synthetic", "frechet_distance").warning
    assert row(few, "synthetic", "kernel_distance").warning == ""
    assert (few[few["metric"] == "frechet_distance"]["low"] >= 0).all()
    rare_only = distances(sample(100, 0), sample(60, 1, (0, 1)), sample(60, 2))
    assert "without common" in row(rare_only, "synthetic", "kernel_distance").warning
    with pytest.raises(InputError, match="share 100 patient"):
        distances(sample(100, 0), sample(50, 1), sample(100, 0))


def test_too_few_images_are_said_not_raised():
    """A filter may drop every synthetic image: the report is written nevertheless."""
    for real, synthetic, reason in (
        (sample(100, 0), sample(2, 1), "too few"),
        (sample(100, 0), sample(50, 1).chosen(np.zeros(50, bool)), "too few"),
        (sample(100, 0, (1, 0)), sample(50, 1, (0, 1)), "without common, rare"),
        (sample(1, 0), sample(50, 1), "too few"),
    ):
        table = distances(real, synthetic)
        assert len(table) == 4
        assert table.value.isna().all()
        assert table.warning.str.contains(reason).all()
