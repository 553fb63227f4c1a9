"""Each line of the table of DICOM attributes, shown on a file of one's own making."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import uid

from meddiff.errors import InputError
from meddiff.formats.dicom import attributes
from meddiff.formats.dicom.grid.marks import MARKS
from meddiff.formats.dicom.series import find_series
from meddiff.formats.open import load_volume
from meddiff.jobs.segment.predict import inputs_to_segment
from meddiff.recipe.commands import Predict
from tests.formats.dicom_files import (
    COLUMNS,
    CT,
    ROWS,
    again,
    compressed,
    dataset,
    enhanced,
    group,
    item,
    jumbled,
    mixed,
    mixed_enhanced,
    pixels_of,
    read,
    single,
    whole,
    write,
)  # fmt: skip

SHOWN: dict[str, Callable[[Path], None]] = {}
EIGHT_BITS = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}


def shows(*names: str):
    """The function shows these lines of the table."""

    def noted(function: Callable[[Path], None]) -> Callable[[Path], None]:
        SHOWN.update(dict.fromkeys(names, function))
        return function

    return noted


def _words(*values: int) -> bytes:
    return np.array(values, "<u2").tobytes()


def slice_of(volume) -> np.ndarray:
    """[rows, columns] or [rows, columns, 3] of a volume of one slice."""
    return np.moveaxis(volume.array[:, :, 0], 1, 0)


def segmented(folder: Path, **how: Any) -> list[str]:
    """What `segment predict` would segment there."""
    settings = Predict(checkpoint="", input=str(folder), output=str(folder / "out"), **how)
    return [one.name for one in inputs_to_segment(folder, settings)]


def refused(folder: Path, words: str, *files, **how: Any) -> str:
    with pytest.raises(InputError, match=words) as caught:
        read(folder, *files, **how)
    assert "Remove the duplicates" not in str(caught.value)
    return str(caught.value)


SYNTAXES = (None, uid.RLELossless, uid.JPEG2000Lossless, uid.JPEGLSLossless)


def bits(folder: Path, true: np.ndarray, cells: np.ndarray, **known: Any) -> None:
    """Cells of 16 bits in each transfer syntax, of which only some are the picture."""
    for number, syntax in enumerate(SYNTAXES):
        made = dataset(cells, **known)
        path = folder / str(number) / "x.dcm"
        write(compressed(made, syntax) if syntax else made, path, syntax=syntax or uid.ExplicitVRLittleEndian)
        assert np.array_equal(slice_of(load_volume(path)), true), syntax


@shows("BitsStored", "OverlayBitPosition")
def _bits_stored(folder):
    true = np.tile(pixels_of(), (16, 16))
    drawn = true | np.where(np.indices(true.shape)[0] < 20, np.uint16(0x1000), np.uint16(0))
    bits(folder, true, drawn, BitsStored=12, HighBit=11)


@shows("HighBit")
def _high_bit(folder):
    true = np.tile(pixels_of(), (16, 16))
    bits(folder, true, (true << 4) | 5, BitsStored=12, HighBit=15)
    bits(folder / "middle", true, (true << 2) | 0x4001, BitsStored=12, HighBit=13)
    refused(folder / "wrong", "bits up to bit 16 do not fit", dataset(pixels_of(), BitsStored=12, HighBit=16))
    refused(folder / "low", "bits up to bit 7 do not fit", dataset(pixels_of(), BitsStored=12, HighBit=7))


@shows("PixelRepresentation")
def _signed(folder):
    true = np.tile(pixels_of().astype(np.int16) - 2048, (16, 16))
    bits(folder, true, true.view(np.uint16) & 0x0FFF, BitsStored=12, HighBit=11, PixelRepresentation=1)
    bits(folder / "whole", true, true, BitsStored=16)


@shows("SamplesPerPixel")
def _samples(folder):
    made = dataset(np.zeros((ROWS, COLUMNS), np.uint8), SamplesPerPixel=4, PhotometricInterpretation="CMYK",
                   PixelData=bytes(4 * ROWS * COLUMNS), PlanarConfiguration=0, **EIGHT_BITS)  # fmt: skip
    refused(folder, "4 channels in CMYK", made)


@shows("PhotometricInterpretation")
def _photometric(folder):
    colors = np.random.default_rng(0).integers(60, 180, (ROWS, COLUMNS, 3)).astype(np.uint8)
    colors[:] = colors[:1, :1]  # one color, so that halving it changes nothing
    known = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, **EIGHT_BITS}
    luma = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    turned = np.rint(colors @ luma.T + [0, 128, 128]).astype(np.uint8)
    gray = np.zeros((ROWS, COLUMNS), np.uint8)
    for kind, stored in (("RGB", colors), ("YBR_FULL", turned)):
        volume = single(folder / kind, gray, PhotometricInterpretation=kind, PixelData=stored.tobytes(), **known)
        assert volume.color
        assert np.abs(slice_of(volume).astype(int) - colors).max() <= 1
    assert "MONOCHROME1" in single(folder / "1", PhotometricInterpretation="MONOCHROME1").notes[-1]
    refused(
        folder / "HSV", "in HSV", dataset(gray, PhotometricInterpretation="HSV", PixelData=colors.tobytes(), **known)
    )
    mix = dataset(pixels_of(), PhotometricInterpretation="MONOCHROME1"), dataset(pixels_of(), (0, 0, 1))
    refused(folder / "mix", "towards black in some files", *mix)


@shows("PlanarConfiguration")
def _planar(folder):
    colors = np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS, 3)).astype(np.uint8)
    volume = single(folder, colors[..., 0], SamplesPerPixel=3, PlanarConfiguration=1, PhotometricInterpretation="RGB",
                    PixelData=np.moveaxis(colors, 2, 0).tobytes(), **EIGHT_BITS)  # fmt: skip
    assert np.array_equal(slice_of(volume), colors)


@shows("RedPaletteColorLookupTableData")
def _palette(folder):
    tables: dict[str, Any] = {}
    for number, name in enumerate(("Red", "Green", "Blue")):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = (np.arange(4, dtype=np.uint16) * 257 + number * 2570).tobytes()
    index = (np.arange(ROWS * COLUMNS) % 4).astype(np.uint8).reshape(ROWS, COLUMNS)
    volume = single(folder, index, PhotometricInterpretation="PALETTE COLOR", **EIGHT_BITS, **tables)
    assert volume.array.shape == (COLUMNS, ROWS, 1, 3)
    assert len(np.unique(volume.array[..., 0])) == 4


@shows("FloatPixelData")
def _floats(folder):
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    known = {"BitsAllocated": 32, "BitsStored": None, "HighBit": None, "PixelRepresentation": None}
    made = dataset(values, FloatPixelData=values.tobytes(), RescaleIntercept=1, RescaleSlope=1, **known)
    assert np.allclose(slice_of(read(folder, made)), values + 1)


@shows("PixelPaddingValue")
def _padding(folder):
    true = pixels_of().astype(np.int16)
    true[0, 0] = -2000
    volume = single(folder, true, PixelPaddingValue=-2000, RescaleSlope=1, RescaleIntercept=-1024)
    assert volume.array.min() == np.sort(true.ravel())[1] - 1024
    assert volume.array[0, 0, 0] == volume.array.min()
    assert "1 voxels outside the picture" in volume.notes[-1]
    unpadded = single(folder / "no", true, RescaleSlope=1, RescaleIntercept=-1024)
    assert unpadded.array.min() == -3024
    known = {"BitsAllocated": 32, "BitsStored": None, "HighBit": None, "PixelRepresentation": None}
    values = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    values[1, 1] = 1e9
    made = dataset(values, FloatPixelData=values.tobytes(), FloatPixelPaddingValue=1e9, **known)
    assert read(folder / "float", made).array.max() == ROWS * COLUMNS - 1


@shows("PixelPaddingRangeLimit")
def _padding_range(folder):
    true = pixels_of().astype(np.int16)
    true[0, :3] = -2000, -1990, -1980
    volume = single(folder, true, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980)
    assert volume.array.min() > 0
    assert "3 voxels" in volume.notes[-1]


@shows("Rows")
def _sizes(folder):
    refused(folder, "different sizes", dataset(pixels_of()), dataset(pixels_of()[:-1], (0, 0, 1)))


@shows("NumberOfFrames", "Ultrasound, endoscopy, microscopy, projections")
def _frames(folder):
    made = dataset(pixels_of(), NumberOfFrames=3, PixelData=pixels_of(3).tobytes(), FrameIncrementPointer=0x00181063)
    refused(folder, "3 frames have no position", made)
    refused(folder / "us", "ImagePositionPatient is missing", dataset(pixels_of(), ImagePositionPatient=None))


def told(word: str, **known: Any) -> Callable[[Path], None]:
    """Nothing changes with these elements, and a note says what they mean."""

    def shown(folder: Path) -> None:
        _check_note(folder, word, known)

    return shown


SHOWN |= {
    "LossyImageCompression": told("loss", LossyImageCompression="01"),
    "BurnedInAnnotation": told("burned", BurnedInAnnotation="YES"),
    "PresentationLUTShape": told("inverted", PresentationLUTShape="INVERSE"),
    "AnatomicalOrientationType": told("four-legged", AnatomicalOrientationType="QUADRUPED"),
    "Units CNTS": told("counts", Units="CNTS", Modality="PT"),
}


def _check_note(folder: Path, word: str, known: dict[str, Any]) -> None:
    plain, told = single(folder / "a"), single(folder / "b", **known)
    assert np.array_equal(plain.array, told.array)
    assert word in told.notes[-1]
    assert not any(word in note for note in plain.notes)


def same(**known: Any) -> Callable[[Path], None]:
    """Nothing changes with these elements."""

    def shown(folder: Path) -> None:
        plain = read(folder / "a", *(dataset(pixels_of(2)[s], (0, 0, 3 * s)) for s in range(2)))
        told = read(folder / "b", *(dataset(pixels_of(2)[s], (0, 0, 3 * s), **known) for s in range(2)))
        assert np.array_equal(plain.array, told.array)
        assert np.array_equal(plain.affine, told.affine)
        assert plain.notes == told.notes

    return shown


NO_EFFECT = {
    "SmallestImagePixelValue": 1, "LargestImagePixelValue": 2, "PixelAspectRatio": [2, 1], "ICCProfile": b"\0" * 128,
    "WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "SIGMOID", "PixelIntensityRelationship": "LOG",
    "VOILUTSequence": [item(LUTDescriptor=[2, 0, 16], LUTData=_words(5, 6))], "DecayCorrection": "ADMIN",
    "DecayFactor": 1.5, "SUVType": "BW", "SliceThickness": 99, "SpacingBetweenSlices": 99, "SliceLocation": 99,
    "GantryDetectorTilt": 9,
    "InStackPositionNumber": 5, "ImagerPixelSpacing": [9, 9], "PatientPosition": "FFS",
    "PatientOrientation": ["P", "F"],
}  # fmt: skip
SHOWN |= {name: same(**{name: value}) for name, value in NO_EFFECT.items()}


@shows("OverlayData")
def _overlay_beside(folder):
    made = dataset(pixels_of())
    for tag, vr, value in ((0x60000010, "US", ROWS), (0x60000011, "US", COLUMNS), (0x60000040, "CS", "G"),
                           (0x60000050, "SS", [1, 1]), (0x60000100, "US", 1), (0x60000102, "US", 0),
                           (0x60003000, "OB", b"\xff" * 4)):  # fmt: skip
        made.add_new(tag, vr, value)
    assert np.array_equal(slice_of(read(folder, made)), pixels_of())


@shows("RescaleSlope", "RescaleIntercept", "RescaleType")
def _rescale(folder):
    true = pixels_of(2)
    files = [dataset(true[s], (0, 0, s), Modality="CT", SOPClassUID=CT, RescaleSlope=s + 0.5, RescaleIntercept=-s,
                     RescaleType="US" if s < 0 else "HU") for s in range(2)]  # fmt: skip
    volume = read(folder, *files)
    assert np.allclose(volume.array, np.stack([true[s] * (s + 0.5) - s for s in range(2)]).transpose(2, 1, 0))
    assert volume.units == "HU"


@shows("PixelValueTransformationSequence")
def _rescale_of_frames(folder):
    true = pixels_of(2)
    told = [[group("PixelValueTransformationSequence", RescaleSlope=s + 2, RescaleIntercept=5, RescaleType="HU")]
            for s in range(2)]  # fmt: skip
    per_frame = read(folder / "frames", enhanced([(true[s], s, told[s]) for s in range(2)]))
    assert np.array_equal(per_frame.array, np.stack([true[s] * (s + 2.0) + 5 for s in range(2)]).transpose(2, 1, 0))
    plain = [(true[s], s, []) for s in range(2)]
    of_file = read(folder / "file", enhanced(plain, RescaleSlope=3, RescaleIntercept=-7))
    assert np.array_equal(of_file.array, (true * 3.0 - 7).transpose(2, 1, 0))
    made = enhanced(plain)
    made.SharedFunctionalGroupsSequence[0].update(told[0][0])
    assert np.array_equal(read(folder / "shared", made).array, (true * 2.0 + 5).transpose(2, 1, 0))


@shows("ModalityLUTSequence")
def _modality_table(folder):
    index = (np.arange(ROWS * COLUMNS) % 6).astype(np.uint16).reshape(ROWS, COLUMNS)
    table = item(LUTDescriptor=[4, 1, 16], LUTData=_words(10, 200, 30, 1000), ModalityLUTType="OD")
    volume = single(folder, index, ModalityLUTSequence=[table])
    assert np.array_equal(slice_of(volume), np.array([10, 10, 200, 30, 1000, 1000])[index])
    assert volume.units == "OD"
    table.LUTData = _words(1)
    refused(folder / "short", "Modality LUT", dataset(index, ModalityLUTSequence=[table]))


def _mapping(slope: float, unit: str, **known: Any):
    code = item(CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning=unit)
    ends = {"RealWorldValueFirstValueMapped": 0, "RealWorldValueLastValueMapped": 4095, "RealWorldValueIntercept": 1.0}
    return item(RealWorldValueSlope=slope, MeasurementUnitsCodeSequence=[code], **ends | known)


@shows("RealWorldValueMappingSequence")
def _real_world(folder):
    true = pixels_of()
    alone = single(folder / "alone", RealWorldValueMappingSequence=[_mapping(0.5, "mm2/s")])
    assert np.allclose(slice_of(alone), true * 0.5 + 1)
    assert alone.units == "mm2/s"
    frame = group("RealWorldValueMappingSequence", **{e.keyword: e.value for e in _mapping(2.0, "ms")})
    assert np.array_equal(slice_of(read(folder / "frame", enhanced([(true, 0, [frame])]))), true * 2.0 + 1)
    both = single(
        folder / "both", RealWorldValueMappingSequence=[_mapping(0.5, "mm2/s")], RescaleSlope=3, RescaleIntercept=0
    )
    assert np.array_equal(slice_of(both), true * 3.0)
    assert "mm2/s" in both.notes[-1]
    like = _mapping(3.0, "1", RealWorldValueIntercept=0.0)
    assert "Real World" not in str(single(folder / "like", RealWorldValueMappingSequence=[like], RescaleSlope=3).notes)
    two = [_mapping(0.5, "mm2/s"), _mapping(0.7, "g/ml")]
    refused(folder / "two", "2 meanings.*g/ml", dataset(true, RealWorldValueMappingSequence=two))
    table = item(RealWorldValueFirstValueMapped=1, RealWorldValueLUTData=[0.5, 7.0])
    stored = np.ones((ROWS, COLUMNS), np.uint16) + np.eye(ROWS, COLUMNS, dtype=np.uint16)
    mapped = single(folder / "table", stored, RealWorldValueMappingSequence=[table])
    assert np.array_equal(slice_of(mapped), np.where(np.eye(ROWS, COLUMNS), 7.0, 0.5))


@shows("DoseGridScaling", "GridFrameOffsetVector", "RT Dose")
def _dose(folder):
    true = pixels_of(3)
    known = {"Modality": "RTDOSE", "SOPClassUID": uid.RTDoseStorage, "NumberOfFrames": 3, "DoseUnits": "GY",
             "GridFrameOffsetVector": [0, 2, 4], "DoseGridScaling": 0.01, "RescaleSlope": 1, "RescaleIntercept": 0,
             "SeriesInstanceUID": "1.9", "SeriesNumber": 9}  # fmt: skip
    dose = dataset(true[0], PixelData=true.tobytes(), **known)
    volume = read(folder / "alone", dose)
    assert np.allclose(volume.array, true.transpose(2, 1, 0) * 0.01)
    assert (volume.units, volume.spacing_mm[2]) == ("GY", 2.0)
    write(dose, folder / "study" / "dose.dcm")
    write(dataset(true[0]), folder / "study" / "image.dcm")
    assert segmented(folder / "study") == ["series_7"]
    assert load_volume(folder / "study").modality == "MR"
    assert load_volume(folder / "study", series=9).modality == "RTDOSE"


@shows("Parametric Map")
def _map(folder):
    values = np.ones((ROWS, COLUMNS), np.float32)
    made = dataset(values, SOPClassUID=uid.ParametricMapStorage, FloatPixelData=values.tobytes(), BitsAllocated=32,
                   BitsStored=None, HighBit=None, SeriesInstanceUID="1.8", SeriesNumber=8,
                   RealWorldValueMappingSequence=[_mapping(2.0, "ms")])  # fmt: skip
    write(made, folder / "map.dcm")
    write(dataset(pixels_of()), folder / "image.dcm")
    assert segmented(folder) == ["series_7"]
    volume = load_volume(folder, series=8)
    assert (volume.units, volume.array.max()) == ("ms", 3.0)


@shows("Philips scale slope (2005,100E)")
def _philips(folder):
    def made(place: float, scale: float):
        one = dataset(pixels_of(), (0, 0, place), RescaleSlope=2, RescaleIntercept=0)
        one.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", scale)
        return one

    one, other = read(folder / "a", made(0, 0.5), made(1, 0.5)), read(folder / "b", made(0, 0.5), made(1, 0.6))
    assert np.array_equal(one.array, other.array)
    assert one.array.max() == pixels_of().max() * 2
    assert "Philips" not in str(one.notes)
    assert "Philips" in other.notes[-1]


@shows("ImagePositionPatient")
def _positions(folder):
    true = pixels_of(3)
    files = [dataset(true[s], (5, 6, 10 - 3 * s), InstanceNumber=s) for s in range(3)]
    volume = read(folder, *files)
    assert np.array_equal(volume.array, true[::-1].transpose(2, 1, 0))
    assert np.array_equal(volume.affine[:3, 3], [-5, -6, 4])


@shows("ImageOrientationPatient")
def _orientations(folder):
    files = [
        dataset(pixels_of(), (0, 0, 0)),
        dataset(pixels_of(), (0, 0, 1), ImageOrientationPatient=[0, 1, 0, 0, 0, 1]),
    ]
    refused(folder, "2 different orientations", *files)


@shows("PixelSpacing")
def _spacings(folder):
    refused(
        folder, "different pixel spacings", dataset(pixels_of()), dataset(pixels_of(), (0, 0, 1), PixelSpacing=[2, 2])
    )


@shows("FrameOfReferenceUID")
def _spaces(folder):
    uids = ["1.1", "1.1", "1.2", "1.2"]
    files = [dataset(pixels_of(), (0, 0, s), FrameOfReferenceUID=space) for s, space in enumerate(uids)]
    refused(folder / "two", "2 frames of reference", *files)
    files = [dataset(pixels_of(), (0, 0, s), FrameOfReferenceUID=f"1.{s}") for s in range(4)]
    assert "frame of reference of its own" in read(folder / "each", *files).notes[0]


@shows("NumberOfImagesInMosaic (Siemens CSA)")
def _mosaic(folder):
    made = dataset(pixels_of(), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    refused(folder, "mosaic without the private header", made)  # read ones: test_real_volumes


@shows("SOPInstanceUID")
def _instances(folder):
    files = [dataset(pixels_of(seed=s), (0, 0, s), SOPInstanceUID="1.5") for s in range(2)]
    refused(folder, "claim to be the same slice", *files)


@shows("ConcatenationUID")
def _concatenation(folder):
    true = pixels_of(4)
    parts = [enhanced([(true[s], s, []) for s in some], ConcatenationUID="1.7", InConcatenationNumber=number)
             for number, some in ((2, (2, 3)), (1, (0, 1)))]  # fmt: skip
    assert np.array_equal(read(folder, *parts).array, true.transpose(2, 1, 0))


VALUES: dict[str, tuple] = {
    "Units": ("BQML", "CNTS", "PROPCPS"), "EchoTime": (4.6, 2.3, 6.9), "DiffusionBValue": (0.0, 1000.0, 500.0),
    "DiffusionDirectionality": ("NONE", "DIRECTIONAL", "ISOTROPIC"),
    "DiffusionGradientOrientation": ([1.0, 0, 0], [0, 1.0, 0], [0, 0.6, 0.8]),
    "ImageType": (["DERIVED", "PRIMARY", "WATER"], ["DERIVED", "PRIMARY", "FAT"], ["DERIVED", "PRIMARY", "IN"]),
    "ComplexImageComponent": ("MAGNITUDE", "PHASE", "REAL"), "MetaboliteMapDescription": ("WATER", "FAT", "LIPID"),
    "VelocityEncodingDirection": ([1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]),
    "ASLContext": ("LABEL", "CONTROL", "M_ZERO_SCAN"), "ConvolutionKernel": ("B30f", "B70f", "I31"),
    "ContrastBolusAgent": ("NO", "YES", "LATE"), "StackID": ("1", "2", "3"),
    "SequenceName": ("*ep_b0", "*ep_b1000#1", "*ep_b1000#2"),
    "AcquisitionTime": ("235955", "101500.5", "101500.25"), "FrameReferenceTime": (30000.0, 0.0, 60000.0),
}  # fmt: skip


def values_of(name: str) -> tuple:
    return VALUES.get(name, (3, 1, 2))


@pytest.mark.parametrize(
    "mark", [mark for mark in MARKS if mark.name != "DimensionIndexValues"], ids=lambda mark: mark.name
)
def test_single_frame_files_are_sorted_by_each_mark(tmp_path, mark):
    values = values_of(mark.name)
    extra = {"Modality": "PT"} if mark.name == "Units" else {}
    assert mixed(tmp_path / "by", lambda v, s: {mark.name: values[v]} | extra)
    with pytest.raises(InputError, match="cannot be sorted into volumes") as caught:
        mixed(tmp_path / "without", lambda v, s: {})
    assert "Remove" not in str(caught.value)


GROUPS = [(mark, place) for mark in MARKS for place in mark.groups]


@pytest.mark.parametrize(("mark", "place"), GROUPS, ids=[f"{mark.name}-{place}" for mark, place in GROUPS])
def test_frames_are_sorted_by_each_mark(tmp_path, mark, place):
    keyword = mark.keyword or mark.name
    values: tuple = values_of(mark.name)
    if keyword.endswith("DateTime"):
        values = ("20240101235959.5", "20240102000001", "20240101235959.25")
    if keyword == "InversionTimes":
        values = ([30.0, 60.0], [30.0, 90.0], [40.0, 60.0])
    if keyword == "DimensionIndexValues":
        assert mixed_enhanced(tmp_path, lambda v, s: [group(place, DimensionIndexValues=[1, s + 1, v + 1])])
        return
    assert mixed_enhanced(tmp_path, lambda v, s: [group(place, **{keyword: values[v]})])


@shows("InstanceNumber")
def _numbers(folder):
    truth = pixels_of(2, 3)
    for name, order in (("volumes", [(v, s) for v in range(2) for s in (2, 0, 1)]),
                        ("places", [(v, s) for s in (2, 0, 1) for v in range(2)])):  # fmt: skip
        files = [dataset(truth[v, s], (0, 0, s), InstanceNumber=number) for number, (v, s) in enumerate(order)]
        assert np.array_equal(read(folder / name, *files).array, truth.transpose(3, 2, 1, 0)), name
    files = [dataset(truth[v, s], (0, 0, s), InstanceNumber=number) for number, (v, s) in enumerate(jumbled(2, 3))]
    assert "jump from place to place" in refused(folder / "jumbled", "cannot be sorted into volumes", *files)


def _direction(place: int, creator: str, first: int, vr: str) -> list[tuple]:
    """One element per axis."""
    return [(place, creator, first + axis, vr, lambda b, g, axis=axis: g[axis]) for axis in range(3)]


PRIVATE = {
    "Siemens": [
        (0x19, "SIEMENS MR HEADER", 0x0C, "IS", lambda b, g: b),
        (0x19, "SIEMENS MR HEADER", 0x0E, "FD", lambda b, g: g),
    ],
    "GE": [
        (0x43, "GEMS_PARM_01", 0x39, "IS", lambda b, g: [b + 10**9, 0, 0, 0]),
        *_direction(0x19, "GEMS_ACQU_01", 0xBB, "DS"),
    ],
    "Philips": [
        (0x2001, "Philips Imaging DD 001", 0x03, "FL", lambda b, g: b),
        *_direction(0x2005, "Philips MR Imaging DD 001", 0xB0, "FL"),
    ],
    "UIH": [
        (0x65, "Image Private Header", 0x09, "FD", lambda b, g: b),
        (0x65, "Image Private Header", 0x37, "FD", lambda b, g: g),
    ],
}


@pytest.mark.parametrize("maker", PRIVATE)
@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian], ids=["explicit", "implicit"]
)
def test_diffusion_in_private_elements(tmp_path, maker, syntax):
    truth = pixels_of(4, 3)
    known = [(0, [0, 0, 0]), (1000, [1, 0, 0]), (1000, [0, 1, 0]), (2000, [0, 1, 0])]
    for number, (v, s) in enumerate(jumbled(4, 3)):
        made = dataset(truth[v, s], (0, 0, s), InstanceNumber=number)
        for place, creator, element, vr, value in PRIVATE[maker]:
            made.private_block(place, creator, create=True).add_new(element, vr, value(*known[v]))
        write(made, tmp_path / f"{number}.dcm", syntax=syntax)
    volume = load_volume(tmp_path)
    assert whole(volume, truth)
    assert "DiffusionBValue: 0, 1000, 2000" in volume.notes[0]
    b_1000 = load_volume(tmp_path, series="#DiffusionBValue=1000")
    assert whole(b_1000, truth[1:3])


@shows("Segmentation (SEG)", "MR Spectroscopy")
def _segmentation(folder):
    write(dataset(pixels_of()), folder / "image.dcm")
    for kind in (uid.SegmentationStorage, uid.MRSpectroscopyStorage, uid.UID("1.2.840.10008.5.1.4.1.1.66.7")):
        path = write(dataset(pixels_of(), SOPClassUID=kind, SeriesInstanceUID="1.7"), folder / "other.dcm")
        assert find_series([folder / "image.dcm", path]).others == (path,)
        assert segmented(folder) == ["series_7"]
        with pytest.raises(InputError, match="no image"):
            load_volume(path)


@shows("RT Structure Set, SR, PR, KO, RT Plan, encapsulated PDF")
def _no_rows(folder):
    kinds = (uid.RTStructureSetStorage, uid.ComprehensiveSRStorage, uid.GrayscaleSoftcopyPresentationStateStorage,
             uid.KeyObjectSelectionDocumentStorage, uid.RTPlanStorage, uid.EncapsulatedPDFStorage)  # fmt: skip
    for kind in kinds:
        made = dataset(pixels_of(), SOPClassUID=kind, Rows=None, Columns=None, PixelData=None)
        path = write(made, folder / "x.dcm")
        with pytest.raises(InputError, match=f"no image: {re.escape(kind.name)}"):
            load_volume(path)


@shows("Secondary Capture")
def _capture(folder):
    known = {"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "OT"}
    refused(folder, "ImagePositionPatient is missing", dataset(pixels_of(), ImagePositionPatient=None, **known))
    assert single(folder / "placed", **known).shape == (COLUMNS, ROWS, 1)


def test_every_line_of_the_table_is_shown():
    elsewhere = {mark.name for mark in MARKS} | {"b-value and direction (Siemens, GE, Philips, UIH)"}
    assert set(SHOWN) | elsewhere == {one.name for one in attributes.ATTRIBUTES}
    assert len({one.name for one in attributes.ATTRIBUTES}) == len(attributes.ATTRIBUTES)
    assert {one.done for one in attributes.ATTRIBUTES} == set(attributes.WHAT)


@pytest.mark.parametrize("name", SHOWN)
def test_the_line_is_true(tmp_path, name):
    SHOWN[name](tmp_path)


@pytest.mark.parametrize("name", sorted({one.by for one in attributes.ATTRIBUTES if one.by}))
def test_the_function_is_there(name):
    from importlib import import_module

    module, _, function = name.rpartition(".")
    assert callable(getattr(import_module(f"meddiff.formats.dicom.{module}"), function))


def test_the_page_is_the_table():
    page = Path(__file__).parents[2] / "docs" / "dicom.md"
    how = "python -c \"from meddiff.formats.dicom.attributes import page; print(page(), end='')\" > docs/dicom.md"
    assert page.read_text() == attributes.page(), f"make it again: {how}"


def test_one_echo_that_is_rounded_otherwise_is_no_echo_of_its_own(tmp_path):
    truth = pixels_of(2, 4)
    for name, echoes in (("one", (2.3,)), ("two", (2.3, 4.6))):
        files = [dataset(truth[v, s], (0, 0, s), EchoTime=2.301 if (v, s) == (0, 2) else echo, InstanceNumber=9 - s)
                 for v, echo in enumerate(echoes) for s in range(4)]  # fmt: skip
        volume = read(tmp_path / name, *files)
        want = truth[: len(echoes)].transpose(3, 2, 1, 0)
        assert np.array_equal(volume.array.reshape(want.shape), want), name


def test_times_of_each_slice_sort_by_their_order_at_each_place(tmp_path):
    rates = (0, 7, 3)
    assert mixed(tmp_path / "cine", lambda v, s: {"TriggerTime": 30.0 * v + rates[s] * (v + 1)})
    night = [("20240101", "235950"), ("20240102", "000010"), ("20240102", "000030")]
    assert mixed(tmp_path / "night", lambda v, s: {"AcquisitionDate": night[v][0],
                                                  "AcquisitionTime": f"{int(night[v][1]) + s:06d}"})  # fmt: skip


def test_a_dynamic_pet_is_read_and_a_part_of_it_named(tmp_path):
    truth = pixels_of(3, 3)
    files = [dataset(truth[v, s], (0, 0, s), Modality="PT", SOPClassUID=uid.PositronEmissionTomographyImageStorage,
                     Units="BQML", FrameReferenceTime=1000.0 * v, InstanceNumber=number, RescaleSlope=v + s + 1.0,
                     RescaleIntercept=0) for number, (v, s) in enumerate(jumbled(3, 3))]  # fmt: skip
    volume = read(tmp_path, *files)
    slopes = np.add.outer(np.arange(3), np.arange(3))[..., None, None] + 1.0
    assert np.array_equal(volume.array, (truth * slopes).transpose(3, 2, 1, 0))
    second = load_volume(tmp_path, series="7#2")
    assert np.array_equal(second.array, volume.array[..., 1])
    assert segmented(tmp_path, series="#2") == ["series_7_2"]


def test_a_refusal_names_the_part_that_can_be_read(tmp_path):
    truth = pixels_of(2, 5)
    files = [dataset(truth[v, s], (0, 0, s), EchoTime=echo)
             for v, echo in enumerate((2.3, 4.6)) for s in range(5) if (v, s) != (1, 3)]  # fmt: skip
    told = refused(tmp_path, "another number", *files)
    assert "#EchoTime=2.3 or #EchoTime=4.6" in told
    assert np.array_equal(load_volume(tmp_path, series="made#EchoTime=2.3").array, truth[0].transpose(2, 1, 0))
    with pytest.raises(InputError, match="slices are missing"):
        load_volume(tmp_path, series="#EchoTime=4.6")
    with pytest.raises(InputError, match=r"no slice has EchoTime=9\. .*EchoTime=2.3 or 4.6"):
        load_volume(tmp_path, series="#EchoTime=9")
    with pytest.raises(InputError, match="no volume 5, the series holds 1"):
        load_volume(tmp_path, series="#EchoTime=2.3#5")


def test_one_stack_of_several_is_named(tmp_path):
    truth = pixels_of(2, 3)
    frames = [
        (truth[v, s], 10.0 * v + s, [group("FrameContentSequence", StackID=str(v + 1))])
        for v in range(2)
        for s in range(3)
    ]
    told = refused(tmp_path, "distances are uneven|slices are missing", enhanced(frames))
    assert "#StackID=1" in told
    assert np.array_equal(load_volume(tmp_path, series="#StackID=2").array, truth[1].transpose(2, 1, 0))


def test_a_kind_that_changes_along_a_volume_is_refused(tmp_path):
    files = [dataset(pixels_of(), (0, 0, s), DiffusionBValue=1000.0 * (s > 1)) for s in range(4)]
    assert "#DiffusionBValue=0" in refused(tmp_path, "cannot be sorted into volumes: DiffusionBValue differs", *files)
    assert again(tmp_path / "00.dcm").DiffusionBValue == 0
