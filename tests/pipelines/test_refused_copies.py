"""``synthesize`` deletes what is a near-copy of a training image, also a mirrored one, and nothing else."""

import numpy as np
import pytest
from PIL import Image

from meddiff.manifest.table import read_manifest
from meddiff.pipelines.synthesize import main
from tests.pipelines.small import arguments, draw

pytestmark = pytest.mark.slow  # a run of a few seconds


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workplace = tmp_path_factory.mktemp("refused")
    draw(workplace / "pictures", {"red": 24, "green": 24, "blue": 24})
    out = workplace / "run"
    pictures = workplace / "pictures"
    told = arguments(workplace, out, "--data-root", pictures, "--synthesis.refuse_copies", "true")
    assert main(told) == 0
    return told, pictures, out


def mirrored_training_image(pictures, out, number):
    row = [row for row in read_manifest(out / "manifest.csv", root=pictures) if row.split == "train"][number]
    picture = Image.open(row.image_file)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((16, 16), Image.Resampling.BICUBIC)
    return Image.fromarray(np.asarray(square)[:, ::-1])


def test_copies_are_deleted_and_the_others_stay(run, capsys):
    told, pictures, out = run
    before = read_manifest(out / "synthetic_manifest.csv")
    for number in (0, 3):
        mirrored_training_image(pictures, out, number).save(before[number].image_file)
    (out / "synthetic_manifest.csv").unlink()
    assert main(told) == 0
    assert (
        f"2 of {len(before)} synthetic images were near-copies of training images: deleted" in capsys.readouterr().out
    )
    after = [row.row_id for row in read_manifest(out / "synthetic_manifest.csv")]
    assert after == [row.row_id for number, row in enumerate(before) if number not in (0, 3)]
    assert [row.image_file.is_file() for row in before[:4]] == [False, True, True, False]


def test_a_model_that_draws_nothing_but_copies_is_refused(run, capsys):
    told, pictures, out = run
    assert main(told) == 0
    files = sorted((out / "synthetic").rglob("*.png"))
    for row in read_manifest(out / "synthetic_manifest.csv", check_files=False):
        mirrored_training_image(pictures, out, 1).save(row.image_file)
    for gone in (0, 3):
        place = files[0].with_name(f"{gone:05d}.png")
        mirrored_training_image(pictures, out, 1).save(place)
    (out / "synthetic_manifest.csv").unlink()
    assert main(told) == 2
    assert "are near-copies of training images: the model has memorized them" in capsys.readouterr().err
