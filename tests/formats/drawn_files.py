"""SEG and RTSTRUCT files of one's own making, in any order and direction, for tests of what reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, uid
from pydicom.pixels import pack_bits

from meddiff.formats.open import load_volume
from tests.formats.dicom_files import item, write

LPS = np.array([-1.0, -1, 1])
SEG, LABELMAP, RTSTRUCT = (uid.UID(f"1.2.840.10008.5.1.4.1.1.{end}") for end in ("66.4", "66.7", "481.3"))
Shapes = Sequence[tuple[str, np.ndarray]]
"""Labels, and where they mark [I, J, K] (in [0, 1] for a fractional one)."""


def seg(
    path: Path, series: Path, shapes: Shapes, *, kind: str = "BINARY", axes: str = "ji", seed: int | None = None,
    whole: int = 255, **known: Any,
) -> Path:  # fmt: skip
    """A SEG whose rows and columns run along these axes of the volume, against them in capitals; shuffled by a seed."""
    volume = load_volume(series)
    frames = []
    if kind == "LABELMAP":
        labels = np.zeros(volume.shape)
        for number, (_, marked) in enumerate(shapes, 1):
            labels[marked > 0] = number
        frames = [(0, k, labels[..., k]) for k in range(volume.shape[2])]
    else:
        frames = [(number, k, marked[..., k]) for number, (_, marked) in enumerate(shapes, 1)
                  for k in range(volume.shape[2]) if marked[..., k].any()]  # fmt: skip
    if seed is not None:
        frames = [frames[place] for place in np.random.default_rng(seed).permutation(len(frames))]
    dataset = Dataset()
    dataset.SOPClassUID = LABELMAP if kind == "LABELMAP" else SEG
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = uid.generate_uid(), "1.2.4", "1.2"
    dataset.Modality, dataset.SegmentationType, dataset.NumberOfFrames = "SEG", kind, len(frames)
    dataset.FrameOfReferenceUID = volume.identifiers.get("frame_of_reference_uid", "1.2.9")
    dataset.ReferencedSeriesSequence = [item(SeriesInstanceUID=volume.identifiers["series_uid"])]
    dataset.SegmentSequence = [item(SegmentNumber=at, SegmentLabel=name) for at, (name, _) in enumerate(shapes, 1)]
    row, column = ("ijk".index(axis.lower()) for axis in axes)
    steps = [
        volume.affine[:3, at] * LPS * (-1 if axis.isupper() else 1)
        for at, axis in zip((row, column), axes, strict=True)
    ]
    lengths = [float(np.linalg.norm(step)) for step in steps]
    along = [*(steps[1] / lengths[1]).round(9), *(steps[0] / lengths[0]).round(9)]
    shared = [item(ImageOrientationPatient=along)], [item(PixelSpacing=lengths)]
    dataset.SharedFunctionalGroupsSequence = [item(PlaneOrientationSequence=shared[0], PixelMeasuresSequence=shared[1])]
    dataset.PerFrameFunctionalGroupsSequence, pictures = [], []
    for number, k, plane in frames:
        corner = [0, 0, k]
        for at, axis in zip((row, column), axes, strict=True):
            if axis.isupper():
                plane = np.flip(plane, at)
                corner[at] = volume.shape[at] - 1
        place = (volume.affine[:3, :3] @ corner + volume.affine[:3, 3]) * LPS
        group = item(PlanePositionSequence=[item(ImagePositionPatient=[float(f"{mm:.6f}") for mm in place])])
        if number:
            group.SegmentIdentificationSequence = [item(ReferencedSegmentNumber=number)]
        dataset.PerFrameFunctionalGroupsSequence.append(group)
        pictures.append(plane if (row, column) == (0, 1) else plane.T)
    pixels = np.array(pictures)
    dataset.Rows, dataset.Columns = pixels.shape[1:]
    bits = 1 if kind == "BINARY" else 8
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.SamplesPerPixel, dataset.PixelRepresentation = bits - 1, 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if kind == "FRACTIONAL":
        dataset.MaximumFractionalValue, dataset.SegmentationFractionalType = whole, "PROBABILITY"
        pixels = np.rint(pixels * whole)
    pixels = pixels.astype(np.uint8)
    packed = pack_bits(pixels.ravel(), pad=True) if bits == 1 else pixels.tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset["PixelData"].VR = "OB"
    for keyword, value in known.items():
        setattr(dataset, keyword, value)
    return write(dataset, path)


def rtstruct(path: Path, series: Path, regions: Mapping[str, Sequence[tuple[str, np.ndarray]]], **known: Any) -> Path:
    """An RTSTRUCT: region -> (kind, points [N, 3] as indices of the voxels of the series) of each contour."""
    volume = load_volume(series)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = RTSTRUCT, uid.generate_uid(), "RTSTRUCT"
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "1.2.5", "1.2"
    space = volume.identifiers.get("frame_of_reference_uid", "1.2.9")
    one = item(RTReferencedSeriesSequence=[item(SeriesInstanceUID=volume.identifiers["series_uid"])])
    dataset.ReferencedFrameOfReferenceSequence = [item(FrameOfReferenceUID=space, RTReferencedStudySequence=[one])]
    dataset.StructureSetROISequence = [item(ROINumber=at, ROIName=name, ReferencedFrameOfReferenceUID=space)
                                       for at, name in enumerate(regions, 1)]  # fmt: skip
    dataset.ROIContourSequence = []
    for number, contours in enumerate(regions.values(), 1):
        region = item(ReferencedROINumber=number)
        if contours:
            region.ContourSequence = []
        for kind, points in contours:
            place = (np.asarray(points, float) @ volume.affine[:3, :3].T + volume.affine[:3, 3]) * LPS
            region.ContourSequence.append(item(ContourGeometricType=kind, NumberOfContourPoints=len(points),
                                               ContourData=[float(f"{mm:.4f}") for mm in place.ravel()]))  # fmt: skip
        dataset.ROIContourSequence.append(region)
    for keyword, value in known.items():
        setattr(dataset, keyword, value)
    return write(dataset, path)


def outline(marked: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Contours [N, 3] around the pixels of a shape [I, J, K], between pixels, slice by slice; holes get their own."""
    contours = []
    for k in range(marked.shape[2]):
        plane = np.pad(marked[..., k], 1).astype(bool)
        edges = {}
        for i, j in np.argwhere(plane):
            for (di, dj), start, end in (((-1, 0), (0, 1), (0, 0)), ((1, 0), (1, 0), (1, 1)),
                                         ((0, -1), (0, 0), (1, 0)), ((0, 1), (1, 1), (0, 1))):  # fmt: skip
                if not plane[i + di, j + dj]:
                    edges.setdefault((i + start[0], j + start[1]), []).append((i + end[0], j + end[1]))
        while edges:
            at = next(iter(edges))
            points = []
            while at in edges:
                points.append(at)
                here = edges[at]
                follow = here.pop()
                if not here:
                    del edges[at]
                at = follow
            contours.append(("CLOSED_PLANAR", np.array([(i - 1.5, j - 1.5, k) for i, j in points], float)))
    return contours
