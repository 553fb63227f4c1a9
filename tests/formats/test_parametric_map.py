"""DICOM Parametric Maps: read back by pydicom and by highdicom they are the numbers, at their place in the patient."""

import highdicom
import numpy as np
import pydicom
import pytest

from meddiff.errors import InputError
from meddiff.formats.dicom.parametric_map import save_parametric_map
from meddiff.formats.dicom.series import find_series
from meddiff.formats.dicom.stack import read_series
from tests.dicom_series import PLANTED, write_series
from tests.formats.test_dicom_seg import PLANES, series_in, write_enhanced

KNOWN = {"name": "ENTROPY", "explanation": "Entropy of the class probabilities"}


def numbers(shape) -> np.ndarray:
    """Unlike in every voxel, from 0 to 1."""
    return np.random.default_rng(3).random(shape, dtype=np.float32)


def looked_up(path, affine, shape) -> np.ndarray:
    """The values at the voxels of a grid, by pydicom and the standard's formula (C.7.6.2.1-1); NaN where none lies."""
    dataset = pydicom.dcmread(path)
    shared, values = dataset.SharedFunctionalGroupsSequence[0], np.full(shape, np.nan)
    row, column = np.reshape(np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float), (2, 3))
    down, along = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = np.frombuffer(dataset.FloatPixelData, "<f4").reshape(-1, dataset.Rows, dataset.Columns)
    to_index = np.linalg.inv(affine)
    for picture, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        j, i = np.mgrid[: dataset.Rows, : dataset.Columns]
        points = (position + i[..., None] * along * row + j[..., None] * down * column) * [-1, -1, 1]
        index = points @ to_index[:3, :3].T + to_index[:3, 3]
        assert np.abs(index - index.round()).max() < 0.01
        values[tuple(np.moveaxis(index.round().astype(int), -1, 0))] = picture
    return values


@pytest.mark.parametrize("plane", PLANES)
def test_numbers_come_back_at_their_place(tmp_path, plane):
    directions, step = PLANES[plane]
    write_series(tmp_path / "in", step=step, ImageOrientationPatient=list(directions))
    series = series_in(tmp_path / "in")
    volume = read_series(series)
    values = numbers(volume.shape)
    save_parametric_map(values, tmp_path / "map.dcm", series=series, **KNOWN)
    np.testing.assert_array_equal(looked_up(tmp_path / "map.dcm", volume.affine, volume.shape), values)


@pytest.mark.parametrize("count", [1, 4])
def test_it_is_a_whole_parametric_map_of_its_series(tmp_path, count):
    write_series(tmp_path / "in", count=count, FrameOfReferenceUID="1.2.3.4", **PLANTED)
    series = series_in(tmp_path / "in")
    values = numbers(read_series(series).shape)
    save_parametric_map(values, tmp_path / "map.dcm", series=series, **KNOWN)
    save_parametric_map(values, tmp_path / "again.dcm", series=series, **KNOWN)
    one = pydicom.dcmread(tmp_path / "map.dcm")
    assert one.SOPInstanceUID == pydicom.dcmread(tmp_path / "again.dcm").SOPInstanceUID
    assert one.SOPClassUID.name == "Parametric Map Storage"
    assert (one.Modality, one.FrameOfReferenceUID) == ("OT", "1.2.3.4")
    assert one.SeriesInstanceUID != series.headers[0].SeriesInstanceUID
    assert {name: str(one.get(name)) for name in PLANTED if name in one}.items() <= PLANTED.items()
    assert (one.BitsAllocated, "PixelData" in one, "FloatPixelData" in one) == (32, False, True)
    mapping = one.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    assert (mapping.DoubleFloatRealWorldValueFirstValueMapped, mapping.DoubleFloatRealWorldValueLastValueMapped) == (
        0,
        1,
    )
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    groups = one.PerFrameFunctionalGroupsSequence
    sources = [group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for group in groups]
    assert sorted(sources) == sorted(header.SOPInstanceUID for header in series.headers)
    heights = {header.SOPInstanceUID: header.ImagePositionPatient[2] for header in series.headers}
    assert [float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in groups] == [
        float(heights[source]) for source in sources
    ]
    read = highdicom.imread(tmp_path / "map.dcm")
    stored = np.frombuffer(one.FloatPixelData, "<f4").reshape(count, 5, 6)
    np.testing.assert_allclose(read.get_frames(apply_real_world_transform=True), stored, atol=1e-6)
    affine = read_series(series).affine
    np.testing.assert_array_equal(looked_up(tmp_path / "map.dcm", affine, values.shape), values)


def test_an_enhanced_source_is_referenced_by_its_own_frame_numbers(tmp_path):
    order = (2, 0, 3, 1)
    write_enhanced(tmp_path / "in.dcm", order)
    (series,) = find_series([tmp_path / "in.dcm"]).series
    volume = read_series(series)
    values = numbers(volume.shape)
    save_parametric_map(values, tmp_path / "map.dcm", series=series, **KNOWN)
    np.testing.assert_array_equal(looked_up(tmp_path / "map.dcm", volume.affine, volume.shape), values)
    for group in pydicom.dcmread(tmp_path / "map.dcm").PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        height = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        assert order[int(source.ReferencedFrameNumber) - 1] == pytest.approx(height / 3.5)


def test_what_cannot_be_a_map_of_the_series_is_refused(tmp_path):
    write_series(tmp_path / "in")
    series = series_in(tmp_path / "in")
    with pytest.raises(InputError, match="the map has 6 columns, 5 rows and 3 slices"):
        save_parametric_map(numbers((6, 5, 3)), tmp_path / "map.dcm", series=series, **KNOWN)
    for wrong in (numbers((6, 5, 4)) * 2, numbers((6, 5, 4)).astype(float), np.full((6, 5, 4), np.nan, np.float32)):
        with pytest.raises(ValueError, match="a map is float32 from 0 to 1"):
            save_parametric_map(wrong, tmp_path / "map.dcm", series=series, **KNOWN)
    write_series(tmp_path / "tilted", step=(0, 1.0, 3.0))
    with pytest.raises(InputError, match="gantry is tilted"):
        save_parametric_map(numbers((6, 5, 4)), tmp_path / "m.dcm", series=series_in(tmp_path / "tilted"), **KNOWN)
    assert not (tmp_path / "map.dcm").exists()


@pytest.mark.real_data
def test_maps_of_real_series_come_back_at_their_place(real_data, tmp_path):
    written = refused = 0
    for series in find_series(sorted((real_data / "dicom").rglob("*.dcm"))).series:
        if not series.is_image:
            continue
        try:
            volume = read_series(series)
            values = numbers(volume.shape)
            save_parametric_map(values, tmp_path / "map.dcm", series=series, **KNOWN)
        except InputError:
            refused += 1
            continue
        written += 1
        np.testing.assert_array_equal(looked_up(tmp_path / "map.dcm", volume.affine, volume.shape), values)
    assert written >= 8
    assert refused
