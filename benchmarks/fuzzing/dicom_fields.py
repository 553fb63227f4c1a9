"""What a DICOM file says of itself, turned into lies: sizes, the compressed picture's own, sequences without an end."""

import re
import struct
import zlib
from io import BytesIO

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.sequence import Sequence

from fuzzing.mutations import Mutation, bits, patched
from fuzzing.sample import Sample
from fuzzing.seeds import deflated

_LIES = {
    "Rows": (0, 1, 31, 65535, 20000), "Columns": (0, 1, 33, 65535), "NumberOfFrames": (0, -1, 2, 10**6, 2**31 - 1),
    "SamplesPerPixel": (0, 2, 3, 4, 65535), "BitsAllocated": (0, 1, 8, 12, 32, 64, 65535),
    "BitsStored": (0, 1, 17, 65535), "HighBit": (0, 31, 65535), "PixelRepresentation": (1, 2, 65535),
    "PlanarConfiguration": (0, 1, 2), "PhotometricInterpretation": ("RGB", "YBR_FULL", "PALETTE COLOR", "X", ""),
    "ImagePositionPatient": ([], [0, 0], [1e30, 0, 0], ["nan", 0, 0]), "PixelSpacing": ([0, 0], [1e-300, 1], [-1, 1]),
    "ImageOrientationPatient": ([0] * 6, [1, 0, 0, 1, 0, 0], [1] * 5), "RescaleSlope": ("nan", "inf", "1e300", 0),
    "RescaleIntercept": ("1e308", "nan", "-1e9", "0.5"), "SeriesInstanceUID": ("", "1" * 64, "../../x", "a b"),
    "SeriesDescription": ("[/bold]", "[link=file:///]x[/link]", "\x1b[2J", "../../../x", "\0", "a" * 60000),
    "SeriesNumber": (-1, 10**11, 0), "ImageType": ([], ["ORIGINAL", "PRIMARY", "M", "MOSAIC"], ["\\"]),
    "SpacingBetweenSlices": (0, "nan"), "GridFrameOffsetVector": ([0], [0, "nan", 1], [1, 2, 3], list(range(5000))),
    "SpecificCharacterSet": ("ISO 2022 IR 87", "nonsense", ["", "ISO_IR 192"]),
    "RedPaletteColorLookupTableDescriptor": ([0, 0, 16], [16, 0, 99], [1, 65535, 8], [16]),
    "RedPaletteColorLookupTableData": (b"", b"\1"), "ExtendedOffsetTable": (b"\xff" * 8, b"\0" * 8),
    "ExtendedOffsetTableLengths": (b"\xff" * 8, b"\0" * 8), "PixelData": (b"", b"\0"),
    "LossyImageCompressionRatio": ("1e999",), "SOPClassUID": ("1.2.840.10008.5.1.4.1.1.88.11", ""),
}  # fmt: skip
_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
             "1.2.840.10008.1.2.5", *(f"1.2.840.10008.1.2.4.{number}" for number in
             (50, 51, 57, 70, 80, 81, 90, 91, 92, 100, 102, 104, 110, 201, 202, 203)), "1.2.3", "")  # fmt: skip


def elements(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """One to four elements with a value that fits their type and nothing else."""
    dataset = pydicom.dcmread(BytesIO(sample.files[name]), force=True)
    story = []
    for place in draw.integers(0, len(_LIES), draw.choice([1, 2, 4])):
        keyword = list(_LIES)[place]
        value = _LIES[keyword][int(draw.integers(len(_LIES[keyword])))]
        dataset.add_new(pydicom.datadict.tag_for_keyword(keyword), _representation(keyword), value)
        story.append(f"{keyword} {str(value)[:40]!r}")
    if draw.random() < 0.25:
        dataset.file_meta.TransferSyntaxUID = syntax = _SYNTAXES[int(draw.integers(len(_SYNTAXES)))]
        story.append(f"said to be {syntax}")
    return _rewritten(sample, name, dataset, ", ".join(story), draw)


def codestream(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """The size that the compressed picture states of itself, in JPEG, JPEG-LS or JPEG 2000, and its depth."""
    content = sample.files[name]
    found = re.search(rb"\xff\x4f\xff\x51|\xff[\xc0-\xc3\xf7]\0[\x08-\x20]", content)
    if found is None:
        return elements(sample, name, draw)
    value = int(draw.choice([0, 1, 31, 33, 4096, 65535, 2**31 - 1, 2**32 - 1]))
    if found[0][:2] == b"\xff\x4f":  # SIZ: profile, width, height, offsets, tile size and offsets, components
        offset, layout = ((8, ">I"), (12, ">I"), (16, ">I"), (24, ">I"), (28, ">I"), (40, ">H"), (42, "B"))[
            int(draw.integers(7))
        ]
    else:
        offset, layout = ((4, "B"), (5, ">H"), (7, ">H"), (9, "B"), (2, ">H"))[int(draw.integers(5))]
    value %= 1 << 8 * struct.calcsize(layout)
    changed = patched(content, found.start() + offset, layout, value)
    if layout == ">I" and draw.random() < 0.5:  # width and height together
        changed = patched(changed, found.start() + 8, ">II", value, value)
    return sample.with_file(name, changed, f"the codestream has {value} at {offset}")


def entropy(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Bits of the compressed picture alone."""
    content = sample.files[name]
    start = content.rfind(b"\xe0\x7f\x10\0")
    tail = Sample(sample.format, {name: content[start + 24 :]}, name)
    if start < 0 or not tail.files[name]:
        return elements(sample, name, draw)
    changed = bits(tail, name, draw)
    return sample.with_file(name, content[: start + 24] + changed.files[name], f"in the pixels, {changed.story}")


def deep(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Sequences in sequences, each of unknown length, with or without an end."""
    depth = int(draw.choice([10, 200, 1000, 5000, 50000]))
    start = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    content = sample.files[name]
    place = content.find(b"\x08\0\x60\0")  # before the modality
    place = place if place > 0 else min(len(content), 400)
    inside = start * depth + end * (depth if draw.random() < 0.7 else 0)
    return sample.with_file(name, content[:place] + inside + content[place:], f"{depth} sequences in each other")


def wide(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Very many items, values or frames with their geometry."""
    dataset = pydicom.dcmread(BytesIO(sample.files[name]), force=True)
    count = int(draw.choice([100, 5000, 20000]))
    kind = int(draw.integers(3))
    if kind == 0:
        dataset.ReferencedImageSequence = Sequence(Dataset() for _ in range(count))
    elif kind == 1 and "PerFrameFunctionalGroupsSequence" in dataset:
        dataset.PerFrameFunctionalGroupsSequence = list(dataset.PerFrameFunctionalGroupsSequence) * (count // 200)
        dataset.NumberOfFrames = len(dataset.PerFrameFunctionalGroupsSequence)
    else:
        dataset.PixelSpacing = ["1"] * count
    return _rewritten(sample, name, dataset, f"{count} items, kind {kind}", draw)


def deflated_bomb(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A deflated file of a few hundred kilobytes that unpacks to more than the memory."""
    content = sample.files[name]
    place = content.find(b"1.2.840.10008.1.2.1.99")
    if place < 0:
        return deep(sample, name, draw)
    meta = 132 + 12 + struct.unpack_from("<I", content, 140)[0]
    whole = zlib.decompress(content[meta:], -15)
    megabytes = int(draw.choice([50, 600]))
    return sample.with_file(name, content[:meta] + deflated(whole, megabytes), f"{megabytes} MB of zeros, deflated")


def _representation(keyword: str) -> str:
    return pydicom.datadict.dictionary_VR(keyword).split(" or ")[0]


def _rewritten(sample: Sample, name: str, dataset: Dataset, story: str, draw: np.random.Generator) -> Sample:
    buffer = BytesIO()
    try:
        implicit, little = dataset.original_encoding
        pydicom.dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=little, force_encoding=True)
    except Exception:  # a lie that pydicom does not write
        return bits(sample, name, draw)
    return sample.with_file(name, buffer.getvalue(), story)


DICOM: tuple[Mutation, ...] = (elements, elements, elements, codestream, codestream, entropy, deep, wide, deflated_bomb)
