"""Synthetic images as DICOM Secondary Capture (PS3.3 A.8.1), so that nobody takes one for a patient's.

Every place where software or a person looks says so: DERIVED, the conversion type SYN (the standard's word for a
synthetic image), the series description, the name SYNTHETIC instead of a patient's. Nothing is taken over from a
training image: there is no source to reference. A private block holds what is needed to draw the image again.
"""

import datetime
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import meddiff
from meddiff.files.writing import write_atomically

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

PRIVATE_GROUP, PRIVATE_CREATOR = 0x0099, "MEDDIFF SYNTHETIC"
NAME = "SYNTHETIC"  # in place of a patient's name and number
DESCRIPTION = "SYNTHETIC image, not of a patient"
GENERATOR, SEED, LABEL = 0x01, 0x02, 0x03  # elements of the private block


def save_secondary_capture(
    array: np.ndarray,
    path: str | Path,
    *,
    generator: str,
    seed: int,
    label: str = "",
    collection: str = "",
    number: int = 1,
) -> None:
    """Write a synthetic image. The same image of the same generator and seed gets the same UIDs.

    Args:
        array: uint8 [H, W] or [H, W, 3], or uint16 [H, W].
        path: the file, usually NAME.dcm.
        generator: what drew it, as in the manifest row of a synthetic image; stands in the private block.
        seed: of the image.
        label: its class, if it has one.
        collection: images of one collection form one study and series; empty takes the generator.
        number: of the image in its series, from 1.

    Raises:
        InputError: a disk that is full or may not be written to.
        ValueError: an array that such a file cannot hold.
    """
    fits = (array.dtype, array.ndim) in (("uint8", 2), ("uint8", 3), ("uint16", 2))
    if not fits or array.shape[2:] not in ((), (3,)):
        raise ValueError(f"uint8 [H, W] or [H, W, 3] or uint16 [H, W] is needed, not {array.dtype} {array.shape}")
    dataset = _identified(array, generator, seed, collection or generator, number)
    _describe(dataset, generator, seed, label)
    _fill(dataset, np.ascontiguousarray(array))
    write_atomically(Path(path), lambda file: dataset.save_as(file, enforce_file_format=True), durable=False)


def _identified(array: np.ndarray, generator: str, seed: int, collection: str, number: int) -> "FileDataset":
    """Begin the file: UIDs of its own, and the elements that every file has, empty where they would be a patient's."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    pixels = hashlib.sha256(array.tobytes()).hexdigest()
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, SecondaryCaptureImageStorage
    identity = ["synthetic", generator, str(seed), str(number), pixels]
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=identity)
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["synthetic study", collection])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["synthetic series", collection])
    dataset.PatientName = dataset.PatientID = NAME
    for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName", "StudyDate",
                    "StudyTime", "PatientOrientation", "Laterality"):  # fmt: skip
        setattr(dataset, keyword, "")
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = NAME, 1, number
    return dataset


def _describe(dataset: "FileDataset", generator: str, seed: int, label: str) -> None:
    now = datetime.datetime.now()
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.Modality, dataset.ConversionType = "OT", "SYN"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.StudyDescription = dataset.SeriesDescription = DESCRIPTION
    dataset.ImageComments = dataset.DerivationDescription = "Drawn by a generative model. It shows no patient."
    dataset.BurnedInAnnotation = "NO"
    dataset.Manufacturer = dataset.SecondaryCaptureDeviceManufacturer = "meddiff"
    dataset.SoftwareVersions = meddiff.__version__
    block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    block.add_new(GENERATOR, "UT", generator)
    block.add_new(SEED, "LO", str(seed))
    block.add_new(LABEL, "LO", label[:64])


def _fill(dataset: "FileDataset", array: np.ndarray) -> None:
    bits = array.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = array.shape[:2]
    dataset.SamplesPerPixel = 3 if array.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if array.ndim == 3 else "MONOCHROME2"
    if array.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    if bits == 16:  # few use all 65536 values: without a window most viewers show black
        low, high = int(array.min()), int(array.max())
        dataset.WindowCenter, dataset.WindowWidth = (low + high + 1) // 2, max(1, high - low + 1)
    content = array.astype(array.dtype.newbyteorder("<")).tobytes()
    dataset.add_new("PixelData", "OW" if bits == 16 else "OB", content + b"\0" * (len(content) % 2))
