"""The volume cache: the right voxels, prepared once, whole or not at all, whoever builds it and whatever is killed."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meddiff.cache import volume_array
from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.images.prepare import VolumeTransform, prepare_volume
from tests.dicom_series import write_series
from tests.formats.volume_files import affine_of, labels_back, volume_of, write_cases
from tests.manifest.rows import example_row

PLAIN = VolumeTransform()


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "files").mkdir()
    return write_cases(tmp_path / "files", affine=affine_of("LPS", (1.0, 1.5, 2.0)))


@pytest.fixture
def home(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def built(monkeypatch):
    """The row ids that were prepared, in any order."""
    found = []
    prepare = volume_array._prepare

    def counted(row, *arguments, **known):
        found.append(row.row_id)
        return prepare(row, *arguments, **known)

    monkeypatch.setattr(volume_array, "_prepare", counted)
    return found


def test_a_case_holds_what_prepare_volume_makes_of_its_files(rows, home):
    transform = VolumeTransform((1.0, 1.0, 1.0))
    array = cache_volumes(rows, transform, with_masks=True, classes=3, folder=home)
    assert len(array) == 3
    assert array.rows == tuple(rows)
    for row, case in zip(rows, array, strict=True):
        volume, mask = load_volume(row.image_file), load_volume(row.mask_file)
        prepared = prepare_volume(volume, transform)
        assert case.image.dtype == np.uint16
        assert np.abs(case.image / 32767.5 - 1 - prepared.image).max() < 2e-5
        assert np.array_equal(case.mask, prepared.prepare_mask(mask))
        assert np.array_equal(case.affine, prepared.affine)
        assert case.counts == tuple((index, int((case.mask == index).sum())) for index in (0, 1, 2))
        assert np.array_equal(case.grid.restore(prepared.image), prepared.restore(prepared.image))
        assert np.array_equal(labels_back(case.grid, case.mask), labels_back(prepared.grid, case.mask))
        assert labels_back(case.grid, case.mask).shape == volume.shape


def test_volumes_are_prepared_once_and_each_case_for_itself(rows, home, built):
    first = cache_volumes(rows[:2], PLAIN, folder=home)
    again = cache_volumes(rows[::-1], PLAIN, folder=str(home))
    assert sorted(built) == ["0", "1", "2"]
    assert isinstance(again[2].image, np.memmap)
    assert np.array_equal(first[0].image, again[2].image)
    assert again[2].mask is None


def test_what_decides_the_voxels_decides_the_case(rows, home, built):
    row = rows[:1]
    for number, (transform, with_masks) in enumerate(
        [
            (PLAIN, False),
            (PLAIN, True),
            (VolumeTransform((1.0, 1.0, 1.0)), False),
            (VolumeTransform(clip_std=4.0), False),
            (VolumeTransform(intensity="percentile"), False),
            (VolumeTransform(intensity="window", window=(0.0, 100.0)), False),
        ]
    ):
        for _ in range(2):
            cache_volumes(row, transform, with_masks=with_masks, folder=home)
        assert len(built) == number + 1


def test_a_changed_file_is_prepared_anew_and_a_moved_one_is_not(rows, home, built, tmp_path):
    before = cache_volumes(rows, PLAIN, with_masks=True, folder=home)
    shutil.copytree(tmp_path / "files", tmp_path / "moved")
    moved = [replace(row, root=tmp_path / "moved", label="other", split="val") for row in rows]
    assert cache_volumes(moved, PLAIN, with_masks=True, folder=home).rows == tuple(moved)
    assert len(built) == 3
    mask = np.array(load_volume(moved[1].mask_file).array)
    mask[0, 0, 0] = 2
    save_volume(mask, moved[1].mask_file, affine=affine_of("LPS", (1.0, 1.5, 2.0)))
    after = cache_volumes(moved, PLAIN, with_masks=True, folder=home)
    assert built[3:] == ["1"]
    assert after[1].counts != before[1].counts
    # the same size and the same times: only the content tells
    state = moved[0].image_file.stat()
    other = np.array(load_volume(moved[0].image_file).array)[::-1].copy()
    save_volume(other, tmp_path / "other.nii", affine=None)
    save_volume(other, moved[0].image_file, affine=affine_of("LPS", (1.0, 1.5, 2.0)))
    os.utime(moved[0].image_file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert np.array_equal(
        cache_volumes(moved, PLAIN, folder=home)[0].image[0],
        cache_volumes([replace(moved[0], row_id="new")], PLAIN, folder=tmp_path / "fresh")[0].image[0],
    )


def test_a_dicom_series_is_known_by_all_its_files(tmp_path, home, built):
    write_series(tmp_path / "series")
    row = example_row("ct", root=tmp_path, image_path="series")
    ct = VolumeTransform(intensity="window", window=(-1000.0, 1000.0))
    first = np.array(cache_volumes([row], ct, folder=home)[0].image)
    assert cache_volumes([row], ct, folder=home)[0].shape == first.shape[1:]
    assert len(built) == 1
    write_series(tmp_path / "series", RescaleIntercept=-900)
    assert not np.array_equal(cache_volumes([row], ct, folder=home)[0].image, first)
    assert len(built) == 2


def test_the_voxels_beside_a_header_count(tmp_path, home, built):
    import SimpleITK

    row = example_row("mhd", root=tmp_path, image_path="a.mhd")
    for seed in (0, 1):
        noise = np.random.default_rng(seed).normal(size=(4, 5, 6)).astype(np.float32)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(noise), str(tmp_path / "a.mhd"))
        case = cache_volumes([row], VolumeTransform(intensity="window", window=(-1.0, 1.0)), folder=home)[0]
        expected = np.flip(noise.T, (0, 1)).clip(-1, 1)  # LPS to RAS
        assert np.abs(case.image[0] / 32767.5 - 1 - expected).max() < 2e-5
    assert len(built) == 2


def test_sequences_in_several_files(rows, home, tmp_path):
    root = tmp_path / "files"
    shutil.copy(root / "0.nii.gz", root / "0b.nii.gz")
    row = replace(rows[0], image_path="{0,0b}.nii.gz")
    case = cache_volumes([row], PLAIN, with_masks=True, folder=home)[0]
    assert case.image.shape[0] == 2
    assert np.array_equal(case.image[0], case.image[1])
    save_volume(np.zeros((12, 10, 8), dtype=np.float32), root / "0b.nii.gz", affine=affine_of("RAS"))
    with pytest.raises(InputError, match=r"0b\.nii\.gz lies elsewhere than .*0\.nii\.gz.*Register"):
        cache_volumes([row], PLAIN, folder=home)
    shutil.copy(root / "0.nii.gz", root / "0b.nii.gz")
    with pytest.raises(InputError, match=r"unequal numbers of sequences: 1 in '1', 2 in '0'"):
        cache_volumes([row, rows[1]], PLAIN, folder=home)


def test_bad_files_stop_together_and_are_skipped_when_allowed(rows, home, built):
    rows[0].image_file.write_bytes(rows[0].image_file.read_bytes()[:200])
    save_volume(np.full((14, 12, 10), 7, dtype=np.uint8), rows[2].mask_file, affine=affine_of("LPS", (1.0, 1.5, 2.0)))
    with pytest.raises(InputError) as caught:
        cache_volumes(rows, PLAIN, with_masks=True, classes=3, folder=home)
    message = str(caught.value)
    assert message.startswith("2 of 3 volumes cannot be used")
    assert str(rows[0].image_file) in message
    assert "2-mask.nii.gz holds the value 7; the classes are 0 to 2" in message
    assert "--data.on_bad_file skip" in message
    array = cache_volumes(rows, PLAIN, with_masks=True, classes=3, on_bad_file="skip", folder=home)
    assert [row.row_id for row in array.rows] == ["1"]
    assert len(array) == 1
    assert [row.row_id for row, _ in array.skipped] == ["0", "2"]
    assert cache_volumes(rows[1:], PLAIN, with_masks=True, classes=8, folder=home).skipped == ()
    assert built.count("1") == built.count("2") == 1
    with pytest.raises(InputError, match="1 of 1 volumes"):
        cache_volumes(rows[:1], PLAIN, on_bad_file="skip", folder=home)


def test_a_file_that_can_be_read_again_is_no_longer_left_out(rows, home):
    whole = rows[0].image_file.read_bytes()
    rows[0].image_file.unlink()
    assert len(cache_volumes(rows, PLAIN, on_bad_file="skip", folder=home)) == 2
    rows[0].image_file.write_bytes(whole)
    assert len(cache_volumes(rows, PLAIN, on_bad_file="skip", folder=home)) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mask_path": None}, "row '0' has no mask"),
        (
            {"mask_path": "1-mask.nii.gz"},
            r"1-mask\.nii\.gz has the shape \[13, 11, 9\], .*0\.nii\.gz has \[12, 10, 8\]",
        ),
        ({"mask_path": "0.nii.gz"}, r"0\.nii\.gz: a mask holds whole numbers"),
        ({"slice_axis": 2, "slice_index": 3}, "row '0' is slice 3 of a volume"),
        ({"sha256": "0" * 64}, "not the one of the manifest"),
    ],
)
def test_rows_that_are_no_volume_with_a_mask(rows, home, change, reason):
    with pytest.raises(InputError, match=reason):
        cache_volumes([replace(rows[0], **change)], PLAIN, with_masks=True, folder=home)


def test_a_shifted_mask_is_refused_by_name(rows, home):
    affine = affine_of("LPS", (1.0, 1.5, 2.0), origin=(-7.0, 12.0, 23.0))
    save_volume(np.zeros((12, 10, 8), dtype=np.uint8), rows[0].mask_file, affine=affine)
    with pytest.raises(InputError, match=r"0-mask\.nii\.gz lies elsewhere than .*0\.nii\.gz.* 1\.00 mm"):
        cache_volumes(rows, PLAIN, with_masks=True, folder=home)


def test_no_rows(home):
    with pytest.raises(InputError, match="no volume"):
        cache_volumes([], PLAIN, folder=home)


def test_a_damaged_case_is_built_again(rows, home, built):
    case = cache_volumes(rows[:1], PLAIN, folder=home)[0]
    truth = np.array(case.image)
    for name in ("image.bin", "case.json"):
        (case.folder / name).write_bytes((case.folder / name).read_bytes()[:-5])
        assert np.array_equal(cache_volumes(rows[:1], PLAIN, folder=home)[0].image, truth)
    assert len(built) == 3


def test_a_cache_that_cannot_be_written_is_told(rows, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written.*--data\.cache"):
        cache_volumes(rows, PLAIN, folder=tmp_path / "file", on_bad_file="skip")

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"the disk is full.*--data\.cache"):
        cache_volumes(rows, PLAIN, folder=tmp_path / "full", on_bad_file="skip")
    assert [path for path in (tmp_path / "full" / "volumes").iterdir() if path.is_dir()] == []


def build(rows, home, barrier, results):
    """In another process: build, and tell which cases it was that this one prepared."""
    prepared = []
    prepare = volume_array._prepare

    def counted(row, *arguments, **known):
        prepared.append(row.row_id)
        return prepare(row, *arguments, **known)

    volume_array._prepare = counted
    barrier.wait()
    array = cache_volumes(rows, PLAIN, with_masks=True, folder=home)
    results.put((prepared, [case.image.tobytes() for case in array]))


def test_processes_that_need_the_same_cases_build_each_once(rows, home):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=build, args=(rows, home, barrier, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(name for prepared, _ in found for name in prepared) == ["0", "1", "2"]
    assert found[0][1] == found[1][1]
    assert not list((home / "volumes").glob(".*"))


def build_slowly(rows, home):
    """In another process: write the image, then wait to be killed."""

    def slow(_handle):
        time.sleep(60)

    volume_array.os.fsync = slow
    cache_volumes(rows[:1], PLAIN, folder=home)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_a_killed_build_leaves_no_half_case(rows, home):
    process = multiprocessing.get_context("spawn").Process(target=build_slowly, args=(rows, home))
    process.start()
    deadline = time.monotonic() + 60
    while not list(home.glob("volumes/.*/image.bin")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not [path for path in (home / "volumes").iterdir() if path.is_dir() and not path.name.startswith(".")]
    array = cache_volumes(rows[:1], PLAIN, folder=home)
    assert array[0].image.shape == (1, 12, 10, 8)
    assert not list((home / "volumes").glob(".*"))


READ_ALL = """
import gc, sys
from pathlib import Path
import psutil
from meddiff.cache.volume_array import cache_volumes
from meddiff.images.prepare import VolumeTransform
from tests.manifest.rows import example_row

folder, home = map(Path, sys.argv[1:])
rows = [example_row(str(number), root=folder, image_path=f"{number}.nii") for number in range(40)]
plain = VolumeTransform(intensity="window", window=(0.0, 255.0))
cache_volumes(rows[:5], plain, folder=home)
gc.collect()
before = psutil.Process().memory_info().rss
array = cache_volumes(rows, plain, folder=home)
assert sum(int(case.image[0, 64].sum()) + int(case.image[0, :, :, 64].sum()) for case in array) > 0
gc.collect()
print(psutil.Process().memory_info().rss - before)
"""


def test_memory_does_not_grow_with_the_number_of_volumes(tmp_path, home):
    """Forty volumes of 4 MB, all of them read, keep less than ten more in memory.

    In a process of its own whose allocator gives large arrays back at once: what earlier tests left would be measured
    otherwise.
    """
    for number in range(40):
        array = np.full((128, 128, 128), number, dtype=np.uint8)
        array[0, 0, 0] = 255
        save_volume(array, tmp_path / f"{number}.nii", affine=affine_of("RAS"))
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", READ_ALL, str(tmp_path), str(home)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40 * 2**20


def test_remembered_foreground_is_foreground_of_every_class(rows, home):
    case = cache_volumes(rows, PLAIN, with_masks=True, folder=home)[1]
    mask = case.mask
    assert mask is not None
    generator = np.random.default_rng(0)
    drawn = [case.foreground_voxel(generator) for _ in range(200)]
    classes = np.array([mask[at] for at in drawn])
    assert set(classes) == {1, 2}
    assert 60 < (classes == 1).sum() < 140
    assert len(set(drawn)) > 15  # of 24 voxels


def test_many_voxels_are_a_random_choice_that_stays(tmp_path, home, monkeypatch):
    monkeypatch.setattr(volume_array, "REMEMBERED", 50)
    mask = np.zeros((20, 20, 20), dtype=np.uint8)
    mask[5:15, 5:15, 5:15] = 1
    found = volume_array._some_voxels(mask, 1)
    assert len(set(found)) == 50
    assert (mask.ravel()[found] == 1).all()
    assert np.array_equal(found, volume_array._some_voxels(mask, 1))
    assert found.max() - found.min() > 3000  # from all over


@pytest.mark.real_data
def test_real_hippocampi(real_data, home):
    from meddiff.sources.decathlon import HIPPOCAMPUS_VOLUMES

    rows = HIPPOCAMPUS_VOLUMES.rows(real_data / "Task04_Hippocampus")[:20]
    array = cache_volumes(rows, PLAIN, with_masks=True, classes=3, folder=home)
    for row, case in zip(array.rows, array, strict=True):
        truth = load_volume(row.mask_file)
        assert np.array_equal(labels_back(case.grid, np.asarray(case.mask)), truth.array)
        assert case.image.std() / 32767.5 == pytest.approx(1 / 3, rel=0.1)  # z-score, cut at 3


@pytest.mark.real_data
def test_a_slice_of_a_large_real_volume_costs_little(real_data, home):
    """Bound: 1.5 ms for a volume of 256 x 256 x 160, median over random slices along each axis."""
    volume = load_volume(next((real_data / "brats2015-deepmedic").rglob("Flair*.nii.gz")))
    assert volume_of(volume.array, volume.affine).shape == (240, 240, 155)
    folder = next((real_data / "brats2015-deepmedic").rglob("Flair*.nii.gz")).parent
    row = example_row("a", root=folder, image_path="Flair_subtrMeanDivStd.nii.gz")
    case = cache_volumes([row], PLAIN, folder=home)[0]
    generator = np.random.default_rng(0)
    for axis in range(3):
        durations_s = []
        for _ in range(50):
            index = int(generator.integers(case.shape[axis]))
            start = time.perf_counter()
            np.ascontiguousarray(np.take(np.asarray(case.image), index, axis=axis + 1))
            durations_s.append(time.perf_counter() - start)
        assert np.median(durations_s) < 3e-3  # twice the bound: the machine may be busy
