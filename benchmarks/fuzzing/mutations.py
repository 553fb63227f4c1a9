"""What is done to any file: bits, runs, cuts, numbers at their limits, other names, two files in one."""

import gzip
import re
import struct
import zlib
from collections.abc import Callable

import numpy as np

from fuzzing.sample import Sample

Mutation = Callable[[Sample, str, np.random.Generator], Sample]
"""Of a sample, the file of it that is changed, and what is drawn from."""

_LIMITS = (0, 1, -1, 127, 128, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, 2**40)
_TEXTS = (b"-1", b"0", b"1e308", b"nan", b"inf", b"99999999999999999999999", b"2147483647", b"4294967296", b"65535",
          b"-0.0", b"1e-320", b"9" * 5000, b"", b"\0", "\N{ARABIC-INDIC DIGIT FIVE}".encode())  # fmt: skip
_OTHER_NAMES = ("x.nii", "x.nii.gz", "x.hdr", "x.mgz", "x.nrrd", "x.nhdr", "x.mha", "x.mhd", "x.dcm", "x", "x.img.gz",
                "x.png", "x.jpg", "x.tif", "x.bmp", "x.zip")  # fmt: skip


def bits(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    content = bytearray(sample.files[name])
    count = int(draw.choice([1, 2, 8, 64]))
    for place in places(content, count, draw):
        content[place] ^= 1 << int(draw.integers(8))
    return sample.with_file(name, bytes(content), f"{count} bits of {name} flipped")


def runs(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A run of bytes overwritten, taken out, doubled or put in."""
    content = sample.files[name]
    start = places(content, 1, draw)[0]
    length = int(draw.choice([1, 4, 16, 256]))
    run = [bytes(length), b"\xff" * length, draw.bytes(length), content[start : start + length]][int(draw.integers(4))]
    kept = start + (0 if draw.random() < 0.4 else length)
    left = b"" if draw.random() < 0.25 else run
    return sample.with_file(name, content[:start] + left + content[kept:], f"a run of {length} bytes at {start}")


def cut(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    content = sample.files[name]
    length = int(draw.integers(0, len(content) + 1))
    return sample.with_file(name, content[:length], f"{name} cut at {length}")


def limits(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A number of 16, 32 or 64 bits somewhere, at one of the limits of its type."""
    content = bytearray(sample.files[name])
    size = int(draw.choice([2, 4, 8]))
    start = max(0, min(places(content, 1, draw)[0], len(content) - size))
    value = int(draw.choice(len(_LIMITS)))
    number = (_LIMITS[value] % (1 << 8 * size)).to_bytes(size, "little" if draw.random() < 0.7 else "big")
    content[start : start + size] = number
    return sample.with_file(name, bytes(content), f"{_LIMITS[value]} in {size} bytes at {start}")


def text_numbers(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A number that is written in letters, at its limits; of binary files the first few kilobytes."""
    content = sample.files[name]
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[:4000]))
    if not found:
        return limits(sample, name, draw)
    match = found[int(draw.integers(len(found)))]
    text = _TEXTS[int(draw.integers(len(_TEXTS)))]
    return sample.with_file(
        name, content[: match.start()] + text + content[match.end() :], f"{match[0][:20]!r} became {text[:20]!r}"
    )


def renamed(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A file under the name of another format."""
    if sample.opened != name:
        return bits(sample, name, draw)
    other = _OTHER_NAMES[int(draw.integers(len(_OTHER_NAMES)))]
    files = {key: content for key, content in sample.files.items() if key != name} | {other: sample.files[name]}
    return Sample(sample.format, files, other, story=f"{name} called {other}")


def inside_gzip(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """What is packed changed, and packed again with the right checksum; files that are not packed get two faults."""
    try:
        content = gzip.decompress(sample.files[name])
    except (OSError, EOFError, zlib.error):
        once = ANY[int(draw.integers(3))](sample, name, draw)
        return bits(once, name, draw)
    opened = sample.with_file(name, content, "")
    changed = (bits, runs, limits, limits)[int(draw.integers(4))](opened, name, draw)
    return changed.with_file(name, gzip.compress(changed.files[name], mtime=0), f"inside gzip: {changed.story}")


def two_in_one(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    content = sample.files[name]
    others = list(sample.files.values())
    other = others[int(draw.integers(len(others)))]
    cuts = draw.integers(0, len(content) + 1), draw.integers(0, len(other) + 1)
    return sample.with_file(name, content[: cuts[0]] + other[cuts[1] :], f"the start of {name} and the end of another")


def places(content: bytes | bytearray, count: int, draw: np.random.Generator) -> list[int]:
    """Where to change a file; half of the time in its header."""
    end = max(1, min(len(content), 400) if draw.random() < 0.5 else len(content))
    return [int(place) for place in draw.integers(0, end, count)] if len(content) else []


def patched(content: bytes, offset: int, layout: str, *values: float) -> bytes:
    """A file with a field of its header replaced."""
    size = struct.calcsize(layout)
    return content[:offset] + struct.pack(layout, *values) + content[offset + size :]


ANY: tuple[Mutation, ...] = (bits, runs, cut, limits, text_numbers, renamed, inside_gzip, two_in_one)
