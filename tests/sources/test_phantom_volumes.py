"""Drawn volumes: the same row gives the same bytes, masks fit, sizes differ, and the job runs on them without data."""

import nibabel
import numpy as np
import pytest

from meddiff.cache.volume_array import cache_volumes
from meddiff.images.prepare import VolumeTransform
from meddiff.images.sizes import labeled_by_size
from meddiff.pipelines import train
from meddiff.sources import phantom


def test_a_row_is_all_that_a_volume_needs(tmp_path):
    rows = phantom.volume_rows(seed=0, count=2)
    assert phantom.volume_rows(seed=0, count=5)[:2] == rows
    image, mask = phantom.draw_volume(rows[0])
    again, _ = phantom.draw_volume(rows[0])
    np.testing.assert_array_equal(image, again)
    assert image.shape == mask.shape
    assert set(np.unique(mask).tolist()) == {0, 1, 2}
    assert not any(np.take(mask, (0, -1), axis).any() for axis in range(3))
    front = [float(np.argwhere(mask == part)[:, 1].mean()) for part in (1, 2)]
    assert front[0] > front[1], "the anterior part is in front"
    assert image[mask > 0].mean() < image[mask == 0].mean()


def test_volumes_are_written_once_and_prepared(tmp_path):
    rows = phantom.write_volumes(phantom.volume_rows(seed=0, count=12), tmp_path)
    before = rows[0].image_file.stat().st_mtime_ns
    assert phantom.write_volumes(rows, tmp_path)[0].image_file.stat().st_mtime_ns == before
    array = cache_volumes(rows, VolumeTransform(), with_masks=True, classes=3, folder=tmp_path / "cache")
    assert len({case.shape for case in array}) > 6
    assert all(case.grid.spacing_mm == (1.0, 1.0, 1.0) for case in array)
    labels = [row.label for row in labeled_by_size(rows)]
    assert len(set(labels)) == 3
    sizes = [np.count_nonzero(nibabel.load(row.mask_file).dataobj) for row in rows]
    assert max(sizes) > 1.5 * min(sizes)


@pytest.mark.slow
def test_the_job_on_volumes_needs_no_data(tmp_path):
    small = ["--network.channels", "[16,16]", "--network.attention_levels", "0", "--network.head_channels", "16"]
    short = ["--training.steps", "1", "--training.batch_size", "2", "--network.patch_size", "4"]
    short += ["--synthesis.steps", "1", "--volume.patch_size", "[24,24,24]"]
    words = ["--dataset", "hippocampus_volumes", "--preset", "quick", "--data.phantom_images", "100"]
    assert train.main([*words, *small, *short, "--out", str(tmp_path / "run"), f"--data.cache={tmp_path}/cache"]) == 0
    assert list((tmp_path / "run" / "samples").glob("*.png"))
