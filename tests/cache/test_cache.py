"""The cache: the right pixels, decoded once, whole or not at all, whoever builds it and whatever is killed."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddiff.cache import image_array as cache
from meddiff.cache.image_array import decode
from meddiff.errors import InputError
from meddiff.formats import save_image
from meddiff.images.prepare import PLAIN, Transform, prepare
from meddiff.images.views import upright
from tests.manifest.rows import draw_pictures, example_row


class Counted:
    """A progress bar that counts how often and how far it ran."""

    def __init__(self):
        self.builds, self.images = 0, 0

    def __call__(self, items, total):
        self.builds += 1
        for item in items:
            self.images += 1
            yield item
        assert self.images == total * self.builds


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "pictures").mkdir()
    return draw_pictures(tmp_path / "pictures", masks=True)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "cache"


def array_folder(home: Path) -> Path:
    (folder,) = (path for path in home.iterdir() if path.is_dir())
    return folder


def test_the_array_holds_what_prepare_makes_of_each_row(pictures, home):
    array = decode(pictures, Transform(8, with_masks=True), folder=home)
    transform = Transform(8, "crop", 3, True, False)
    assert array.images.shape == (6, 3, 8, 8)
    assert array.masks is not None
    assert array.masks.shape == (6, 1, 8, 8)
    assert array.rows == tuple(pictures)
    assert array.skipped == ()
    for index in (5, 0, 3):
        image, mask = prepare(pictures[index], transform)
        assert np.array_equal(array.images[index], image)
        assert mask is not None
        assert np.array_equal(array.masks[index], mask)


def test_images_are_decoded_once(pictures, home):
    bar = Counted()
    first = decode(pictures, Transform(8), folder=home, progress=bar)
    again = decode(pictures, Transform(8), folder=str(home), progress=bar)
    assert (bar.builds, bar.images) == (1, 6)
    assert isinstance(again.images, np.memmap)
    assert np.array_equal(first.images, again.images)


def test_what_decides_the_pixels_decides_the_array(pictures, home):
    decode(pictures, Transform(8), folder=home)
    for options in (
        {"image_size": 9},
        {"image_size": 8, "fit": "pad"},
        {"image_size": 8, "channels": 1},
        {"image_size": 8, "with_masks": True},
    ):
        bar = Counted()
        decode(pictures, Transform(**options), folder=home, progress=bar)
        assert bar.builds == 1, options
    bar = Counted()
    assert np.array_equal(
        decode(pictures[::-1], Transform(8), folder=home, progress=bar).images,
        decode(pictures, Transform(8), folder=home).images[::-1],
    )
    assert bar.builds == 1


def test_a_changed_file_is_decoded_anew_and_a_moved_one_is_not(pictures, home, tmp_path):
    before = np.array(decode(pictures, Transform(8), folder=home).images)
    shutil.copytree(tmp_path / "pictures", tmp_path / "moved")
    moved = [replace(row, root=tmp_path / "moved", label="other") for row in pictures]
    bar = Counted()
    array = decode(moved, Transform(8), folder=home, progress=bar)
    assert bar.builds == 0
    assert array.rows == tuple(moved)
    Image.fromarray(np.full((20, 30, 3), 7, dtype=np.uint8)).save(moved[2].image_file)
    after = decode(moved, Transform(8), folder=home, progress=bar).images
    assert bar.builds == 1
    assert (after[2] == 7).all()
    assert np.array_equal(np.delete(after, 2, axis=0), np.delete(before, 2, axis=0))


def test_bad_files_stop_together_and_are_skipped_when_allowed(pictures, home):
    pictures[1].image_file.write_bytes(pictures[1].image_file.read_bytes()[:200])
    pictures[4].image_file.write_bytes(b"")
    bar = Counted()
    with pytest.raises(InputError) as caught:
        decode(pictures, Transform(8), folder=home, progress=bar)
    message = str(caught.value)
    assert message.startswith("2 of 6 images cannot be used")
    assert str(pictures[1].image_file) in message
    assert str(pictures[4].image_file) in message
    assert "--data.on_bad_file skip" in message
    array = decode(pictures, Transform(8), on_bad_file="skip", folder=home, progress=bar)
    assert bar.builds == 1  # nothing is lost by the refusal
    assert array.images.shape[0] == 4
    assert [row.row_id for row in array.rows] == ["0", "2", "3", "5"]
    assert [row.row_id for row, _ in array.skipped] == ["1", "4"]
    assert "0 bytes" in array.skipped[1][1]
    with pytest.raises(InputError, match="2 of 6"):
        decode(pictures, Transform(8), folder=home)


def test_a_disk_that_failed_for_a_moment_hides_no_image(pictures, home, monkeypatch):
    def flaky(row, transform):
        if row.row_id == "2":
            raise InputError("the disk is tired")
        return prepare(row, transform)

    monkeypatch.setattr(cache, "prepare", flaky)
    assert len(decode(pictures, Transform(8), on_bad_file="skip", folder=home).rows) == 5
    monkeypatch.undo()
    array = decode(pictures, Transform(8), on_bad_file="skip", folder=home)
    assert len(array.rows) == len(array.images) == 6
    assert array.skipped == ()


def test_no_readable_image_is_an_error_even_if_bad_files_are_skipped(home):
    with pytest.raises(InputError, match=r"(?s)1 of 1 images.*no such file.*--data-root"):
        decode([example_row("gone")], Transform(8), on_bad_file="skip", folder=home)
    with pytest.raises(InputError, match="no image to decode"):
        decode([], Transform(8), folder=home)
    with pytest.raises(ValueError, match="'perhaps'"):
        decode([example_row()], Transform(8), on_bad_file="perhaps", folder=home)


def test_a_mask_of_another_size_names_both_files_and_sizes(pictures, home):
    Image.new("L", (29, 20)).save(pictures[0].mask_file)
    with pytest.raises(InputError) as caught:
        decode(pictures, Transform(8, with_masks=True), folder=home)
    for part in (str(pictures[0].image_file), str(pictures[0].mask_file), "29 x 20", "30 x 20"):
        assert part in str(caught.value)


def test_a_missing_mask_is_named(pictures, home):
    with pytest.raises(InputError, match="row '0' has no mask"):
        decode([replace(pictures[0], mask_path=None), *pictures[1:]], Transform(8, with_masks=True), folder=home)


def test_a_file_that_is_not_the_one_of_the_manifest(pictures, home):
    with pytest.raises(InputError, match="not the one of the manifest"):
        decode([replace(pictures[0], sha256="0" * 64), *pictures[1:]], Transform(8), folder=home)


@pytest.mark.parametrize("damage", ["cut", "long", "gone", "no index", "bad index", "other index"])
def test_a_damaged_array_is_built_again(pictures, home, damage):
    before = np.array(decode(pictures, Transform(8), folder=home).images)
    images, index = array_folder(home) / "images.bin", array_folder(home) / "index.json"
    if damage == "cut":
        os.truncate(images, 100)
    elif damage == "long":
        images.write_bytes(images.read_bytes() + b"x")
    elif damage == "gone":
        images.unlink()
    elif damage == "no index":
        index.unlink()
    else:
        index.write_text("{" if damage == "bad index" else json.dumps({"bad": [99]}))
    bar = Counted()
    assert np.array_equal(decode(pictures, Transform(8), folder=home, progress=bar).images, before)
    assert bar.builds == 1


def test_deep_files_make_a_deep_array(tmp_path, home):
    scan = (np.arange(64, dtype=np.uint16) * 19).reshape(8, 8)
    save_image(scan, tmp_path / "scan.png")
    save_image(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4, tmp_path / "photo.png")
    save_image(scan, tmp_path / "drawn.png")
    rows = [
        example_row("scan", root=tmp_path),
        example_row("photo", root=tmp_path),
        example_row("drawn", root=tmp_path, source="synthetic"),
    ]
    images = decode(rows, Transform(8, channels=1), folder=home).images[:, 0]
    assert images.dtype == np.uint16
    # a scan is spread over the range by its own percentiles, a photograph has 0 to 255, the model's pictures stay
    assert (images[0].min(), images[0].max()) == (0, 65535)
    assert np.abs(images[0].astype(float) - scan / scan.max() * 65535).max() < 150
    assert np.array_equal(images[1], np.arange(64, dtype=np.uint16).reshape(8, 8) * 4 * 257)
    assert np.array_equal(images[2], scan)
    assert decode(rows[1:2], Transform(8), folder=home).images.dtype == np.uint8


@pytest.mark.parametrize(
    ("slices", "shown"),  # the middle of nine pixels lies between two places of eight
    [(None, lambda plane: plane[:, :8] + plane[:, 1:]), (PLAIN, lambda plane: upright(plane)[:8] + upright(plane)[1:])],
)
def test_slices_of_a_volume(tmp_path, home, slices, shown):
    volume = np.random.default_rng(0).random((8, 9, 10), dtype=np.float32)
    save_image(volume, tmp_path / "v.nii.gz")
    rows = [example_row(str(k), root=tmp_path, image_path="v.nii.gz", slice_axis=2, slice_index=k) for k in range(10)]
    images = decode(rows, Transform(8, channels=1, slices=slices), folder=home).images[:, 0]
    for k in range(10):
        assert np.corrcoef(images[k].ravel(), shown(volume[:, :, k]).ravel())[0, 1] > 0.9
    assert len({images[k].tobytes() for k in range(10)}) == 10


def test_an_even_picture_is_black(tmp_path, home):
    save_image(np.full((8, 8), 900, dtype=np.uint16), tmp_path / "a.png")
    assert not decode([example_row("a", root=tmp_path)], Transform(8), folder=home).images.any()


def test_few_results_wait_however_long_the_list(monkeypatch):
    pulled = []

    def endless():
        for number in range(10_000):
            pulled.append(number)
            yield number

    results = cache._in_order(lambda number: number, endless())
    workers = cache._workers()
    for expected in range(50):
        assert next(results) == expected
        assert len(pulled) <= expected + 2 + 4 * workers
    results.close()


def test_a_cache_that_cannot_be_written_is_told(pictures, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written.*--data\.cache"):
        decode(pictures, Transform(8), folder=tmp_path / "file")

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"the disk is full.*--data\.cache"):
        decode(pictures, Transform(8), folder=tmp_path / "full")
    assert [path for path in (tmp_path / "full").iterdir() if path.is_dir()] == []


def test_the_users_cache_folder(monkeypatch, tmp_path, pictures):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    decode(pictures, Transform(8))
    assert (tmp_path / "xdg" / "meddiff").is_dir()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache.default_folder() == tmp_path / ".cache" / "meddiff"


def build(rows, home, barrier, results):
    """In another process: build, and tell whether it was this one that decoded."""
    bar = Counted()
    barrier.wait()
    array = decode(rows, Transform(8), folder=home, progress=bar)
    results.put((bar.builds, array.images.tobytes()))


def test_processes_that_need_the_same_array_build_it_once(pictures, home):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=build, args=(pictures, home, barrier, results)) for _ in range(3)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(builds for builds, _ in found) == [0, 0, 1]
    assert len({images for _, images in found}) == 1
    assert not list(home.glob(".*"))


def build_slowly(rows, home):
    def slow(items, _total):
        for item in items:
            time.sleep(0.2)
            yield item

    decode(rows, Transform(8), folder=home, progress=slow)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_a_killed_build_leaves_no_half_array(pictures, home):
    process = multiprocessing.get_context("spawn").Process(target=build_slowly, args=(pictures, home))
    process.start()
    deadline = time.monotonic() + 60
    while not list(home.glob(".*/images.bin")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not [path for path in home.iterdir() if path.is_dir() and not path.name.startswith(".")]
    array = decode(pictures, Transform(8), folder=home)
    assert array.images.shape == (6, 3, 8, 8)
    assert not list(home.glob(".*"))


def test_an_interrupted_build_leaves_nothing(pictures, home):
    def interrupted(items, _total):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode(pictures, Transform(8), folder=home, progress=interrupted)
    assert not [path for path in home.iterdir() if path.is_dir()]


@pytest.mark.real_data
def test_real_photographs_and_masks(real_data, home):
    root = real_data / "HAM10000"
    names = sorted(path.stem for path in (root / "HAM10000_images_part_1").glob("*.jpg"))[:20]
    rows = [
        example_row(
            name,
            root=root,
            image_path=f"HAM10000_images_part_1/{name}.jpg",
            mask_path=f"HAM10000_segmentations_lesion_tschandl/{name}_segmentation.png",
        )
        for name in names
    ]
    array = decode(rows, Transform(64, with_masks=True), folder=home)
    assert array.masks is not None
    assert set(np.unique(array.masks)) == {0, 1}
    luminance = array.images.mean(axis=1, keepdims=True)
    darker = [luminance[k][array.masks[k] == 1].mean() < luminance[k][array.masks[k] == 0].mean() for k in range(20)]
    assert np.mean(darker) > 0.9  # lesions are darker than skin: the masks lie where the lesions are


@pytest.mark.real_data
def test_real_damaged_files_are_listed_and_skipped(real_data, home, tmp_path):
    broken = sorted((real_data / "broken-images" / "ISIC2018_Task1-2_Validation_Input").iterdir())
    rows = [example_row(path.stem, root=path.parent, image_path=path.name) for path in broken]
    rows += draw_pictures(tmp_path, 2)
    with pytest.raises(InputError, match=f"{len(broken)} of {len(rows)} images"):
        decode(rows, Transform(16), folder=home)
    array = decode(rows, Transform(16), folder=home, on_bad_file="skip")
    assert len(array.rows) == 2
    assert [row.row_id for row, _ in array.skipped] == [path.stem for path in broken]
