"""DICOM Segmentations: read back by pydicom and by highdicom they are the mask, at the mask's place in the patient."""

import shutil
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedMRImageStorage, generate_uid
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree

from meddiff.errors import InputError
from meddiff.formats.dicom.codes import KNOWN, PRIVATE_SCHEME, segments_of
from meddiff.formats.dicom.segmentation import save_dicom_seg
from meddiff.formats.dicom.series import Series, find_series
from meddiff.formats.dicom.stack import read_series
from tests.dicom_series import PLANTED, write_series, write_slice

SEGMENTS = segments_of(["lesion", "hippocampus"])
# directions of a row and of a column, step from file to file (LPS mm)
PLANES = {
    "axial": ((1, 0, 0, 0, 1, 0), (0, 0, 3.0)),
    "coronal": ((1, 0, 0, 0, 0, -1), (0, 2.5, 0)),
    "sagittal": ((0, 1, 0, 0, 0, -1), (2.0, 0, 0)),
    "axial, files from head to feet": ((1, 0, 0, 0, 1, 0), (0, 0, -3.0)),
    "sagittal, files from right to left": ((0, 1, 0, 0, 0, -1), (-2.0, 0, 0)),
    "oblique": ((0.8, 0.6, 0, -0.6, 0.8, 0), (0, 0, 3.0)),
    "mirrored rows": ((-1, 0, 0, 0, 1, 0), (0, 0, 3.0)),
}


def series_in(folder: Path) -> Series:
    (one,) = find_series(sorted(folder.iterdir())).series
    return one


def phantom(shape=(6, 5, 4)) -> np.ndarray:
    """Unlike its mirror images along each axis; two classes, an empty plane."""
    classes = np.zeros(shape, dtype=np.uint8)
    classes[0, 0, 0] = classes[1:4, 1, 0] = classes[4, 2:5, 2] = 1
    classes[5, 0, 3] = classes[2, 3, 2] = 2
    return classes


def points_of(classes: np.ndarray, affine: np.ndarray) -> dict[int, np.ndarray]:
    """Class -> RAS positions of its voxels."""
    return {int(index): (affine[:3, :3] @ np.argwhere(classes == index).T + affine[:3, 3:]).T
            for index in np.unique(classes) if index}  # fmt: skip


def points_in_file(path: Path) -> dict[int, np.ndarray]:
    """The same out of a Segmentation, by pydicom and the standard's formula (C.7.6.2.1-1), frame by frame."""
    dataset = pydicom.dcmread(path)
    shared, found = dataset.SharedFunctionalGroupsSequence[0], {}
    row, column = np.reshape(np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float), (2, 3))
    between_rows, between_columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    for picture, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        identified = group if "SegmentIdentificationSequence" in group else shared
        number = int(identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        for j, i in np.argwhere(picture):
            point = position + i * between_columns * row + j * between_rows * column
            found.setdefault(number, []).append(point * [-1, -1, 1])
    return {number: np.array(points) for number, points in found.items()}


def same_points(one: dict[int, np.ndarray], other: dict[int, np.ndarray], *, tolerance_mm: float = 2e-3) -> bool:
    """Whether each voxel has its one partner, far nearer than its neighbors."""
    if {key: len(points) for key, points in one.items()} != {key: len(points) for key, points in other.items()}:
        return False
    for key, points in one.items():
        distances, partners = cKDTree(points).query(other[key])
        if distances.max() > tolerance_mm or len(set(partners)) < len(points):
            return False
    return True


def by_highdicom(path: Path, series: Series, shape: tuple[int, ...]) -> np.ndarray:
    """The mask in the axes of read_series: planes are asked for by the UIDs of the images that they were drawn on."""
    volume, read = read_series(series), highdicom.seg.segread(path)
    assert volume.affine is not None
    placed = sorted(
        zip(series.headers, series.files, strict=True),
        key=lambda pair: np.linalg.inv(volume.affine)[2] @ [*np.multiply(pair[0].ImagePositionPatient, [-1, -1, 1]), 1],
    )
    planes = read.get_pixels_by_source_instance(
        [header.SOPInstanceUID for header, _ in placed], combine_segments=True, assert_missing_frames_are_empty=True
    )
    return planes.transpose(2, 1, 0).reshape(shape)


@pytest.mark.parametrize("plane", PLANES)
def test_a_mask_comes_back_at_its_place(tmp_path, plane):
    directions, step = PLANES[plane]
    write_series(tmp_path / "in", step=step, ImageOrientationPatient=list(directions))
    series, classes = series_in(tmp_path / "in"), phantom()
    save_dicom_seg(classes, tmp_path / "seg.dcm", series=series, segments=SEGMENTS)
    affine = read_series(series).affine
    assert same_points(points_in_file(tmp_path / "seg.dcm"), points_of(classes, affine))
    assert not same_points(points_in_file(tmp_path / "seg.dcm"), points_of(classes[::-1], affine))
    assert not same_points(points_in_file(tmp_path / "seg.dcm"), points_of(classes[..., ::-1], affine))
    np.testing.assert_array_equal(by_highdicom(tmp_path / "seg.dcm", series, classes.shape), classes)


def write_enhanced(path: Path, order=(2, 0, 3, 1), volumes: int = 1) -> None:
    """Four slices in one file, in any order; of two volumes, one after the other."""
    write_slice(path, np.zeros((5, 6)), (0, 0, 0))
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, keyword)
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.NumberOfFrames = len(order) * volumes
    groups = []
    for volume in range(volumes):
        for place in order:
            group = pydicom.Dataset()
            for name, values in (
                ("PlanePosition", {"ImagePositionPatient": [1, 2, 3.5 * place]}),
                ("PlaneOrientation", {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}),
                ("PixelMeasures", {"PixelSpacing": [0.5, 0.25], "SliceThickness": 9}),
                ("FrameContent", {"TemporalPositionIndex": volume + 1}),
            ):
                item = pydicom.Dataset()
                for keyword, value in values.items():
                    setattr(item, keyword, value)
                setattr(group, f"{name}Sequence", [item])
            groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.PixelData = np.zeros((dataset.NumberOfFrames, 5, 6), np.uint16).tobytes()
    dataset.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("volumes", [1, 2])
def test_an_enhanced_source_is_referenced_by_its_own_frame_numbers(tmp_path, volumes):
    order = (2, 0, 3, 1)
    write_enhanced(tmp_path / "in.dcm", order, volumes)
    (series,) = find_series([tmp_path / "in.dcm"]).series
    classes = phantom()
    save_dicom_seg(classes, tmp_path / "seg.dcm", series=series, segments=SEGMENTS)
    assert same_points(points_in_file(tmp_path / "seg.dcm"), points_of(classes, read_series(series).affine))
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    for group in dataset.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        height = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        assert order[(int(source.ReferencedFrameNumber) - 1) % 4] * 3.5 == height
        assert source.ReferencedSOPInstanceUID == series.headers[0].SOPInstanceUID


def test_names_codes_and_the_patients_study_are_in_it(tmp_path):
    write_series(tmp_path / "in", StudyTime="12:16:24", PatientSex="unknown")  # as old programs write them
    segments = segments_of(["Lesion", "my own class"], ["", "SCT:10200004:Liver; SCT:123037004:Body structure"])
    save_dicom_seg(phantom(), tmp_path / "seg.dcm", series=series_in(tmp_path / "in"), segments=segments)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert [one.SegmentLabel for one in dataset.SegmentSequence] == ["Lesion", "my own class"]
    types = [one.SegmentedPropertyTypeCodeSequence[0] for one in dataset.SegmentSequence]
    assert [(one.CodingSchemeDesignator, one.CodeValue, one.CodeMeaning) for one in types] == [
        ("SCT", codes.SCT.Lesion.value, "Lesion"),
        ("SCT", "10200004", "Liver"),
    ]
    assert dataset.SegmentSequence[1].SegmentedPropertyCategoryCodeSequence[0].CodeMeaning == "Body structure"
    assert dataset.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "meddiff"
    assert {keyword: str(dataset.get(keyword)) for keyword in ("PatientName", "PatientID", "PatientBirthDate")} == {
        keyword: PLANTED[keyword] for keyword in ("PatientName", "PatientID", "PatientBirthDate")
    }
    assert (dataset.StudyInstanceUID, dataset.Modality, str(dataset.StudyTime)) == ("1.2", "SEG", "121624")
    sources = {one.SOPInstanceUID for one in series_in(tmp_path / "in").headers}
    assert {
        item.ReferencedSOPInstanceUID for item in dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    } == (sources)
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3"
    used = {group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            for group in dataset.PerFrameFunctionalGroupsSequence}  # fmt: skip
    assert len(used) == 3, "the plane without a segment is left out"
    assert used < sources


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_a_name_keeps_its_letters(tmp_path, charset):
    write_series(tmp_path / "in", SpecificCharacterSet=charset, PatientName="Müller^Jörg")
    save_dicom_seg(
        phantom(), tmp_path / "seg.dcm", series=series_in(tmp_path / "in"), segments=segments_of(["Läsion", "b"])
    )
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert (str(dataset.PatientName), dataset.SegmentSequence[0].SegmentLabel) == ("Müller^Jörg", "Läsion")


def test_an_empty_mask_is_a_file_of_empty_planes(tmp_path):
    write_series(tmp_path / "in")
    series, empty = series_in(tmp_path / "in"), np.zeros((6, 5, 4), np.uint8)
    save_dicom_seg(empty, tmp_path / "seg.dcm", series=series, segments=SEGMENTS)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert dataset.NumberOfFrames == 4 * 2
    assert not dataset.pixel_array.any()
    np.testing.assert_array_equal(by_highdicom(tmp_path / "seg.dcm", series, empty.shape), empty)


def test_the_same_mask_has_the_same_uids_and_another_has_others(tmp_path):
    write_series(tmp_path / "in")
    series, classes = series_in(tmp_path / "in"), phantom()
    for name, mask in (("a", classes), ("b", classes), ("c", classes * (classes == 1))):
        save_dicom_seg(mask, tmp_path / f"{name}.dcm", series=series, segments=SEGMENTS)
    a, b, c = (pydicom.dcmread(tmp_path / f"{name}.dcm").SOPInstanceUID for name in "abc")
    assert a == b != c


def several_enhanced(folder: Path) -> None:
    for number in range(2):
        write_enhanced(folder / f"{number}.dcm", (2 * number, 2 * number + 1))


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda folder: write_series(folder, step=(0, 1.0, 3.0)), "its gantry is tilted"),
        (lambda folder: write_series(folder, ImagePositionPatient=None), "ImagePositionPatient is missing"),
        (lambda folder: write_series(folder, StudyInstanceUID=None), "do not tell the StudyInstanceUID"),
        (several_enhanced, "lie in 2 multi-frame files"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(tmp_path, write, reason):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    with pytest.raises(InputError, match=reason) as told:
        save_dicom_seg(phantom(), tmp_path / "seg.dcm", series=series_in(tmp_path / "in"), segments=SEGMENTS)
    assert str(tmp_path / "in") in str(told.value) or "0.dcm" in str(told.value)
    assert not (tmp_path / "seg.dcm").exists()


def test_a_mask_of_another_size_and_classes_without_a_segment_are_refused(tmp_path):
    write_series(tmp_path / "in")
    files = sorted((tmp_path / "in").iterdir())
    with pytest.raises(InputError, match="the mask has 5 columns, 6 rows and 4 slices, series 7 thorax 6 columns"):
        save_dicom_seg(phantom().transpose(1, 0, 2).copy(), tmp_path / "seg.dcm", series=files, segments=SEGMENTS)
    with pytest.raises(ValueError, match="up to 1"):
        save_dicom_seg(phantom(), tmp_path / "seg.dcm", series=files, segments=SEGMENTS[:1])


def test_known_codes_are_those_of_snomed():
    for code in (code for pair in KNOWN.values() for code in pair):
        entry = getattr(codes.SCT, code.meaning.replace(" ", ""))
        assert (entry.scheme_designator, entry.value, entry.meaning) == (code.scheme, code.value, code.meaning)


def test_codes_are_read_from_the_recipe_or_refused():
    (one,) = segments_of(["mass"], ["SCT:108369006:Neoplasm"])
    assert (one.name, one.type.value, one.category.meaning) == (
        "mass",
        "108369006",
        "Morphologically Abnormal Structure",
    )
    unknown, longer = segments_of(["class 1", "a class of a long name"])
    assert (unknown.type.scheme, unknown.type.value) == (PRIVATE_SCHEME, "CLASS-1")
    assert len(longer.type.value) <= 16
    for wrong in ("SCT:1", "liver", "SCT:10200004:Liver", "SCT:12345678901234567:x", "a:b:c;d:e:f;g:h:i"):
        with pytest.raises(InputError, match="Write it as"):
            segments_of(["liver"], [wrong])
    with pytest.raises(InputError, match="2 segment codes for the 1 classes"):
        segments_of(["liver"], ["", ""])


REFUSED = {"gantrytilting": "gantry", "dcm_qa_ts": "mosaic", "dcm_qa_12bit": "mosaic"}


@pytest.mark.slow
@pytest.mark.real_data
def test_every_real_series_gets_a_segmentation_or_a_reason(real_data, tmp_path, capsys):
    from tests.formats.test_real_volumes import CASES

    table, wrong, written = Table("series", "what became of it", "frames"), [], 0
    for case in CASES:
        path = real_data / "dicom" / case.path
        if case.refused:
            continue
        (series,) = find_series(sorted(path.iterdir()) if path.is_dir() else [path]).series
        volume = read_series(series)
        classes = np.zeros(volume.shape, np.uint8)
        i, j, k = volume.shape
        classes[i // 4 : i // 4 + 3, j // 3 : j // 3 + 2, : k // 2 + 1] = 1
        classes[0, 0, k - 1] = classes[i - 1, j // 2, 0] = 2
        target = tmp_path / "seg.dcm"
        try:
            save_dicom_seg(classes, target, series=series, segments=SEGMENTS)
        except InputError as error:
            table.add_row(case.path, str(error).partition(": ")[2], "")
            expected = [reason for name, reason in REFUSED.items() if name in case.path]
            wrong += [] if expected and expected[0] in str(error) else [f"{case.path}: {error}"]
            continue
        written += 1
        count = pydicom.dcmread(target).NumberOfFrames
        right = same_points(points_in_file(target), points_of(classes, volume.affine), tolerance_mm=0.02)
        table.add_row(case.path, "written, read back at its place" if right else "WRONG", str(count))
        wrong += [] if right else [case.path]
    with capsys.disabled():
        Console(width=160).print("\n", table)
    assert not wrong, "\n".join(wrong)
    assert written >= 30


def test_the_sources_are_left_as_they_were(tmp_path):
    write_series(tmp_path / "in", PatientSex="X")
    shutil.copytree(tmp_path / "in", tmp_path / "copy")
    series, before = series_in(tmp_path / "in"), series_in(tmp_path / "in").headers
    save_dicom_seg(phantom(), tmp_path / "seg.dcm", series=series, segments=SEGMENTS)
    assert all(header == untouched for header, untouched in zip(series.headers, before, strict=True))
    for file in series.files:
        assert file.read_bytes() == (tmp_path / "copy" / file.name).read_bytes()
