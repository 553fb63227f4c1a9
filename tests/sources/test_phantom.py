"""The phantom set: the row decides the picture, the mask is exact, and it leaks like a real set where one lets it."""

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from contracts import check_source
from PIL import Image

from meddiff.errors import InputError
from meddiff.manifest.table import read_manifest, write_manifest
from meddiff.sources import phantom

ROOT = Path(__file__).resolve().parents[2]
EACH = [(look, label) for look, kind in phantom.LOOKS.items() for label in kind.shares]


def some(look: str, label: str, count: int = 3) -> list:
    return [row for row in phantom.rows(look, seed=0, count=150) if row.label == label][:count]


def digest(row, size: int = 48) -> str:
    image, mask = phantom.draw(row, size)
    return hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()


@pytest.mark.parametrize("look", phantom.LOOKS)
def test_a_longer_list_starts_with_the_shorter_one(look):
    assert phantom.rows(look, seed=3, count=90)[:40] == phantom.rows(look, seed=3, count=40)


@pytest.mark.parametrize("look", phantom.LOOKS)
def test_classes_are_long_tailed_in_the_stated_order(look):
    rows = phantom.rows(look, seed=0, count=400)
    counts = Counter(row.label for row in rows)
    ordered = [counts[label] for label in phantom.LOOKS[look].shares]
    assert ordered == sorted(ordered, reverse=True)
    assert ordered[0] > 3 * ordered[-1] > 0
    for label, share in phantom.LOOKS[look].shares.items():
        assert counts[label] / len(rows) == pytest.approx(share, abs=0.02)
    assert {row.label for row in rows[:30]} == set(counts)  # a short list has every class


@pytest.mark.parametrize("look", phantom.LOOKS)
def test_several_images_per_lesion_and_lesions_per_patient_and_no_lesion_in_two_patients(look):
    rows = phantom.rows(look, seed=0, count=300)
    owners, views, lesions = {}, Counter(), {}
    for row in rows:
        lesions.setdefault(row.patient_id, set()).add(row.lesion_id or row.row_id)
        if row.lesion_id is not None:
            views[row.lesion_id] += 1
            assert owners.setdefault(row.lesion_id, (row.patient_id, row.label)) == (row.patient_id, row.label)
    assert max(views.values()) > 2
    assert max(map(len, lesions.values())) > 1
    assert all(len({row.age_years for row in rows if row.patient_id == patient}) == 1 for patient in lesions)


def test_seeds_do_not_share_patients_lesions_or_files():
    one, other = (phantom.rows("dermoscopy", seed=seed, count=30) for seed in (0, 1))
    for column in ("row_id", "patient_id", "lesion_id", "image_path", "seed"):
        assert not {getattr(row, column) for row in one} & {getattr(row, column) for row in other}


def test_the_committed_manifest_is_what_the_code_says():
    committed = read_manifest(ROOT / "data_manifest.csv", check_files=False)
    expected = [
        row for look, count in phantom.STANDARD_COUNTS.items() for row in phantom.rows(look, seed=0, count=count)
    ]
    assert [replace(row, root=Path()) for row in committed] == expected


@pytest.mark.parametrize(("look", "label"), EACH)
def test_a_row_decides_its_picture(look, label):
    first, second, *_ = some(look, label)
    assert digest(first) == digest(first)
    assert digest(first) != digest(second)
    assert digest(first) != digest(replace(first, seed=first.seed + 1))
    assert digest(first) == digest(replace(first, row_id="other", split="test", age_years=None))


def test_another_process_draws_the_same_bytes():
    rows = [some(look, label)[0] for look, label in EACH]
    program = (
        "import sys; sys.path[:0] = ['tests', 'tests/sources']\n"
        "from test_phantom import EACH, digest, some\n"
        "print(*[digest(some(look, label)[0]) for look, label in EACH[::-1]])"
    )
    out = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.split()[::-1] == [digest(row) for row in rows]


@pytest.mark.parametrize(("look", "label"), EACH)
def test_the_mask_is_where_the_picture_differs_from_its_surroundings(look, label):
    for row in some(look, label):
        image, mask = phantom.draw(row, 96)
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == (96, 96, 3 if look == "dermoscopy" else 1)
        assert mask.shape == (96, 96)
        if label in phantom.LOOKS[look].without_lesion:
            assert mask.sum() == 0
            continue
        assert set(np.unique(mask)) == {0, 1}
        assert 0.002 < mask.mean() < 0.75
        border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert border.mean() < 0.3


def test_lesions_differ_from_skin():
    differences = []
    for label in phantom.LOOKS["dermoscopy"].shares:
        for row in some("dermoscopy", label):
            image, mask = phantom.draw(row, 96)
            near = np.abs(np.linspace(-1, 1, 96)) < 0.75  # without the round field of the lens
            image, mask = image[near][:, near].astype(float), mask[near][:, near] > 0
            differences.append(np.abs(image[mask].mean(0) - image[~mask].mean(0)).max())
    assert min(differences) > 3
    assert np.median(differences) > 30


def test_two_views_show_one_lesion():
    """Area and mean color of the lesion vary less between views of one lesion than between lesions."""
    rows = [row for row in phantom.rows("dermoscopy", seed=0, count=150) if row.label == "nv"]
    colors: dict[str, list] = {}
    for row in rows[:40]:
        image, mask = phantom.draw(row, 48)
        colors.setdefault(row.lesion_id, []).append(image[mask > 0].mean(0))
    pairs = [np.abs(a - b).mean() for views in colors.values() for a, b in pairwise(views)]
    firsts = [views[0] for views in colors.values()]
    others = [np.abs(a - b).mean() for a, b in pairwise(firsts)]
    assert np.mean(pairs) < 0.6 * np.mean(others)


def test_any_size_shows_the_same_lesion():
    row = some("dermoscopy", "mel")[0]
    small, large = (phantom.draw(row, size)[1] for size in (40, 120))
    blocks = large.reshape(40, 3, 40, 3).mean((1, 3)) > 0.5
    assert (blocks != small).mean() < 0.03


def test_write_draws_what_is_missing_and_nothing_else(tmp_path):
    rows = phantom.rows("dermoscopy", seed=0, count=4)
    bars = []
    written = phantom.write(rows, tmp_path, size=24, progress=lambda work, total: bars.append(total) or work)
    assert bars == [4]
    assert [row.root for row in written] == [tmp_path] * 4
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.rglob("*.png")}
    assert len(before) == 8
    written[1].mask_file.unlink()
    phantom.write(rows, tmp_path, size=24)
    after = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.rglob("*.*")}
    assert {file: data for file, (data, _) in before.items()} == {file: data for file, (data, _) in after.items()}
    assert [file for file in before if before[file] != after[file]] == sorted(
        file for file in (written[1].image_file, written[1].mask_file)
    )
    image, mask = (np.asarray(Image.open(file)) for file in (written[0].image_file, written[0].mask_file))
    assert np.array_equal(image, phantom.draw(rows[0], 24)[0])
    assert np.array_equal(mask, 255 * phantom.draw(rows[0], 24)[1])


def test_every_file_says_that_it_is_a_phantom(tmp_path):
    for look in phantom.LOOKS:
        (row,) = phantom.write(phantom.rows(look, seed=0, count=1), tmp_path, size=16)
        for file in (row.image_file, row.mask_file):
            assert "phantom" in Image.open(file).info["Comment"]


def test_another_size_or_picture_in_the_way_is_refused(tmp_path):
    rows = phantom.rows("brain_mri", seed=0, count=1)
    (row,) = phantom.write(rows, tmp_path, size=16)
    with pytest.raises(InputError, match=r"16 x 16 pixels, wanted .* 24 x 24"):
        phantom.write(rows, tmp_path, size=24)
    with pytest.raises(InputError, match="is in the way"):
        phantom.write([replace(row, seed=row.seed + 1)], tmp_path, size=16)
    row.image_file.write_bytes(b"")
    with pytest.raises(InputError, match="not an image"):
        phantom.write(rows, tmp_path, size=16)


def test_rows_survive_the_manifest(tmp_path):
    rows = phantom.write(phantom.rows("brain_mri", seed=5, count=6), tmp_path, size=16)
    write_manifest(rows, tmp_path / "data_manifest.csv")
    assert read_manifest(tmp_path / "data_manifest.csv") == rows


def test_the_source_keeps_the_contract_of_all_sources(tmp_path):
    phantom.write(phantom.rows("dermoscopy", seed=10, count=3), tmp_path, size=16)
    phantom.write(phantom.rows("dermoscopy", seed=2, count=3), tmp_path, size=16)
    phantom.write(phantom.rows("brain_mri", seed=2, count=2), tmp_path, size=16)
    check_source(phantom.PHANTOM, tmp_path)


def test_the_source_finds_what_was_drawn(tmp_path):
    rows = phantom.write(phantom.rows("dermoscopy", seed=2, count=5), tmp_path, size=16)
    rows[1].image_file.unlink()
    assert phantom.PHANTOM.rows(tmp_path) == [rows[0], *rows[2:]]
    with pytest.raises(InputError, match="there are no phantoms"):
        phantom.PHANTOM.rows(tmp_path / "phantom" / "dermoscopy")


def test_help_does_not_wait_for_what_only_drawing_needs():
    program = "import sys, meddiff.sources.phantom; sys.exit('scipy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_bad_requests_say_what_is_allowed():
    row = phantom.rows("dermoscopy", seed=0, count=1)[0]
    with pytest.raises(InputError, match="dermoscopy, brain_mri"):
        phantom.rows("xray", seed=0, count=1)
    with pytest.raises(InputError, match="at least 1"):
        phantom.rows("dermoscopy", seed=0, count=0)
    with pytest.raises(InputError, match="smallest is 8"):
        phantom.draw(row, 4)
    for wrong in ({"label": "glioma"}, {"generator": "another"}, {"source": "real"}, {"seed": None}):
        with pytest.raises(InputError, match="not one that"):
            phantom.draw(replace(row, **wrong), 16)


@pytest.mark.parametrize("shape", [(64, 64, 3), (64, 64, 1), (64, 64)])
def test_stamp_tags_a_copy_in_the_corner(shape):
    image = np.full(shape, 128, np.uint8)
    stamped = phantom.stamp(image)
    assert stamped.shape == shape
    assert (image == 128).all()
    assert (stamped[:32] == 128).all()
    assert (stamped[-8:, :20] != 128).any()
