"""Volumes to training data and back: every voxel returns to its place, whatever the orientation and spacing."""

from dataclasses import asdict

import nibabel
import numpy as np
import pytest
import SimpleITK
from monai.data.meta_tensor import MetaTensor
from monai.transforms import LoadImage, NormalizeIntensity, Orientation, SpatialResample  # type: ignore[attr-defined]

from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.formats.volume import Volume
from meddiff.images.intensity import correct_bias_field
from meddiff.images.prepare import VolumeTransform, prepare_volume, volume_classes
from meddiff.images.working_grid import grid_from_json, working_grid
from tests.formats.volume_files import ORIENTATIONS, affine_of, ball, labels_back, turned, volume_of

SHAPE = (7, 9, 6)
OBLIQUE = (9.0, -14.0, 21.0)


def delta(at, orientation: str, spacing_mm, degrees=(0, 0, 0)) -> Volume:
    array = np.zeros(SHAPE, dtype=np.float32)
    array[at] = 1
    return volume_of(array, turned(affine_of(orientation, spacing_mm), degrees))


def peak(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(values.argmax(), values.shape))


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("spacing_mm", [None, (1.0, 1.0, 1.0), (0.7, 0.9, 0.5), (1.0, 0.8, 2.0)])
def test_a_delta_comes_back_to_its_voxel_in_all_orientations(spacing_mm):
    """Where the working grid is not coarser than the volume's own."""
    native = (1.0, 0.8, 2.0)  # along right, front, head
    for number, orientation in enumerate(ORIENTATIONS):
        along = [
            native[next(w for w, pair in enumerate(("LR", "PA", "IS")) if letter in pair)] for letter in orientation
        ]
        finer = spacing_mm is None or all(want <= have for want, have in zip(spacing_mm, native, strict=True))
        for at in ((2, 3, 4), (0, 0, 0), (6, 8, 5), (6, 0, number % 6)):
            volume = delta(at, orientation, along, OBLIQUE if number % 2 else (0, 0, 0))
            prepared = prepare_volume(volume, VolumeTransform(spacing_mm, "window", window=(0, 1)))
            back = prepared.restore(prepared.image)[0]
            assert back.shape == SHAPE
            if finer:
                assert peak(back) == at, (orientation, at)
            else:
                assert np.abs(np.subtract(peak(back), at)).max() <= 1, (orientation, at)


@pytest.mark.parametrize("coarser", [2.0, 2.7, 4.0])
def test_a_delta_on_a_coarser_grid_comes_back_within_half_a_working_voxel(coarser):
    shape = (31, 33, 29)
    for orientation, at in (("RAS", (14, 15, 13)), ("LPS", (9, 20, 12)), ("SAL", (12, 10, 20)), ("PIR", (17, 16, 10))):
        array = np.zeros(shape, dtype=np.float32)
        array[at] = 1
        volume = volume_of(array, affine_of(orientation))
        prepared = prepare_volume(volume, VolumeTransform((coarser,) * 3, "window", window=(0, 1)))
        back = prepared.restore(prepared.image + 1)[0]
        middle = (np.indices(shape) * back).reshape(3, -1).sum(axis=1) / back.sum()
        assert back.sum() > 0
        assert np.abs(middle - at).max() < 0.5, (orientation, middle, at)
        assert np.abs(np.subtract(peak(back), at)).max() <= coarser / 2 + 0.5


def test_turning_is_what_monai_and_nibabel_do():
    generator = np.random.default_rng(0)
    array = generator.normal(size=SHAPE).astype(np.float32)
    for number, orientation in enumerate(ORIENTATIONS):
        affine = turned(affine_of(orientation, (1.0, 0.8, 2.0)), OBLIQUE if number % 2 else (0, 0, 0))
        grid = working_grid(volume_of(array, affine), None)
        theirs = nibabel.as_closest_canonical(nibabel.Nifti1Image(array, affine))
        assert np.array_equal(grid.image_to_working(array), theirs.get_fdata(dtype=np.float32))
        assert grid.affine is not None
        assert np.allclose(grid.affine, theirs.affine, atol=1e-9)
        monai = Orientation(axcodes="RAS", labels=None)(MetaTensor(array[None], affine=affine))
        assert np.array_equal(grid.image_to_working(array), np.asarray(monai)[0])
        assert np.array_equal(grid.restore(grid.image_to_working(array)[None])[0], array)
        assert np.array_equal(grid.restore(grid.labels_to_working(array)[None])[0], array)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAL", "PIR"])
def test_resampling_to_a_finer_grid_is_what_monai_does_at_the_same_places(orientation):
    array = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    affine = turned(affine_of(orientation, (1.0, 0.8, 2.0)), OBLIQUE)
    grid = working_grid(volume_of(array, affine), (0.7, 0.7, 0.7))
    resample = SpatialResample(mode="bilinear", padding_mode="border", align_corners=True)
    theirs = resample(MetaTensor(array[None], affine=affine), dst_affine=grid.affine, spatial_size=grid.shape)
    assert np.allclose(grid.image_to_working(array), np.asarray(theirs)[0], atol=1e-4)
    theirs = resample(
        MetaTensor(grid.image_to_working(array)[None], affine=grid.affine), dst_affine=affine, spatial_size=SHAPE
    )
    assert np.allclose(grid.restore(grid.image_to_working(array)[None])[0], np.asarray(theirs)[0], atol=1e-4)


def test_the_working_affine_names_the_same_places():
    """A linear function of the world stays that function, read through the working affine."""
    affine = turned(affine_of("PIR", (0.5, 1.5, 1.0)), OBLIQUE)
    world = affine[:3, :3] @ np.indices((40, 14, 20)).reshape(3, -1) + affine[:3, 3:]
    for axis in range(3):
        values = world[axis].reshape(40, 14, 20).astype(np.float32)
        for spacing_mm in ((0.5, 0.5, 0.5), (1.1, 0.9, 1.3), (2.0, 2.0, 2.0)):
            grid = working_grid(volume_of(values, affine), spacing_mm)
            assert grid.affine is not None
            assert np.allclose(np.linalg.norm(grid.affine[:3, :3], axis=0), spacing_mm)
            assert np.allclose(grid.spacing_mm, spacing_mm)
            found = grid.image_to_working(values)
            expected = grid.affine[axis, :3] @ np.indices(grid.shape).reshape(3, -1) + grid.affine[axis, 3]
            inner = (slice(4, -4),) * 3  # at the border the image is repeated, not continued
            assert found[inner].size > 0
            assert np.allclose(found[inner], expected.reshape(grid.shape)[inner], atol=1e-3)


def test_left_stays_left():
    """An L-shaped thing on the patient's left, in front, low."""
    for orientation in ORIENTATIONS:
        ras = np.zeros((16, 12, 10), dtype=np.float32)
        ras[1:4, 7:11, 1:3] = 1
        ras[1:4, 9:11, 1:6] = 1
        letters = nibabel.orientations.axcodes2ornt(orientation)
        to_file = nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), letters)
        array = nibabel.orientations.apply_orientation(ras, to_file)
        affine = affine_of("RAS") @ nibabel.orientations.inv_ornt_aff(to_file, ras.shape)
        volume = volume_of(array, affine)
        assert volume.orientation == tuple(orientation)
        prepared = prepare_volume(volume, VolumeTransform(intensity="window", window=(0, 1)))
        assert np.array_equal(prepared.image[0], 2 * ras - 1)
        finer = prepare_volume(volume, VolumeTransform((0.5, 0.5, 0.5), "window", window=(0, 1)))
        assert finer.prepare_mask(volume).sum() == 8 * ras.sum()
        place = np.argwhere(finer.prepare_mask(volume)).mean(axis=0)
        assert np.allclose((place + 0.5) / 2 - 0.5, np.argwhere(ras).mean(axis=0))
        assert np.array_equal(labels_back(finer.grid, finer.prepare_mask(volume)), array)


@pytest.mark.parametrize(
    ("spacing_mm", "tolerance"),
    [
        ((0.45, 0.6, 0.5), 0.01),
        ((1.0, 1.0, 1.0), 0.04),
        ((1.3, 0.8, 1.7), 0.06),
        ((2.0, 2.0, 2.0), 0.12),
        ((2.5, 2.5, 2.5), 0.12),
    ],
)
def test_a_mask_keeps_its_volume(spacing_mm, tolerance):
    """A ball of 16 mm in a shell of 4 mm, there and back: within 4 % at 1 mm, 12 % where the shell is two voxels."""
    native = (0.9, 1.2, 1.5)
    shape = (50, 42, 30)
    for shift in (0.0, 0.3, 0.5):
        center = [(size - 1) / 2 + shift for size in shape]
        labels = ball(shape, 12, native, center=center).astype(np.uint8) + ball(shape, 8, native, center=center)
        volume = volume_of(labels, affine_of("RAS", native))
        prepared = prepare_volume(volume, VolumeTransform(spacing_mm, "window", window=(0, 2)))
        working = prepared.prepare_mask(volume)
        assert working.dtype == np.uint8
        assert working.shape == prepared.image.shape[1:]
        back = labels_back(prepared.grid, working)
        for index in (1, 2):
            truth = (labels == index).sum() * np.prod(native)
            assert (working == index).sum() * np.prod(prepared.grid.spacing_mm) == pytest.approx(truth, rel=tolerance)
            assert (back == index).sum() * np.prod(native) == pytest.approx(truth, rel=tolerance)


def test_probabilities_stay_probabilities():
    values = np.random.default_rng(0).normal(size=(4, 9, 11, 8)).astype(np.float32)
    volume = volume_of(np.zeros((7, 13, 9), dtype=np.float32), turned(affine_of("LPI", (1.0, 0.8, 1.3)), OBLIQUE))
    prepared = prepare_volume(volume, VolumeTransform((1.1, 1.0, 0.7)))
    odds = np.exp(np.resize(values, (4, *prepared.grid.shape)))
    restored = prepared.restore(odds / odds.sum(axis=0))
    assert restored.dtype == np.float32
    assert restored.shape == (4, 7, 13, 9)
    assert np.allclose(restored.sum(axis=0), 1, atol=1e-5)
    assert restored.min() >= 0
    with pytest.raises(ValueError, match="shape"):
        prepared.restore(odds[:, :-1])


def test_what_is_unknown_is_kept_or_refused_by_name():
    array = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    volume = volume_of(array, None)
    prepared = prepare_volume(volume, VolumeTransform(intensity="window", window=(-1, 1)))
    assert prepared.affine is None
    assert np.allclose(prepared.image[0], array.clip(-1, 1))
    with pytest.raises(InputError, match=r"a\.nii: .*axis 0 and 1 and 2.*voxel size"):
        prepare_volume(volume, VolumeTransform((1.0, 1.0, 1.0)), name="a.nii")
    single = volume_of(array[:, :, :1], None, spacing_mm=(0.5, 0.5, None))
    with pytest.raises(InputError, match=r"b\.dcm: .*axis 2\."):
        prepare_volume(single, VolumeTransform((1.0, 1.0, 1.0)), name="b.dcm")
    spaced = volume_of(array, None, spacing_mm=(2.0, 1.0, 1.0))
    prepared = prepare_volume(spaced, VolumeTransform((1.0, 1.0, 1.0)))
    assert prepared.image.shape == (1, 14, 9, 6)
    assert prepared.restore(prepared.image).shape == (1, *SHAPE)


def test_a_spacing_that_differs_by_rounding_is_not_resampled():
    array = np.random.default_rng(0).normal(size=SHAPE)
    grid = working_grid(volume_of(array, affine_of("RAS", (0.9996, 1.0, 1.0))), (1.0, 1.0, 1.0))
    assert not grid.resampled
    assert np.array_equal(grid.image_to_working(array), array.astype(np.float32))


def test_a_grid_survives_json():
    import json

    for volume in (delta((0, 0, 0), "PIR", (1, 2, 3), OBLIQUE), volume_of(np.zeros(SHAPE), None)):
        spacing_mm = None if volume.affine is None else (1.1, 1.2, 0.7)
        grid = working_grid(volume, spacing_mm)
        assert grid_from_json(json.loads(json.dumps(asdict(grid)))) == grid


def test_zscore_by_monai_and_by_hand():
    array = np.random.default_rng(0).normal(500, 40, SHAPE).astype(np.float32)
    array[[0, -1]] = 0  # air that was set to one value
    prepared = prepare_volume(volume_of(array, affine_of("RAS")), VolumeTransform(clip_std=2.5))
    theirs = np.asarray(NormalizeIntensity(nonzero=True)(array[None].copy()))[0]
    inside = array > 0
    assert np.allclose(prepared.image[0][inside], (theirs[inside] / 2.5).clip(-1, 1), atol=1e-5)
    assert (prepared.image[0][~inside] == -1).all()
    for scale, shift in ((1e-3, 0), (3000.0, 0), (1.0, -500)):  # no unit, no zero: the answer stays
        other = prepare_volume(volume_of(array * scale + shift, affine_of("RAS")), VolumeTransform(clip_std=2.5))
        assert np.allclose(other.image, prepared.image, atol=1e-4)


def test_percentiles_and_window_by_hand():
    array = np.arange(1001, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), dtype=np.float32)
    volume = volume_of(array, affine_of("RAS"))
    image = prepare_volume(volume, VolumeTransform(intensity="percentile", percentiles=(10, 90))).image
    assert np.allclose(image[0, [0, 100, 300, 500, 900, 1000], 0, 0], [-1, -1, -0.5, 0, 1, 1], atol=1e-5)
    window = VolumeTransform(intensity="window", window=(-160, 240))
    image = prepare_volume(volume_of(array - 1000, affine_of("RAS"), units="HU"), window).image
    assert np.allclose(image[0, [0, 840, 940, 1000], 0, 0], [-1, -1, -0.5, -0.2], atol=1e-5)
    with pytest.raises(InputError, match=r"pet\.nii: its values are BQML.*HU"):
        prepare_volume(volume_of(array, affine_of("RAS"), units="BQML"), window, name="pet.nii")


def test_sequences_become_channels_each_by_itself():
    array = np.random.default_rng(0).normal(100, 10, (*SHAPE, 2)).astype(np.float32)
    array[..., 1] = 50 * array[..., 0] - 3000
    volume = volume_of(array, affine_of("LPS"))
    image = prepare_volume(volume, VolumeTransform()).image
    assert image.shape == (2, *SHAPE)
    assert np.allclose(image[0], image[1], atol=1e-4)
    alone = prepare_volume(volume_of(array[..., 1], affine_of("LPS")), VolumeTransform()).image
    assert np.array_equal(image[1], alone[0])


def test_an_even_volume_is_black_and_values_that_are_no_numbers_are_refused():
    even = volume_of(np.full(SHAPE, 7, dtype=np.int16), affine_of("RAS"))
    for transform in (VolumeTransform(), VolumeTransform(intensity="percentile")):
        assert (prepare_volume(even, transform).image == -1).all()
    array = np.zeros(SHAPE, dtype=np.float32)
    array[1, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"c\.nii: 1 voxels are not finite"):
        prepare_volume(volume_of(array, affine_of("RAS")), VolumeTransform(), name="c.nii")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"intensity": "minmax"}, "zscore, percentile, window"),
        ({"intensity": "window"}, "soft tissue"),
        ({"window": (0.0, 1.0)}, "soft tissue"),
        ({"intensity": "window", "window": (5.0, 5.0)}, "window is"),
        ({"percentiles": (99.0, 1.0)}, "percentiles is"),
        ({"clip_std": 0.0}, "clip_std"),
    ],
)
def test_settings_that_make_no_sense(settings, reason):
    with pytest.raises(InputError, match=reason):
        VolumeTransform(**settings)


def test_a_spacing_that_is_none():
    for spacing_mm in ((0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, np.nan)):
        with pytest.raises(InputError, match="three distances"):
            prepare_volume(delta((0, 0, 0), "RAS", (1, 1, 1)), VolumeTransform(spacing_mm))


def test_a_bias_field_is_taken_out_and_ct_refused():
    shape = (32, 32, 32)
    head, inner = ball(shape, 14), ball(shape, 8)
    truth = np.where(inner, 200.0, 100.0) * head
    field = np.exp(0.6 * (np.indices(shape)[0] / 31 - 0.5))
    noise = np.random.default_rng(0).normal(0, 1, shape)
    array = (truth * field + noise).clip(0).astype(np.float32)

    def unevenness(values):
        return max(values[part].std() / values[part].mean() for part in (inner, head & ~ball(shape, 9)))

    plain = prepare_volume(volume_of(array, affine_of("RAS")), VolumeTransform(intensity="percentile"))
    fixed = prepare_volume(
        volume_of(array, affine_of("RAS")), VolumeTransform(intensity="percentile", bias_correction=True)
    )
    assert unevenness(fixed.image[0] + 1) < 0.5 * unevenness(plain.image[0] + 1)
    with pytest.raises(InputError, match=r"ct\.nii.*down to -1000.*Switch it off"):
        prepare_volume(volume_of(array - 1000, None), VolumeTransform(bias_correction=True), name="ct.nii")


@pytest.mark.parametrize("shape", [(32, 32, 32), (40, 36, 1), (1, 40, 36), (24, 3, 30)])
def test_the_field_is_the_one_that_was_put_in(shape):
    """Up to a factor; also of a single slice, along whatever axis."""
    long = int(np.argmax(shape))
    field = np.exp(0.8 * (np.indices(shape)[long] / (shape[long] - 1) - 0.5))
    tissue = np.where(np.indices(shape).sum(axis=0) % 7 < 3, 100.0, 160.0)
    array = (tissue * field + np.random.default_rng(0).normal(0, 1, shape)).astype(np.float32)
    before = array.copy()
    found = array / correct_bias_field(array, (1.0, 1.0, 1.0), name="a.nii")
    assert np.array_equal(array, before)
    assert found.shape == shape
    inner = tuple(slice(2, -2) if size > 6 else slice(None) for size in shape)
    assert np.log(found / field)[inner].std() < 0.5 * np.log(field)[inner].std()
    again = array / correct_bias_field(array, (1.0, 1.0, 1.0), name="a.nii")
    assert np.array_equal(found, again)
    with pytest.raises(InputError, match="line of voxels"):
        correct_bias_field(array[:1, :1], (1.0, 1.0, 1.0), name="a.nii")


def test_a_mask_on_another_grid_is_refused_by_name():
    affine = turned(affine_of("LPS", (0.8, 0.8, 3.0)), OBLIQUE)
    image = volume_of(np.zeros(SHAPE, dtype=np.float32), affine)
    prepared = prepare_volume(image, VolumeTransform())

    def refused(array, placed, reason, **known):
        with pytest.raises(InputError, match=reason):
            prepared.prepare_mask(volume_of(array, placed, **known), name="m.nii", image="i.nii")

    labels = np.zeros(SHAPE, dtype=np.uint8)
    refused(labels[:-1], affine, r"m\.nii has the shape \[6, 9, 6\], i\.nii has \[7, 9, 6\]")
    refused(labels[..., None].repeat(2, -1), affine, r"m\.nii has the shape \[7, 9, 6, 2\].*three axes")
    refused(labels, turned(affine, (0, 0, 5)), r"m\.nii lies elsewhere than i\.nii.*mm apart")
    refused(labels, affine @ np.diag([-1, 1, 1, 1]), "mm apart")
    refused(labels, None, r"m\.nii does not tell its orientation, i\.nii does")
    nearly = affine.copy()
    nearly[:3, 3] += 0.01  # headers are rounded differently
    assert prepared.prepare_mask(volume_of(labels, nearly)).shape == SHAPE
    unknown = prepare_volume(volume_of(labels, None, spacing_mm=(1.0, 1.0, 2.0)), VolumeTransform())
    with pytest.raises(InputError, match=r"voxels of \(1\.0, 1\.0, 5\.0\) mm"):
        unknown.prepare_mask(volume_of(labels, None, spacing_mm=(1.0, 1.0, 5.0)))
    assert unknown.prepare_mask(volume_of(labels, None)).shape == SHAPE


def test_classes_of_a_mask_that_is_alone():
    def classes(*values):
        return volume_classes(volume_of(np.array(values).reshape(-1, 1, 1), None), "m.nii").ravel()

    assert np.array_equal(classes(0.0, 0.99999997, 4.0), [0, 1, 4])
    assert np.array_equal(classes(0, 255, 255), [0, 1, 1])
    for values, told in (
        ([0, 0.5, 1.06], "0.5, 1.06"),
        ([0, 300, -1], "-1, 300"),
        ([0, np.nan], "not finite"),
        ([0, 3, 255], "0,3 and 255: is 255 a class"),
    ):
        with pytest.raises(InputError, match=rf"m\.nii.*{told}"):
            classes(*values)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR", "SAL"])
def test_a_written_mask_lies_at_the_same_place_for_every_library(orientation, tmp_path):
    affine = turned(affine_of(orientation, (0.9, 1.1, 2.0)), OBLIQUE)
    labels = np.zeros((20, 18, 12), dtype=np.uint8)
    labels[4:7, 11:15, 3:6] = 1
    volume = volume_of(labels, affine)
    prepared = prepare_volume(volume, VolumeTransform((0.8, 0.8, 0.8), "window", window=(0, 1)))
    restored = labels_back(prepared.grid, prepared.prepare_mask(volume))
    assert np.array_equal(restored, labels)
    save_volume(restored, tmp_path / "mask.nii.gz", affine=volume.affine)

    truth = affine @ [*np.argwhere(labels).mean(axis=0), 1]
    ours = load_volume(tmp_path / "mask.nii.gz")
    found = nibabel.load(tmp_path / "mask.nii.gz")
    theirs = LoadImage(image_only=True)(str(tmp_path / "mask.nii.gz"))
    assert np.allclose(ours.affine @ [*np.argwhere(ours.array).mean(axis=0), 1], truth, atol=1e-3)  # type: ignore[operator]
    assert np.allclose(found.affine @ [*np.argwhere(found.get_fdata()).mean(axis=0), 1], truth, atol=1e-3)  # type: ignore[attr-defined]
    assert np.allclose(theirs.affine.numpy() @ [*np.argwhere(theirs.numpy()).mean(axis=0), 1], truth, atol=1e-3)
    itk = SimpleITK.ReadImage(str(tmp_path / "mask.nii.gz"))
    index = np.argwhere(SimpleITK.GetArrayFromImage(itk).T).mean(axis=0)
    lps = np.array(itk.TransformContinuousIndexToPhysicalPoint([float(value) for value in index]))
    assert np.allclose(lps * [-1, -1, 1], truth[:3], atol=1e-3)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("Task04_Hippocampus/imagesTr/hippocampus_001", "Task04_Hippocampus/labelsTr/hippocampus_001"),
        ("sct_testing_data/t2/t2", "sct_testing_data/t2/t2_seg-manual"),
        ("sct_testing_data/t2s/t2s", "sct_testing_data/t2s/t2s_seg"),
        ("sct_testing_data/mt/mt0", "sct_testing_data/mt/mt0_seg"),
        ("sct_testing_data/t1/t1w", "sct_testing_data/t1/t1w_seg-manual"),
    ],
)
def test_real_masks_come_back(real_data, image, mask):
    """To a finer grid and back nothing changes; at 1 mm in the plane and as it is along the slices, Dice > 0.9."""
    volume, labels = load_volume(real_data / f"{image}.nii.gz"), load_volume(real_data / f"{mask}.nii.gz")
    own = np.array(working_grid(volume, None).spacing_mm, dtype=float)
    truth = volume_classes(labels)
    for spacing, least in ((own, 1.0), (own / 2, 1.0), (own.clip(1.0), 0.9)):
        prepared = prepare_volume(volume, VolumeTransform((spacing[0], spacing[1], spacing[2])))
        assert prepared.image.min() >= -1
        assert prepared.image.max() <= 1
        back = labels_back(prepared.grid, prepared.prepare_mask(labels))
        assert back.shape == volume.shape
        dice = 2 * ((back > 0) & (truth > 0)).sum() / ((back > 0).sum() + (truth > 0).sum())
        assert dice >= least, (spacing, dice)
        if least == 1:
            assert np.array_equal(back, truth)
