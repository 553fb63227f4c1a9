"""What a scanner measured in more than 8 bits stays so, from the file to the synthetic file."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from meddiff.manifest.table import read_manifest
from meddiff.pipelines import synthesize
from tests.dicom_series import write_slice
from tests.pipelines.drawn_volumes import RECIPE as VOLUMES
from tests.pipelines.small import RECIPE as PICTURES

LOW, LEVELS = 20_000, 400  # values that are 78 or 79 in 8 bits
SHORT = ["--training.steps", "2", "--synthesis.per_class", "4", "--classifier.arms", "[real]"]


def synthetic_of(run):
    return [row.image_file for row in read_manifest(run / "synthetic_manifest.csv")]


def cached_levels(cache, pattern):
    """The number of different values in each array of the cache."""
    found = [len(np.unique(np.fromfile(file, np.uint16))) for file in sorted(cache.rglob(pattern))]
    assert found
    return found


@pytest.fixture
def pictures(tmp_path):
    """16-bit gray PNGs in two classes, whose range 8 bits would flatten to two values."""
    generator = np.random.default_rng(0)
    for name in ("bright", "dark"):
        (tmp_path / "study" / name).mkdir(parents=True)
        for number in range(6):
            ramp = np.linspace(0, LEVELS - 1, 16 * 16).reshape(16, 16) * (1 if name == "dark" else -1) % LEVELS
            blots = np.kron(generator.integers(0, LEVELS, (4, 4)), np.ones((4, 4)))  # no picture is another's copy
            pixels = (LOW + (ramp + blots) % LEVELS).astype(np.uint16)
            Image.fromarray(pixels).save(tmp_path / "study" / name / f"{number}.png")
    (tmp_path / "recipe.yaml").write_text(PICTURES)
    return [f"--config={tmp_path}/recipe.yaml", f"--data-root={tmp_path}/study", f"--data.cache={tmp_path}/cache",
            f"--out={tmp_path}/run", *SHORT]  # fmt: skip


def test_a_16_bit_picture_gives_16_bit_synthetic_pictures(pictures, tmp_path):
    assert synthesize.main([*pictures, "--data.channels", "1"]) == 0
    assert min(cached_levels(tmp_path / "cache", "images.bin")) > 256
    for file in synthetic_of(tmp_path / "run"):
        image = Image.open(file)
        assert image.mode.startswith("I;16")
        assert len(np.unique(np.asarray(image) % 257)) > 100, "an 8-bit value, widened, is a multiple of 257"


def test_16_bits_in_color_are_refused_before_training(pictures, tmp_path, capsys):
    assert synthesize.main(pictures) == 2
    assert "train on gray images with --data.channels 1" in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_12_bit_dicom_gives_16_bit_synthetic_volumes(tmp_path):
    generator = np.random.default_rng(0)
    lines = ["path,label"]
    for number in range(8):
        folder = tmp_path / "study" / f"s{number}"
        folder.mkdir(parents=True)
        for position in range(8):
            pixels = 2000 + 50 * position + generator.integers(0, LEVELS, (10, 12))
            known = {"SeriesInstanceUID": f"1.2.3.{number}", "StudyInstanceUID": f"1.2.{number}", "BitsStored": 12,
                     "HighBit": 11, "Modality": "MR", "PatientID": str(number), "RescaleIntercept": None,
                     "RescaleSlope": None}  # fmt: skip
            write_slice(folder / f"{position}.dcm", pixels, (0, 0, 2.0 * position), **known)
        lines.append(f"s{number},{'ab'[number % 2]}")
    (tmp_path / "study" / "labels.csv").write_text("\n".join(lines))
    (tmp_path / "recipe.yaml").write_text(VOLUMES.replace("nifti_folder", "dicom_folder"))
    words = [f"--config={tmp_path}/recipe.yaml", f"--data-root={tmp_path}/study", f"--data.cache={tmp_path}/cache"]
    assert synthesize.main([*words, f"--out={tmp_path}/run", *SHORT]) == 0
    assert min(cached_levels(tmp_path / "cache", "image.bin")) > 256
    for file in synthetic_of(tmp_path / "run"):
        image = nibabel.load(file)
        assert image.get_data_dtype() == np.uint16
        assert len(np.unique(np.asarray(image.dataobj) % 257)) > 100
        assert image.header.get_zooms() == (0.25, 0.5, 2.0)
