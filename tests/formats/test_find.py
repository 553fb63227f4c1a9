"""What lies at a path is answered once: kinds, names, the files of each, and which of them are one case."""

import os

import nibabel
import numpy as np
import pytest
from PIL import Image

from meddiff.errors import InputError
from meddiff.files.walk import files_below, folders_below
from meddiff.formats import save_image
from meddiff.formats.find import channel_cases, find, join_channels, names_of
from meddiff.formats.open import stem_of
from tests.dicom_series import write_series


def volume(file, kind=nibabel.Nifti1Image):
    nibabel.save(kind(np.zeros((3, 4, 2), np.int16), np.eye(4)), file)


@pytest.fixture
def study(tmp_path):
    save_image(np.zeros((4, 5, 3), np.uint8), tmp_path / "1.2.png")
    (tmp_path / "x").mkdir()
    Image.new("RGB", (5, 4)).save(tmp_path / "x" / "a.tif")
    volume(tmp_path / "1.3.6.100.nii.gz")
    volume(tmp_path / "x" / "pair.img", nibabel.Nifti1Pair)
    write_series(tmp_path / "p" / "s")
    write_series(tmp_path / "q", SeriesInstanceUID="1.9", SeriesNumber=None)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.png").write_text("x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "a.png").write_text("x")
    return tmp_path


def test_every_file_is_in_one_answer(study):
    listed = find(study)
    assert [(one.name, one.kind, len(one.files)) for one in listed] == [
        ("1.2", "picture", 1),
        ("1.3.6.100", "volume", 1),
        ("p/s/series_7", "series", 4),
        ("q/series", "series", 4),
        ("x/a", "picture", 1),
        ("x/pair", "volume", 2),
        ("notes.txt", "other", 1),
    ]
    files = [file for one in listed for file in one.files]
    assert sorted(files) == files_below(study)
    assert all(one.read().shape for one in listed if one.kind in ("volume", "series"))


@pytest.mark.parametrize(("name", "stem"), [
    ("1.3.6.100.nii.gz", "1.3.6.100"), ("1.3.6.100.NII", "1.3.6.100"), ("a.b.png", "a.b"), ("a.b", "a.b"), ("a", "a"),
    ("a.nrrd", "a"), ("a.tar.gz", "a.tar.gz"), ("p1.mhd", "p1"), ("v1.2_mask.mgz", "v1.2_mask"), ("T1.img.gz", "T1"),
    (".nii.gz", ".nii.gz"), ("x.JPEG", "x"), ("1.0", "1.0"), ("slice.001.tiff", "slice.001"),
])  # fmt: skip
def test_only_known_suffixes_are_taken_off(name, stem):
    assert stem_of(name) == stem


def test_one_file_and_nothing(study):
    assert [one.name for one in find(study / "x" / "a.tif")] == ["a"]
    assert [one.name for one in find(study / "p" / "s")] == ["series_7"]
    with pytest.raises(InputError, match="no such file"):
        find(study / "nowhere")


def test_links_are_followed_once(study, tmp_path):
    (study / "x" / "back").symlink_to(study)
    (study / "linked").symlink_to(study / "p")
    (study / "broken.png").symlink_to(study / "nothing.png")
    listed = find(study)
    assert sum(one.kind == "series" for one in listed) == 2
    assert not [one for one in listed if "broken" in one.name]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everywhere")
def test_a_folder_that_may_not_be_read_is_named(study):
    (study / "p" / "s").chmod(0)
    for look in (find, files_below, folders_below):
        with pytest.raises(InputError, match=r"p/s cannot be read: Permission denied"):
            look(study)


@pytest.mark.parametrize("order", [1, -1])
def test_names_are_unique_and_do_not_depend_on_the_order(tmp_path, order):
    for name in ("a.png", "a.jpg", "b.png", "a.png.nii", "B.tif"):
        (tmp_path / name).write_text(name)
    images = find(tmp_path)[::order]
    names = {one.path.name: name for one, name in zip(images, names_of(images), strict=True)}
    assert (names["a.jpg"], names["b.png"], names["B.tif"]) == ("a.jpg", "b.png", "B.tif")
    assert len({name.casefold() for name in names.values()}) == 5
    taken = dict(zip(images, names_of(images, ["A.JPG"]), strict=True))
    assert "a.jpg" not in taken.values()


@pytest.mark.parametrize(("names", "cases"), [
    (["c_0000", "c_0001", "d_0000", "d_0001"], {"c", "d"}), (["c_0000"], set()), (["c_0001", "c_0002"], set()),
    (["c_0000", "c_0001", "c_0003"], set()), ([f"t_{n:04d}" for n in range(60)], set()), (["c_000", "c_001"], set()),
    (["x/c_0000", "y/c_0001"], set()), (["x/c_0000", "x/c_0001", "c"], {"x/c"}),
])  # fmt: skip
def test_the_channels_of_a_case(names, cases):
    assert set(channel_cases(names)) == cases


def test_channels_become_one_image_and_pictures_do_not(tmp_path):
    for name in ("c_0001", "c_0000", "single_0000"):
        volume(tmp_path / f"{name}.nii.gz")
    for name in ("frame_0000.png", "frame_0001.png"):
        save_image(np.zeros((4, 5), np.uint8), tmp_path / name)
    joined = join_channels(find(tmp_path))
    assert [one.name for one in joined] == ["c", "frame_0000", "frame_0001", "single_0000"]
    assert [file.name for file in joined[0].files] == ["c_0000.nii.gz", "c_0001.nii.gz"]
