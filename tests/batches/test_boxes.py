"""Volumes in boxes of one size, in the middle; one spacing or a sentence; three planes as a radiologist sees them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from meddiff.batches.cuts import Middle
from meddiff.batches.images import Images
from meddiff.cache.volume_array import cache_volumes, in_order_of
from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.images.prepare import VolumeTransform
from meddiff.images.sizes import labeled_by_size, mask_mm3
from meddiff.images.views import tile
from meddiff.images.working_grid import standing_free
from tests.formats.volume_files import affine_of, ball, write_cases
from tests.manifest.rows import example_row

RAW = VolumeTransform(intensity="window", window=(0.0, 65535.0))


def one_volume(folder, array, *, name="a", affine=None, **known):
    """A row of a volume with these values."""
    save_volume(array, folder / f"{name}.nii.gz", affine=affine_of("RAS") if affine is None else affine)
    return example_row(name, root=folder, image_path=f"{name}.nii.gz", patient_id=name, **known)


def test_a_volume_lies_in_the_middle_of_its_box_and_a_larger_one_is_cut_to_its_middle(tmp_path):
    values = np.arange(5 * 3 * 4, dtype=np.uint16).reshape(5, 3, 4) + 1
    array = cache_volumes([one_volume(tmp_path, values)], RAW, folder=tmp_path / "cache")
    volumes = Images(array, (), Middle((3, 5, 4)))
    stored = np.rint((volumes.batch([0]).image[0, 0].double().numpy() + 1) / 2 * 65535)
    assert volumes.shape == (1, 3, 5, 4)
    assert volumes.clipped == 1
    np.testing.assert_array_equal(stored[:, 1:4], values[1:4])  # cut along axis 0, air around along axis 1
    assert not stored[:, [0, 4]].any()


def test_labels_are_numbers_and_masks_come_along(tmp_path):
    rows = [replace(row, label=name) for row, name in zip(write_cases(tmp_path, 2), "ba", strict=True)]
    array = cache_volumes(rows, VolumeTransform(), with_masks=True, folder=tmp_path / "cache")
    batch = Images(array, ("a", "b"), Middle((16, 16, 16))).batch([1, 0])
    assert batch.label is not None
    assert batch.label.tolist() == [0, 1]
    assert batch.mask is not None
    assert batch.mask.shape == batch.image.shape == (2, 1, 16, 16, 16)
    with pytest.raises(InputError, match="label outside the classes"):
        Images(array, ("a",), Middle((16, 16, 16)))


@pytest.mark.parametrize(
    ("affines", "expected"),
    [
        ([affine_of("LSA", (1.0, 2.0, 3.0))], (1.0, 3.0, 2.0)),
        ([affine_of("RAS", (1.0, 1.0, 2.0)), affine_of("RAS", (1.003, 1.0, 2.0))], (1.0, 1.0, 2.0)),
        ([affine_of("RAS"), affine_of("RAS", (1.0, 1.0, 2.0))], None),
    ],
)
def test_the_size_of_a_voxel_is_that_of_all_volumes(tmp_path, affines, expected):
    values = np.zeros((4, 5, 6), np.uint16)
    rows = [one_volume(tmp_path, values, name=str(n), affine=affine) for n, affine in enumerate(affines)]
    volumes = Images(cache_volumes(rows, RAW, folder=tmp_path / "cache"), (), Middle((8, 8, 8)))
    if expected is None:
        with pytest.raises(InputError, match=r"1 x 1 x 1 mm in '0'; 1 x 1 x 2 mm in '1'.*--volume.spacing_mm"):
            _ = volumes.spacing_mm
    else:
        assert volumes.spacing_mm == pytest.approx(expected)


def test_parts_of_different_transforms_are_put_in_the_order_of_the_rows(tmp_path):
    rows = [one_volume(tmp_path, np.full((2, 3, 4), n, np.uint16), name=str(n)) for n in range(4)]
    parts = [cache_volumes(some, RAW, folder=tmp_path / "cache") for some in (rows[1::2], rows[::2])]
    whole = in_order_of(rows, parts)
    assert whole.rows == tuple(rows)
    assert [int(case.image.max()) for case in whole] == [0, 1, 2, 3]


def test_a_volume_of_nobody_has_its_middle_at_the_origin():
    affine = standing_free((1.0, 2.0, 0.5), (5, 4, 3))
    np.testing.assert_allclose(affine @ [2, 1.5, 1, 1], [0, 0, 0, 1])
    np.testing.assert_allclose(affine @ [3, 1.5, 1, 1], [1, 0, 0, 1])  # a voxel to the right


def test_three_planes_with_the_right_on_the_left_front_and_head_up():
    volume = torch.full((1, 4, 5, 6), -1.0).numpy()
    volume[0, 3, 2, 3] = 1.0  # to the right, in the axial and coronal middle planes (J 2, K 3)
    volume[0, 2, 4, 3] = 0.0  # at the front: axial and sagittal (I 2)
    shown = tile(volume)
    assert shown.shape == (6 + 6, 4 + 5)
    axial, coronal, sagittal = shown[:5, :4], shown[6:, :4], shown[:6, 4:]
    assert axial[2, 0] == 255  # the middle row, the column that is left in the picture
    assert axial[0, 1] == 128  # the front is up
    assert coronal[2, 0] == 255
    assert sagittal[2, 0] == 128  # the front is left
    assert (shown > 0).sum() == 4
    assert tile(volume, (1.0, 1.0, 2.0)).shape == (12 + 12, 9)


def test_thirds_by_size_are_counted_in_cubic_millimeters(tmp_path):
    rows = []
    for number in range(12):
        spacing = (1.0, 1.0, 2.0) if number % 2 else (1.0, 1.0, 1.0)
        mask = ball((16, 16, 16), 3 + 0.3 * number, spacing).astype(np.uint8)
        save_volume(mask, tmp_path / f"{number}-mask.nii.gz", affine=affine_of("LPS", spacing))
        rows.append(example_row(str(number), root=tmp_path, mask_path=f"{number}-mask.nii.gz"))
        assert mask_mm3(rows[-1]) == np.count_nonzero(mask) * np.prod(spacing)
    labels = [row.label for row in labeled_by_size(rows)]
    assert [len(set(labels[start : start + 4])) for start in (0, 4, 8)] == [1, 1, 1]
    limits = sorted(mask_mm3(row) for row in rows)
    low = int(str(labels[0]).split()[1])
    assert limits[3] < low < limits[4]
    with pytest.raises(InputError, match="mask without a size"):
        labeled_by_size([*rows, replace(rows[0], row_id="bare", mask_path=None)])
    with pytest.raises(InputError, match="too many of them the same"):
        labeled_by_size([replace(rows[0], row_id=str(n)) for n in range(12)])
