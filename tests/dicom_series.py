"""DICOM files of one's own making, for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1, 0, 0, 0, 1, 0)
PLANTED = {"PatientName": "Planted^Name", "PatientID": "PLANTED-ID", "PatientBirthDate": "19010203",
           "InstitutionName": "Planted Hospital"}  # fmt: skip


def write_slice(path: Path, pixels: np.ndarray, position: Sequence[float], **known: Any) -> None:
    """One CT slice [rows, columns] at a position (LPS mm); ``known`` are further elements by keyword."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = known.get("SOPInstanceUID") or generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2",
        "SeriesNumber": 7,
        "SeriesDescription": "thorax",
        "Modality": "CT",
        "ImagePositionPatient": [float(value) for value in position],
        "ImageOrientationPatient": list(AXIAL),
        "PixelSpacing": [0.5, 0.25],
        "SliceThickness": 99.0,  # a lie: nothing may believe it
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
    } | PLANTED
    for keyword, value in (values | known).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.PixelData = pixels.astype(np.uint16).tobytes()
    dataset.save_as(path, enforce_file_format=True)


def write_series(
    folder: Path, count: int = 4, *, step: Sequence[float] = (0, 0, 3.0), seed: int = 0, **known: Any
) -> np.ndarray:
    """Slices 0.dcm, 1.dcm ... of noise, written in the wrong order; returns the stored values [slice, row, column]."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 4000, (count, 5, 6))
    for number in reversed(range(count)):
        position = np.array([-10.0, -20.0, 30.0]) + number * np.asarray(step)
        write_slice(folder / f"{number}.dcm", pixels[number], position, **{"InstanceNumber": count - number} | known)
    return pixels
