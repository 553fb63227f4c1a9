"""Rows whose masks are SEG, RTSTRUCT or a file per class: in the cache, as slices, in the audit and by size."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddiff.audit.image_facts import facts_of
from meddiff.cache.image_array import decode
from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError
from meddiff.formats.masks import NameRules, masks_found, masks_of_rows, meaning_of
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.images.case import truth_of, volume_case
from meddiff.images.prepare import Transform, VolumeTransform, picture_classes
from meddiff.images.sizes import mask_mm3
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.table import read_manifest, write_manifest
from tests.formats.drawn_files import outline, rtstruct, seg
from tests.formats.test_drawn import series, shapes, truth

HEADER = "row_id,dataset,image_path,mask_path,slice_axis,slice_index,source\n"


def row_of(folder: Path, kind: str, at: str = ",") -> ManifestRow:
    image = series(folder / "image", "about two axes")
    if kind == "SEG":
        mask = seg(folder / "m.dcm", image, shapes(), axes="iJ", seed=3).name
    elif kind == "RTSTRUCT":
        mask = rtstruct(folder / "m.dcm", image, {name: outline(marked) for name, marked in shapes()}).name
    else:
        affine = load_volume(image).affine
        for name, marked in shapes():
            save_volume((marked * 255).astype(np.uint8), folder / f"{name}.nii.gz", affine=affine)
        mask = "disc.nii.gz=disc; cup.nii.gz = cup"
    (folder / "m.csv").write_text(f"{HEADER}r,own,image,{mask},{at},real\n")
    (row,) = read_manifest(folder / "m.csv")
    return row


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT", "files"])
def test_a_volume_and_its_mask(tmp_path, kind):
    row = row_of(tmp_path, kind)
    (case,) = cache_volumes([row], VolumeTransform(), with_masks=True, folder=tmp_path / "cache").cases
    counts = dict(case.counts)
    assert counts == {index: int((truth() == index).sum()) for index in range(3)}
    assert np.array_equal(truth_of(row, volume_case(row, VolumeTransform())), truth())
    facts = facts_of(row)
    assert (facts.mask_problem, facts.mask.share) == (None, pytest.approx((truth() > 0).mean()))
    voxel = abs(np.linalg.det(load_volume(row.image_file).affine[:3, :3]))
    assert mask_mm3(row) == pytest.approx((truth() > 0).sum() * voxel)
    write_manifest([row], tmp_path / "again.csv")
    (again,) = read_manifest(tmp_path / "again.csv")
    assert again.mask_parts == row.mask_parts


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT", "files"])
@pytest.mark.parametrize(("axis", "index"), [(2, 0), (2, 1), (0, 2), (1, 3)])
def test_a_slice_of_it(tmp_path, kind, axis, index):
    row = row_of(tmp_path, kind, f"{axis},{index}")
    expected = np.take(truth(), index, axis)
    assert np.array_equal(picture_classes(row, expected.shape), expected)
    assert len(masks_found(masks_of_rows([row])).levels[0].names) == 3, "its meaning is that of the whole volume"


def pictures(folder: Path, cup_size=(20, 24), **cells: str) -> list[ManifestRow]:
    disc, cup = np.zeros((20, 24), np.uint8), np.zeros(cup_size, np.uint8)
    disc[4:14, 5:16], cup[7:10, 8:12] = 255, 1
    for name in cells:
        noise = np.random.default_rng(len(name)).integers(0, 255, (20, 24)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
    Image.fromarray(disc).save(folder / "disc.png")
    Image.fromarray(cup).save(folder / "cup.png")
    lines = [f"{name},own,{name}.png,{cell},,,real\n" for name, cell in cells.items()]
    (folder / "m.csv").write_text(HEADER + "".join(lines))
    return read_manifest(folder / "m.csv")


def test_pictures_with_a_file_per_class(tmp_path):
    rows = pictures(tmp_path, a="disc.png=disc;cup.png=cup", b="disc.png=disc")
    with pytest.raises(InputError, match="'disc' and 'cup' share 12 voxels"):
        meaning_of(rows)
    with pytest.raises(InputError, match=r"disc\.png: it names no 'cup'"):
        meaning_of(rows, rules=NameRules("later"))
    meaning = meaning_of(rows, rules=NameRules("later", "empty"))
    array = decode(rows, Transform(24, "stretch", with_masks=True, meaning=meaning), folder=tmp_path / "cache")
    assert [set(np.unique(one.mask)) for one in array] == [{0, 1, 2}, {0, 1}]
    (tmp_path / "cup.png").unlink()
    with pytest.raises(InputError, match=r"file does not exist: line 2: .*cup\.png"):
        read_manifest(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("cell", "size", "said"),
    [
        (
            "disc.png=disc;cup.png=cup",
            (20, 25),
            "cup is 25 x 20 pixels, and what else was drawn .* is 24 x 20",
        ),
        ("disc.png;cup.png", (20, 24), "of several masks say which class each is: a.png=disc;b.png=cup"),
        ("disc.png=disc;cup.png=disc", (20, 24), "'disc' and 'disc' share 12 voxels.*Masks of several raters"),
        ("a.png=disc;cup.png=cup", (20, 24), "could be classes or soft edges|it holds two values"),
    ],
)
def test_files_that_are_no_classes_of_one_image(tmp_path, cell, size, said):
    with pytest.raises(InputError, match=said):
        meaning_of(pictures(tmp_path, size, a=cell))
