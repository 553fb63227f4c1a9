"""Masks to DICOM Segmentation (PS3.3 A.51) through highdicom (Bridge et al. 2022): what PACS and viewers take.

A Volume's third axis runs along the normal of the slices, whatever the order of the files (see stacking). The frames
that each slice came from are known, so every plane of the mask is handed over beside the very file or frame that it
was drawn on, with that frame's position: nothing is resampled, fitted or guessed.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import meddiff
from meddiff.files.writing import write_atomically
from meddiff.formats.damage import damage_named
from meddiff.formats.dicom.codes import PRIVATE_SCHEME, Code, Segment
from meddiff.formats.dicom.references import made_by, planes_of, renumber, source_headers, with_thickness
from meddiff.formats.dicom.series import Series

if TYPE_CHECKING:
    from pydicom import Dataset


def save_dicom_seg(
    classes: np.ndarray, path: str | Path, *, series: Series | Sequence[Path], segments: Sequence[Segment],
    algorithm: str = "meddiff",
) -> None:  # fmt: skip
    """Write a mask as a binary DICOM Segmentation that references its source, frame by frame.

    **This is identified data.** The file belongs into the patient's study, so it repeats the patient's name, number,
    birth date and the study's UID from the source, as the standard demands. Pass it on only as you would the images.

    Planes without a segment are left out, as is usual; a mask that is empty all over is written with all its planes,
    all zero: a file that says "looked, found nothing" is not the same as no file. The same mask of the same series
    gets the same UIDs. Of several volumes on one grid the first one's frames are referenced. A source without a
    FrameOfReferenceUID (anonymizers take it out) stays tied by its images' UIDs, and the file gets a frame of reference
    of its own, which claims no relation to any other.

    Args:
        classes: uint8 [I, J, K], class indices in the axes of `read_series`; 0 is background.
        path: the file, usually NAME.dcm.
        series: the source, or its files.
        segments: of the classes from 1 on.
        algorithm: its name, for the record.

    Raises:
        InputError: a source without position, orientation or UIDs, a tilted gantry, a mosaic, slices over several
            multi-frame files; a mask of another size; a folder that may not be written to.
        ValueError: not uint8, or more classes than segments.
    """
    if classes.dtype != np.uint8 or int(classes.max(initial=0)) > len(segments):
        raise ValueError(f"classes must be uint8 up to {len(segments)}, not {classes.dtype} up to {classes.max()}")
    if not segments:
        raise ValueError("a Segmentation has at least one segment")
    path = Path(path)
    series, frames, planes = planes_of(classes, path, series, "mask")
    with damage_named(series.files[0], "the header"):
        built = _segmentation(planes, source_headers(series, frames), segments, algorithm, series.number)
        renumber(built, frames)
    write_atomically(path, lambda file: built.save_as(file, enforce_file_format=True), durable=False)


def _segmentation(
    planes: np.ndarray, headers: "list[Dataset]", segments: Sequence[Segment], algorithm: str, number: int | None
) -> Any:
    from highdicom.seg import Segmentation
    from pydicom.uid import generate_uid

    known = [headers[0].SeriesInstanceUID, headers[0].SOPInstanceUID, repr(segments), algorithm, "BINARY"]
    known += [meddiff.__version__, hashlib.sha256(planes.tobytes()).hexdigest()]
    built = Segmentation(
        source_images=headers,
        pixel_array=np.ascontiguousarray(planes),
        segmentation_type="BINARY",
        segment_descriptions=[_described(index, one, algorithm) for index, one in enumerate(segments, start=1)],
        series_instance_uid=generate_uid(entropy_srcs=["series", *known]),
        sop_instance_uid=generate_uid(entropy_srcs=["instance", *known]),
        content_label="SEGMENTATION",
        content_description="drawn by software, not by a person",
        series_description=f"Segmentation by {algorithm}"[:64],
        coding_schemes=_schemes(segments),
        **made_by(algorithm, number),
    )
    return with_thickness(built)


def _described(index: int, segment: Segment, algorithm: str) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    family = codes.cid7162.ArtificialIntelligence
    return SegmentDescription(
        segment_number=index,
        segment_label=segment.name[:64],
        segmented_property_category=_coded(segment.category),
        segmented_property_type=_coded(segment.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(algorithm[:64], family, meddiff.__version__),
    )


def _coded(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)


def _schemes(segments: Sequence[Segment]) -> list[Any] | None:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    if not any(segment.type.scheme == PRIVATE_SCHEME for segment in segments):
        return None
    return [CodingSchemeIdentificationItem(PRIVATE_SCHEME, name="class names of a meddiff model")]
