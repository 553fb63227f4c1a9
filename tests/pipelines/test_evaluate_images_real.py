"""``evaluate images`` on photographs: other lesions of HAM10000 are no shift, PH2 is one, mirrored images are found."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from meddiff.jobs.evaluate.images import run
from meddiff.recipe.commands import EvaluateImages

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
]  # features of 300 photographs by an untrained VGG, three evaluations


@pytest.fixture(scope="module")
def evaluated(real_data, tmp_path_factory):
    """The three reports of benchmarks/evaluate_images.py with few images."""
    sys.path.insert(0, str(BENCHMARKS))
    from evaluate_images import IN_PLACE_OF_SYNTHETIC, manifests

    for place in (real_data / "HAM10000", real_data / "PH2"):
        if not place.exists():
            pytest.skip(f"{place} is not there")
    folder = tmp_path_factory.mktemp("real")
    place = manifests(real_data, 60, folder)
    return {
        name: run(
            EvaluateImages(
                real=str(place["real"]), synthetic=str(place[name]), train=str(place["train"]), size=48,
                splits=3, cache=str(folder / "cache"), out=str(folder / "out" / name),
            ),
            Console(file=io.StringIO()),
        )
        for name in IN_PLACE_OF_SYNTHETIC
    }  # fmt: skip


def kernel(report):
    return report.quality.set_index("metric").loc["kernel_distance"]


def test_other_lesions_of_one_archive_are_not_told_apart(evaluated):
    found = kernel(evaluated["other_lesions"])
    assert not found["outside"]
    assert "copies" not in evaluated["other_lesions"].headline.partition(". ")[0]


def test_another_hospital_is(evaluated):
    found = kernel(evaluated["ph2"])
    assert found["matched"] > 5 * found["baseline_high"]
    assert "images that look like no real one" in evaluated["ph2"].headline.partition(". ")[0]


def test_mirrored_training_images_are_copies(evaluated):
    report = evaluated["copies"]
    assert report.headline.startswith("The synthetic images show copies of training images")
    shares = report.copies.set_index(["space", "set"])["share_of_copies"]
    assert shares["pixels", "synthetic"] > 0.95
    assert not kernel(report)["outside"], "as images they are as good as real ones"
