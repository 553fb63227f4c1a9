"""DICOM files of one's own making with any element, single-frame and enhanced, for tests of the reader."""

from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset, uid
from pydicom.dataset import FileMetaDataset

from meddiff.formats.open import load_volume
from meddiff.formats.volume import Volume

ROWS, COLUMNS = 4, 6
MR, CT, ENHANCED_MR = uid.MRImageStorage, uid.CTImageStorage, uid.EnhancedMRImageStorage


def pixels_of(*shape: int, seed: int = 0) -> np.ndarray:
    """Noise of 12 bits."""
    return np.random.default_rng(seed).integers(1, 4096, (*shape, ROWS, COLUMNS)).astype(np.uint16)


def dataset(pixels: np.ndarray, position: Sequence[float] = (0, 0, 0), **known: Any) -> Dataset:
    """One slice [rows, columns]; ``known`` are elements by keyword, None takes one out."""
    made = Dataset()
    values = {
        "SOPClassUID": MR, "SOPInstanceUID": uid.generate_uid(), "SeriesInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2", "SeriesNumber": 7, "SeriesDescription": "made", "Modality": "MR",
        "FrameOfReferenceUID": "1.2.9",
        "ImagePositionPatient": [float(value) for value in position], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [1, 1], "Rows": pixels.shape[0], "Columns": pixels.shape[1], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }  # fmt: skip
    for keyword, value in (values | known).items():
        if value is not None:
            setattr(made, keyword, value)
    if not any(keyword in known for keyword in ("PixelData", "FloatPixelData")):
        made.PixelData = pixels.tobytes()
        made["PixelData"].VR = "OW" if pixels.itemsize > 1 else "OB"
    return made


def write(made: Dataset, path: Path, *, syntax: uid.UID = uid.ExplicitVRLittleEndian) -> Path:
    """A file of a dataset; a syntax other than the plain one is what it was compressed with."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    made.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def read(folder: Path, *files: Dataset, series: str | None = None) -> Volume:
    """What is read of a series of these files."""
    for number, one in enumerate(files):
        write(one, folder / f"{number:02d}.dcm")
    return load_volume(folder, series=series)


def single(folder: Path, pixels: np.ndarray | None = None, **known: Any) -> Volume:
    """What is read of one slice; its pixels are [rows, columns]."""
    return read(folder, dataset(pixels_of() if pixels is None else pixels, **known))


def item(**known: Any) -> Dataset:
    made = Dataset()
    for keyword, value in known.items():
        setattr(made, keyword, value)
    return made


def group(sequence: str, **known: Any) -> Dataset:
    """A functional group, in a dataset; those inside others with a / between them."""
    for name in reversed(sequence.split("/")):
        inside = item(**known)
        known = {name: [inside]}
    return item(**known)


def enhanced(frames: Sequence[tuple[np.ndarray, float, list[Dataset]]], **known: Any) -> Dataset:
    """An enhanced file of frames: pixels, place and functional groups of each."""
    per_frame = []
    for _, place, groups in frames:
        one = group("PlanePositionSequence", ImagePositionPatient=[0, 0, place])
        for more in groups:
            one.update({element.tag: element for element in more if element.tag not in one})
        per_frame.append(one)
    shared = group("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.update(group("PixelMeasuresSequence", PixelSpacing=[1, 1]))
    stacked = np.stack([pixels for pixels, _, _ in frames])
    gone = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    made = dataset(stacked[0], SOPClassUID=ENHANCED_MR, NumberOfFrames=len(frames), **gone | known)
    made.PixelData = stacked.tobytes()
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], per_frame
    return made


def jumbled(volumes: int, slices: int) -> list[tuple[int, int]]:
    """(volume, slice) in an order that tells nothing."""
    return [(int(v), int(s)) for v, s in np.random.default_rng(1).permutation(list(np.ndindex(volumes, slices)))]


def whole(volume: Volume, truth: np.ndarray) -> bool:
    """Whether [volume, slice, row, column] came back, in whatever order of volumes."""
    want = truth.transpose(3, 2, 1, 0)
    return any(np.array_equal(volume.array, want[..., list(order)]) for order in permutations(range(len(truth))))


def mixed(folder: Path, mark: Callable[[int, int], dict[str, Any]], *, volumes: int = 3, slices: int = 3) -> bool:
    """Whether single-frame files in an order that tells nothing are sorted by what ``mark`` gives them."""
    truth = pixels_of(volumes, slices)
    files = [dataset(truth[v, s], (0, 0, 2 * s), InstanceNumber=number, **mark(v, s))
             for number, (v, s) in enumerate(jumbled(volumes, slices))]  # fmt: skip
    return whole(read(folder, *files), truth)


def mixed_enhanced(
    folder: Path, mark: Callable[[int, int], list[Dataset]], *, volumes: int = 3, slices: int = 3
) -> bool:
    """The same of one enhanced file."""
    truth = pixels_of(volumes, slices)
    frames = [(truth[v, s], 2.0 * s, mark(v, s)) for v, s in jumbled(volumes, slices)]
    return whole(read(folder, enhanced(frames)), truth)


def compressed(made: Dataset, syntax: uid.UID) -> Dataset:
    """With pixels packed by a syntax; all 16 bits, as tools do that look at BitsAllocated."""
    bits = made.BitsStored, made.HighBit
    made.BitsStored, made.HighBit = 16, 15
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.file_meta = meta
    made.compress(syntax, generate_instance_uid=False)
    made.BitsStored, made.HighBit = bits
    return made


def again(path: Path) -> Dataset:
    return pydicom.dcmread(path)
