"""The fields of each format that say how much there is, where, and of which kind, set to what a file cannot hold."""

import gzip
import re
import struct
import zlib

import numpy as np

from fuzzing.mutations import Mutation, bits, limits, patched, runs
from fuzzing.sample import Sample
from fuzzing.seeds import gzip_of_zeros, png_chunk

_SIZES = (0, 1, 255, 4000, 20000, 32767, 60000, 65535)
_BIG = (0, 1, 4096, 20000, 65535, 1 << 20, 2**31 - 1, 2**32 - 1)


def nifti(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Dimensions, type, offset, scaling, geometry; of NIfTI-1, its twin of 64 bits, or MGH."""
    content = sample.files[name]
    packed = content[:2] == b"\x1f\x8b"
    content = gzip.decompress(content) if packed else content
    one = [(40 + 2 * axis, "<h", _SIZES) for axis in range(8)] + [
        (70, "<h", (0, 1, 2, 4, 64, 128, 256, 512, 1536, 1792, 2048, 2304, 32767)), (72, "<h", (0, 1, 8, 4096)),
        (108, "<f", (0, 348, 352, 1e9, -352, float("nan"), 1e30)), (112, "<f", (0, float("nan"), 1e38)),
        (76, "<f", (0, -1, float("nan"))), (80, "<f", (0, float("inf"), 1e-30)), (0, "<i", (348, 540, 0)),
        (252, "<h", (0, 1, -1)), (254, "<h", (0, 1, 99)), (280, "<f", (float("nan"), 1e30, 0)), (123, "<b", (0, 1, 3)),
        (352, "<i", (0, 7, 2**31 - 1, -16)), (348, "<b", (0, 1)),
    ]  # fmt: skip
    two = [(16 + 8 * axis, "<q", (0, 1, 2**31, 2**62, -1)) for axis in range(8)] + [
        (12, "<h", (0, 128, 1536)), (168, "<q", (0, 544, 2**62)), (0, "<i", (540, 348)),
    ]  # fmt: skip
    mgh = [(4 * place, ">i", (0, 1, -1, 65535, 2**31 - 1)) for place in range(6)]
    fields = mgh if content[:4] == b"\0\0\0\1" else two if content[:2] == b"\x1c\2" else one
    story = []
    for place in draw.integers(0, len(fields), draw.choice([1, 2, 4])):
        offset, layout, values = fields[place]
        value = values[int(draw.integers(len(values)))]
        content = patched(content, offset, layout, value)
        story.append(f"{value} at {offset}")
    if not packed:
        return sample.with_file(name, content, ", ".join(story))
    if draw.random() < 0.2:
        zeros = int(draw.choice([30, 300])) << 20
        return sample.with_file(name, gzip_of_zeros(content, zeros), f"{', '.join(story)}, {zeros} zeros behind")
    return sample.with_file(name, gzip.compress(content, mtime=0), ", ".join(story))


def png(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Width, height, depth with the right checksum; texts, profiles and animations that swell."""
    content = sample.files[name]
    width, height, depth, color = struct.unpack_from(">IIBB", content, 16)
    bomb = zlib.compress(bytes(int(draw.choice([1, 40])) << 20), 9)
    extra = {
        "text": png_chunk(b"zTXt", b"a\0\0" + bomb), "profile": png_chunk(b"iCCP", b"a\0\0" + bomb),
        "international text": png_chunk(b"iTXt", b"a\0\1\0\0\0" + bomb),
        "animation": png_chunk(b"acTL", struct.pack(">II", _BIG[int(draw.integers(8))], 0)),
        "exif": png_chunk(b"eXIf", b"II*\0\x08\0\0\0" + draw.bytes(60)), "nothing": b"",
        "many chunks": png_chunk(b"tEXt", b"a\0b") * 20000,
    }  # fmt: skip
    what = list(extra)[int(draw.integers(len(extra)))]
    if what == "nothing":
        width, height = (_BIG[int(place)] for place in draw.integers(0, len(_BIG), 2))
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(draw.integers(2)))
    changed = content[:8] + png_chunk(b"IHDR", head) + extra[what] + content[33:]
    return sample.with_file(name, changed, f"{width} x {height}, {what}")


def png_inside(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Chunks changed, with the right checksums."""
    changed = (bits, runs, limits)[int(draw.integers(3))](sample, name, draw)
    content, place, out = changed.files[name], 8, b""
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        length = min(length, len(content) - place - 12)
        out += png_chunk(content[place + 4 : place + 8], content[place + 8 : place + 8 + length])
        place += 12 + length
    return sample.with_file(name, sample.files[name][:8] + out, f"{changed.story}, with right checksums")


def jpeg(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Height, width and components of the frame, or the same scan many times."""
    content = sample.files[name]
    frame = re.search(rb"\xff[\xc0-\xc3]", content)
    scan = content.find(b"\xff\xda")
    if frame is None or draw.random() < 0.2:
        return sample.with_file(name, content[:-2] + content[scan:-2] * 3000 + b"\xff\xd9", "3000 scans")
    sizes = [_SIZES[int(place)] for place in draw.integers(0, len(_SIZES), 2)]
    changed = patched(content, frame.start() + 5, ">HH", *sizes)
    if draw.random() < 0.3:
        changed = patched(changed, frame.start() + 9 + int(draw.integers(10)), "B", int(draw.integers(256)))
    return sample.with_file(name, changed, f"a frame of {sizes}")


def tiff(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Type, count or value of an entry of the first directory, or a directory that follows itself."""
    content = sample.files[name]
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    if draw.random() < 0.1:
        return sample.with_file(name, patched(content, start + 2 + 12 * count, "<I", start), "an endless directory")
    entry = start + 2 + 12 * int(draw.integers(count))
    value = _BIG[int(draw.integers(len(_BIG)))]
    offset, layout = ((2, "<H"), (4, "<I"), (8, "<I"), (8, "<I"), (0, "<H"))[int(draw.integers(5))]
    value %= 1 << 8 * struct.calcsize(layout)
    tag = struct.unpack_from("<H", content, entry)[0]
    return sample.with_file(name, patched(content, entry + offset, layout, value), f"tag {tag}: {value} at {offset}")


def bmp(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    fields = [(2, "<I"), (10, "<I"), (14, "<I"), (18, "<I"), (22, "<I"), (28, "<H"), (30, "<I"), (46, "<I")]
    offset, layout = fields[int(draw.integers(len(fields)))]
    value = _BIG[int(draw.integers(len(_BIG)))] % (1 << 8 * struct.calcsize(layout))
    return sample.with_file(name, patched(sample.files[name], offset, layout, value), f"{value} at {offset}")


def gif(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    sizes = [_SIZES[int(place)] for place in draw.integers(0, len(_SIZES), 2)]
    content = patched(sample.files[name], 6, "<HH", *sizes)
    frame = content.find(b",\0\0\0\0")
    if frame > 0 and draw.random() < 0.7:
        content = patched(content, frame + 5, "<HH", *sizes)
    if frame > 0 and draw.random() < 0.2:
        content = content[:frame] + content[frame:-1] * 500 + b";"
    return sample.with_file(name, content, f"{sizes}")


def text_volume(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A line of a NRRD or MetaImage header replaced by a lie, or by the name of a file that is not the sample's."""
    content = sample.files[name]
    lies = {
        "nrrd": (b"sizes: 60000 60000 60000", b"sizes: 0 0 0", b"sizes: -1 4 5", b"dimension: 16", b"dimension: 999",
                 b"type: block", b"type: double", b"encoding: gzip", b"encoding: bzip2", b"encoding: hex",
                 b"encoding: text", b"data file: ../elsewhere/secret.txt", b"data file: /dev/stdin",
                 b"data file: /dev/zero", b"data file: -", b"data file: LIST", b"data file: %d.raw 1 100000000 1",
                 b"byte skip: -1", b"byte skip: 99999999999", b"line skip: 2147483647", b"space: nonsense",
                 b"space directions: (nan,0,0) (0,1,0) (0,0,1)", b"space directions: (0,0,0) (0,0,0) (0,0,0)",
                 b"space directions: none none none", b"spacings: nan 0 -1", b"block size: 4294967295",
                 b"kinds: 3-vector domain domain", b"measurement frame: (1,0,0)"),
        "metaimage": (b"DimSize = 60000 60000 60000", b"DimSize = 0 0 0", b"DimSize = -6 5 4", b"NDims = 99",
                      b"NDims = 0", b"NDims = -3", b"NDims = 1", b"ElementType = MET_DOUBLE", b"ElementType = X",
                      b"ElementNumberOfChannels = 2000000000", b"ElementNumberOfChannels = 3",
                      b"CompressedData = True", b"CompressedDataSize = 99999999999", b"HeaderSize = -1",
                      b"HeaderSize = 999999999", b"ElementDataFile = LOCAL", b"ElementDataFile = LIST",
                      b"ElementDataFile = ../elsewhere/secret.txt", b"ElementDataFile = /dev/stdin",
                      b"ElementDataFile = /dev/zero", b"ElementDataFile = %d.raw 1 100000000 1",
                      b"ElementSpacing = 0 0 0", b"ElementSpacing = nan 1 1", b"TransformMatrix = 0 0 0 0 0 0 0 0 0",
                      b"Offset = nan inf -inf", b"BinaryDataByteOrderMSB = True", b"ElementSize = 0 0 0"),
    }[sample.format]  # fmt: skip
    lie = lies[int(draw.integers(len(lies)))]
    key = re.escape(lie.split(b":")[0].split(b" =")[0])
    changed, replaced = re.subn(rb"(?m)^" + key + rb".*$", lambda _: lie, content[:2000], count=1)
    if not replaced:
        first = content.find(b"\n") + 1
        changed = content[:first] + lie + b"\n" + content[first:2000]
    return sample.with_file(name, changed + content[2000:], lie.decode())


FIELDS: dict[str, tuple[Mutation, ...]] = {
    "nifti": (nifti,), "png": (png, png_inside, png_inside), "jpeg": (jpeg,), "tiff": (tiff,), "bmp": (bmp,),
    "gif": (gif,),
    "nrrd": (text_volume,), "metaimage": (text_volume,),
}  # fmt: skip
