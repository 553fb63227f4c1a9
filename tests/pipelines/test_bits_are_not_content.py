"""The same pictures stored with other bits are the same set; the images of a run are found by its manifest."""

import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from meddiff.cache.image_array import decode
from meddiff.evaluation.images.given import list_images
from meddiff.images.prepare import Transform
from meddiff.jobs.evaluate.images import run
from meddiff.pipelines import build_manifest
from meddiff.recipe.commands import EvaluateImages
from tests.pipelines.small import arguments, draw

SIDE, COUNT = 32, 40
STORED = {
    "times 257": lambda pixels: Image.fromarray(pixels.astype(np.uint16) * 257),
    "times 256": lambda pixels: Image.fromarray(pixels.astype(np.uint16) * 256),
    "12 bits": lambda pixels: Image.fromarray(pixels.astype(np.uint16) * 16),
    "as they are": lambda pixels: Image.fromarray(pixels.astype(np.uint16)),
    "shares": lambda pixels: Image.fromarray(pixels.astype(np.float32) / 255),
}


def texture(seed):
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    wave = np.sin(x / generator.uniform(4, 6)) * np.cos(y / generator.uniform(4, 6) + generator.uniform(0, 6))
    return np.clip(128 + 60 * wave + generator.normal(0, 5, (SIDE, SIDE)), 0, 255).astype(np.uint8)


def store(folder, first, how=Image.fromarray, suffix=".png"):
    folder.mkdir()
    for number in range(COUNT):
        how(texture(first + number)).save(folder / f"{number}{suffix}")
    return folder


@pytest.mark.parametrize("how", STORED)
def test_the_same_pixels_whatever_they_are_stored_as(tmp_path, how):
    places = store(tmp_path / "eight", 0), store(tmp_path / "other", 0, STORED[how], ".tif")
    arrays = [
        np.asarray(decode(list_images(str(place)), Transform(SIDE, stretch=True), folder=tmp_path / "cache").images)
        for place in places
    ]
    rank = [int(row.row_id.partition(".")[0]) for row in list_images(str(places[0]))]
    assert rank == [int(row.row_id.partition(".")[0]) for row in list_images(str(places[1]))]
    assert np.abs(arrays[0].astype(int) - arrays[1].astype(int)).max() <= 1


def evaluated(place, synthetic):
    console = Console(width=200, record=True, file=io.StringIO())
    settings = EvaluateImages(real=str(place / "real"), synthetic=str(synthetic), splits=5,
                              cache=str(place / "cache"), out=str(place / f"out-{synthetic.name}"))  # fmt: skip
    report = run(settings, console)
    return report.headline.partition(". ")[0], list(report.quality["outside"]), console.export_text()


@pytest.mark.slow
@pytest.mark.parametrize("mixed", [False, True])
def test_more_bits_are_no_fault(tmp_path, mixed):
    """The verdict is that on the same pictures of 8 bits."""
    store(tmp_path / "real", 0)
    eight, synthetic = store(tmp_path / "eight", 900), store(tmp_path / "other", 900, STORED["times 257"])
    if mixed:
        for number in range(0, COUNT, 2):
            Image.fromarray(texture(900 + number)).save(synthetic / f"{number}.png")
    plain, other = evaluated(tmp_path, eight), evaluated(tmp_path, synthetic)
    assert other[:2] == plain[:2]
    note = "each is scaled by its own 0.1 and 99.9 percentiles"
    assert note in other[2]
    assert note not in plain[2]


def test_a_manifest_of_a_run_finds_its_files(tmp_path):
    images = draw(tmp_path / "images", {"red": 24, "green": 24, "blue": 24})
    assert build_manifest.main(arguments(tmp_path, tmp_path / "run", "--data-root", images)) == 0
    rows = list_images(f"{tmp_path / 'run' / 'manifest.csv'}:test")
    assert rows
    assert all(row.image_file.is_file() and row.split == "test" for row in rows)
