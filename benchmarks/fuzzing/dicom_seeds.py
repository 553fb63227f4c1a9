"""Small DICOM files: one per transfer syntax, enhanced multi-frame, mosaic, palette, color, and a study on a disc."""

import struct
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

SIDE = 32  # JPEG 2000 wants no less for its five halvings
PLAIN = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
ENCODED = (uid.RLELossless, uid.JPEG2000Lossless, uid.JPEG2000, uid.JPEGLSLossless)
# By gdcm's names, because pydicom has no encoder for them.
TRANSCODED = {"jpeg_lossless": "JPEGLosslessProcess14_1", "jpeg_lossless_14": "JPEGLosslessProcess14"}


def dicom_files() -> dict[str, bytes]:
    """Name -> content of single files."""
    files = {
        f"plain_{syntax.name.split()[0]}_{number}": written(image(), syntax) for number, syntax in enumerate(PLAIN)
    }
    files["deflated"] = written(image(), uid.DeflatedExplicitVRLittleEndian)
    for syntax in ENCODED:
        compressed = image()
        compressed.compress(syntax, generate_instance_uid=False, **({"j2k_cr": [4]} if syntax == uid.JPEG2000 else {}))
        files[syntax.keyword] = written(compressed, syntax)
    files |= {name: transcoded(files["plain_Explicit_1"], gdcm_name) for name, gdcm_name in TRANSCODED.items()}
    files["jpeg_baseline"] = written(jpeg_image(), uid.JPEGBaseline8Bit)
    makers = (enhanced, mosaic, palette, color, dose)
    files |= {make.__name__: written(make(), uid.ExplicitVRLittleEndian) for make in makers}
    return files


def study_files() -> dict[str, bytes]:
    """A folder as it lies on a disc from a hospital: a directory, files without suffix, a viewer."""
    files = {"DICOMDIR": b"\0" * 128 + b"DICM" + b"\0" * 64, "AUTORUN.INF": b"[autorun]", "VIEWER/RUN.EXE": b"MZ\0\0"}
    for number in range(4):
        changed = {"SOPInstanceUID": f"1.2.3.4.{number}", "InstanceNumber": number + 1}
        one = image(ImagePositionPatient=[0, 0, 3.0 * number], **changed)
        files[f"DICOM/PA000000/ST000000/SE000000/IM{number:06d}"] = written(one, uid.ExplicitVRLittleEndian)
    return files


def written(dataset: Dataset, syntax: uid.UID) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta = meta
    if syntax == uid.ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    buffer = BytesIO()
    how = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True, **how)
    return buffer.getvalue()


def image(**changed: Any) -> Dataset:
    """A CT slice of 16 bits."""
    pixels = np.random.default_rng(0).integers(0, 4000, (SIDE, SIDE)).astype(np.uint16)
    values = {
        "SOPClassUID": uid.CTImageStorage, "SOPInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2", "SeriesNumber": 7, "SeriesDescription": "thorax", "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ImagePositionPatient": [0.0, 0.0, 0.0],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [0.5, 0.25], "InstanceNumber": 1,
        "RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU", "Rows": SIDE, "Columns": SIDE,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15, "PixelRepresentation": 0, "PixelData": pixels.tobytes(),
    }  # fmt: skip
    dataset = Dataset()
    for keyword, value in (values | changed).items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta = meta
    return dataset


def eight_bits(pixels: bytes, **changed: Any) -> Dataset:
    return image(BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=pixels, **changed)


def jpeg_image() -> Dataset:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray((np.arange(SIDE * SIDE) % 251).astype(np.uint8).reshape(SIDE, SIDE)).save(buffer, "JPEG")
    dataset = eight_bits(encapsulate([buffer.getvalue()]))
    dataset["PixelData"].is_undefined_length = True
    return dataset


def color() -> Dataset:
    return eight_bits(bytes(3 * SIDE * SIDE), SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB")


def palette() -> Dataset:
    tables = {}
    for name in ("Red", "Green", "Blue"):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [16, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = np.arange(16, dtype=np.uint16).tobytes()
    return eight_bits(bytes(range(16)) * (SIDE * SIDE // 16), PhotometricInterpretation="PALETTE COLOR", **tables)


def dose() -> Dataset:
    frames = np.ones((3, SIDE, SIDE), dtype=np.uint16)
    return image(SOPClassUID=uid.RTDoseStorage, Modality="RTDOSE", NumberOfFrames=3, GridFrameOffsetVector=[0, 2, 4],
                 DoseGridScaling="0.01", DoseUnits="GY", PixelData=frames.tobytes())  # fmt: skip


def enhanced() -> Dataset:
    """Three frames whose geometry lies in nested sequences."""
    dataset = image(SOPClassUID=uid.EnhancedMRImageStorage, Modality="MR", NumberOfFrames=3,
                    PixelData=np.ones((3, SIDE, SIDE), dtype=np.uint16).tobytes())  # fmt: skip
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, keyword)
    shared = nested("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.update(nested("PixelMeasuresSequence", PixelSpacing=[1, 1], SliceThickness=2))
    frames = []
    for number in range(3):
        frame = nested("PlanePositionSequence", ImagePositionPatient=[0, 0, 2 * number])
        frame.update(nested("FrameContentSequence", TemporalPositionIndex=1, StackID="1"))
        frame.update(nested("MREchoSequence", EffectiveEchoTime=30.0))
        frame.update(nested("PixelValueTransformationSequence", RescaleSlope=1, RescaleIntercept=0))
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


def nested(sequence: str, **values: Any) -> Dataset:
    inside, outside = Dataset(), Dataset()
    for keyword, value in values.items():
        setattr(inside, keyword, value)
    setattr(outside, sequence, [inside])
    return outside


def mosaic() -> Dataset:
    """Four slices of a Siemens mosaic, with the private header that tells them."""
    dataset = image(Modality="MR", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"], SpacingBetweenSlices=3.0)
    block = dataset.private_block(0x29, "SIEMENS CSA HEADER", create=True)
    tags = {"NumberOfImagesInMosaic": ("US", [b"4"]), "SliceNormalVector": ("FD", [b"0.0", b"0.0", b"1.0"])}
    block.add_new(0x10, "OB", csa_header(tags))
    return dataset


def csa_header(tags: dict[str, tuple[str, list[bytes]]]) -> bytes:
    """Siemens' own list of texts inside one element (as nibabel documents it)."""
    content = b"SV10\4\3\2\1" + struct.pack("<2I", len(tags), 77)
    for name, (kind, items) in tags.items():
        content += struct.pack("<64si4s3i", name.encode(), len(items), kind.encode(), 1, len(items), 77)
        for item in items:
            content += struct.pack("<4i", len(item), len(item), 77, len(item)) + item + b"\0" * (-len(item) % 4)
    return content + b"\0" * 4


def transcoded(content: bytes, syntax: str) -> bytes:
    import gdcm

    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "x.dcm"
        file.write_bytes(content)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(file))
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        if not reader.Read():
            raise ValueError("gdcm cannot read the seed")
        change.SetInput(reader.GetImage())
        change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(file))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()
        return file.read_bytes()
