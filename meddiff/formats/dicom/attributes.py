"""Every attribute of DICOM that could change the value, the order or the place of a voxel, and what is done about it.

`docs/dicom.md` is made of this table, and a test shows each line on a file (`tests/formats/test_dicom_attributes.py`).
Sections are those of PS3.3 2024.
"""

from dataclasses import dataclass

from meddiff.formats.dicom.grid.marks import MARKS, Mark

WHAT = {
    "applied": "voxels have the value or the place that it tells",
    "divides": "slices that differ in it are sorted into volumes of their own",
    "refused": "the file or series is refused, and the sentence names it",
    "noted": "nothing changes, and what it means stands with the volume (`Volume.notes`, `inspect`)",
    "none": "nothing is changed, because it changes no stored value, order or place",
}


@dataclass(frozen=True)
class Attribute:
    """One line of the table."""

    name: str
    """Keyword, or what a private element is called."""
    module: str
    """Section of PS3.3."""
    done: str
    """A key of `WHAT`."""
    how: str
    by: str
    """The function of meddiff.formats.dicom that does it."""


def _none(names: str, module: str, why: str) -> list[Attribute]:
    return [Attribute(name, module, "none", why, "") for name in names.split()]


_PIXEL = "C.7.6.3"
_MEASURE, _STORED = "grid.measure.measure_of", "pixels.read_stored"
_PIXELS = (
    Attribute("BitsStored", _PIXEL, "applied", "the other bits of a cell are masked off, compressed or not", _STORED),
    Attribute("HighBit", _PIXEL, "applied", "values are shifted down where it is not BitsStored - 1", _STORED),
    Attribute("PixelRepresentation", _PIXEL, "applied", "the sign is that of bit HighBit", _STORED),
    Attribute("SamplesPerPixel", _PIXEL, "refused", "anything but 1 and 3", _STORED),
    Attribute("PhotometricInterpretation", _PIXEL, "applied",
              "YBR and palettes become RGB; MONOCHROME1 is noted; what is neither, or a mix, is refused", _STORED),
    Attribute("PlanarConfiguration", _PIXEL, "applied", "colors come last", _STORED),
    Attribute("RedPaletteColorLookupTableData", "C.7.9", "applied", "with those of green and blue", _STORED),
    Attribute("FloatPixelData", "C.7.6.24", "applied", "also DoubleFloatPixelData", _STORED),
    Attribute("OverlayBitPosition", "C.9.2", "applied", "an overlay inside the cells is masked off", _STORED),
    Attribute("PixelPaddingValue", "C.7.5.1", "applied",
              "voxels that hold it take the nearest value of the others; so for FloatPixelPaddingValue",
              "stack.read_series"),
    Attribute("PixelPaddingRangeLimit", "C.7.5.1", "applied", "all from PixelPaddingValue to it", "stack.read_series"),
    Attribute("Rows", _PIXEL, "refused", "slices that differ in it or in Columns", "grid.stacking.arrange"),
    Attribute("NumberOfFrames", "C.7.6.6", "refused", "frames without a position each", "frames.frames_of"),
    Attribute("LossyImageCompression", "C.7.6.1", "noted", "values are not those that were measured",
              "stack.read_series"),
    Attribute("BurnedInAnnotation", "C.7.6.1", "noted", "text and, it may be, a name in the picture",
              "stack.read_series"),
    *_none("SmallestImagePixelValue LargestImagePixelValue", _PIXEL, "the values tell themselves"),
    *_none("PixelAspectRatio", _PIXEL, "PixelSpacing is required"),
    *_none("ICCProfile", "C.11.15", "shown colors, not stored ones"),
    *_none("OverlayData", "C.9.2", "an overlay beside the pixels is not read"),
)  # fmt: skip
_VALUES = (
    Attribute("RescaleSlope", "C.11.1", "applied", "slice by slice, with RescaleIntercept", _MEASURE),
    Attribute("RescaleIntercept", "C.11.1", "applied", "slice by slice", _MEASURE),
    Attribute("RescaleType", "C.11.1", "applied", "is the unit, and divides as Units does", _MEASURE),
    Attribute("PixelValueTransformationSequence", "C.7.6.16.2.9", "applied",
              "per frame, shared, or as RescaleSlope of the whole file", _MEASURE),
    Attribute("ModalityLUTSequence", "C.11.1", "applied", "instead of RescaleSlope", _MEASURE),
    Attribute("RealWorldValueMappingSequence", "C.7.6.16.2.11", "applied",
              "slope, or table, and unit, where nothing rescales; noted where it says otherwise than the rescale; "
              "several meanings are refused", _MEASURE),
    Attribute("DoseGridScaling", "C.8.8.3", "applied", "with DoseUnits as the unit", _MEASURE),
    Attribute("Philips scale slope (2005,100E)", "private", "noted",
              "values are as displayed (RescaleSlope), also where slices have several scales", "stack.read_series"),
    Attribute("PresentationLUTShape", "C.11.6", "noted", "INVERSE turns what is shown, not what is stored",
              "stack.read_series"),
    *_none("WindowCenter WindowWidth VOILUTSequence VOILUTFunction", "C.11.2", "what is shown, not what is stored"),
    *_none("PixelIntensityRelationship", "C.8.7.1", "of projections, which are no volumes"),
    Attribute("Units CNTS", "C.8.9.1", "noted", "counts, whose scale is the scanner's own", "stack.read_series"),
    *_none("DecayCorrection DecayFactor SUVType", "C.8.9.1", "the values are corrected as it says"),
)  # fmt: skip
_PLACES = (
    Attribute("ImagePositionPatient", "C.7.6.2", "applied", "orders slices and places them", "grid.stacking.arrange"),
    Attribute("ImageOrientationPatient", "C.7.6.2", "applied", "several are refused", "grid.stacking.arrange"),
    Attribute("PixelSpacing", "C.7.6.2", "applied", "several are refused", "grid.stacking.arrange"),
    Attribute("FrameOfReferenceUID", "C.7.4.1", "refused",
              "several in a series, but where each file has its own: that is noted", "grid.stacking.arrange"),
    Attribute("GridFrameOffsetVector", "C.8.8.3", "applied", "places the frames of a dose", "frames.frames_of"),
    Attribute("NumberOfImagesInMosaic (Siemens CSA)", "private", "applied",
              "with SliceNormalVector and SpacingBetweenSlices: tiles become slices", "frames.frames_of"),
    Attribute("AnatomicalOrientationType", "C.7.6.1", "noted", "QUADRUPED: the axes are those of an animal",
              "stack.read_series"),
    Attribute("SOPInstanceUID", "C.12.1", "refused", "files that share it and differ; copies count once",
              "stack.stack_series"),
    Attribute("ConcatenationUID", "C.7.6.16.2.2", "applied", "all parts are one series", "grid.stacking.arrange"),
    *_none("SliceThickness SpacingBetweenSlices SliceLocation InStackPositionNumber GantryDetectorTilt", "C.7.6.2",
           "positions tell where slices lie"),
    *_none("ImagerPixelSpacing", "C.8.11.3", "that of the detector, not of the patient"),
    *_none("PatientPosition PatientOrientation", "C.7.3.1", "positions are those of the patient already"),
)  # fmt: skip


def _order(mark: Mark) -> Attribute:
    """Make the line of a mark."""
    shown = [group.replace("/", " > ") for group in mark.groups if "FrameType" not in group or "MR" in group]
    groups = " or ".join(shown)
    enhanced = f"in enhanced files {mark.keyword or mark.name} of {groups}" if groups else ""
    alike = "a volume whose slices differ in it is refused" if mark.alike else ""
    time = "where each slice has its own, its order at each place counts" if mark.time else ""
    how = "; ".join(part for part in (enhanced, alike, time) if part) or "by value"
    return Attribute(mark.name, mark.module, "divides", how, "grid.sorting.volumes_of")


_OTHERS = (
    Attribute("b-value and direction (Siemens, GE, Philips, UIH)", "private", "divides",
              "as DiffusionBValue and DiffusionGradientOrientation, which win", "grid.marks.marks_of"),
    Attribute("InstanceNumber", "C.7.6.1", "divides",
              "last, with the number of the frame, and only where numbers run place by place or volume by volume; "
              "else the series is refused", "grid.sorting.volumes_of"),
)  # fmt: skip
_KINDS = (
    Attribute("Segmentation (SEG)", "A.51", "refused", "is read as a mask of its image; in a study it is left out",
              "series.read_header"),
    Attribute("MR Spectroscopy", "A.36.3", "refused", "a spectrum for each voxel", "series.read_header"),
    Attribute("RT Structure Set, SR, PR, KO, RT Plan, encapsulated PDF", "A.19", "refused",
              "no rows and columns; in a study they are left out", "series.read_header"),
    Attribute("RT Dose", "A.18", "applied", "read where it is named; in a study it is no image", "series.choose"),
    Attribute("Parametric Map", "A.75", "applied", "as a dose", "series.choose"),
    Attribute("Secondary Capture", "A.8", "refused", "where it tells no position, as most do", "frames.frames_of"),
    Attribute("Ultrasound, endoscopy, microscopy, projections", "A.6", "refused", "they tell no position in a patient",
              "frames.frames_of"),
)  # fmt: skip
ATTRIBUTES: tuple[Attribute, ...] = (*_PIXELS, *_VALUES, *_PLACES, *map(_order, MARKS), *_OTHERS, *_KINDS)
_PARTS = {
    "Pixels": _PIXELS, "What values measure": _VALUES, "Where slices lie": _PLACES,
    "Which slices are one volume": (*map(_order, MARKS), *_OTHERS), "What is no image": _KINDS,
}  # fmt: skip


def page() -> str:
    """Write the table as Markdown."""
    text = ["# DICOM attributes", "", "<!-- made by meddiff.formats.dicom.attributes.page -->", ""]
    text += ["What the reader of DICOM series does about each attribute that could change the value, the order or the "
             "place of a voxel. Sections are those of DICOM PS3.3.", ""]  # fmt: skip
    text += [f"- **{word}**: {meaning}." for word, meaning in WHAT.items()]
    for title, rows in _PARTS.items():
        text += ["", f"## {title}", "", "| attribute | section | | what is done | by |", "|---|---|---|---|---|"]
        cells = [(row.name, row.module, row.done, row.how, f"`{row.by}`" if row.by else "") for row in rows]
        text += [f"| {' | '.join(row)} |" for row in cells]
    text += ["", "## One volume of several", "", *_NAMING]
    return "\n".join(text) + "\n"


_NAMING = (
    "A series that holds several volumes is read as one array with a fourth axis, in the order of the table above. One",
    "of them is named behind a `#`: by its number (`--series 7#2`), or by what tells it apart (`7#EchoTime=2.3`,",
    "`7#DiffusionBValue=1000#3`; where there is one series `#ImageType=WATER`). So is a part of a series that is no",
    "grid as a whole, such as one stack of several (`#StackID=2`). `load_volume(path, series=...)` takes the same.",
)
