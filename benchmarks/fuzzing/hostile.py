"""Attacks that need more than one file: archives, links, pipes, and texts that swell."""

import re
import stat
import struct
import zipfile
from functools import lru_cache
from io import BytesIO

import numpy as np

from fuzzing.dicom_fields import DICOM
from fuzzing.mutations import ANY, Mutation, text_numbers
from fuzzing.sample import Sample
from fuzzing.seeds import manifest_files, zipped

_PATHS = ("../elsewhere/evil", "../../elsewhere/evil", "/tmp/meddiff-evil", "a/../../evil", "..\\evil", "C:\\evil",
          "\\\\server\\evil", "./../evil", "a/b/../../../evil", "~/evil", "evil\0.dcm", "", ".", "..", "a" * 300,
          "/".join("ab" * 300), "nul", "a:b", "\u202egpj.exe", "a\nb", "DICOM/PA000000", "aux.", " ")  # fmt: skip


def archive(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A zip that is a bomb, leaves its folder, holds a link, is encrypted, or says what is not so."""
    makers = (named, linked, bombs, nested, encrypted, lying, twice, other_packing, many, *[inside] * 4)
    return makers[int(draw.integers(len(makers)))](sample, name, draw)


def inside(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """One of the packed files changed."""
    with zipfile.ZipFile(BytesIO(sample.files[name])) as file:
        entries = Sample("folder", {entry: file.read(entry) for entry in file.namelist()}, "")
    entry = list(entries.files)[int(draw.integers(len(entries.files)))]
    changed = ANY[int(draw.integers(len(ANY)))](entries, entry, draw)
    return sample.with_file(name, zipped(changed.files), f"in the archive: {changed.story}")


def named(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    path = _PATHS[int(draw.integers(len(_PATHS)))]
    return sample.with_file(name, zipped({"good.png": b"x", path: b"evil"}), f"an entry called {path[:40]!r}")


def linked(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    target = ("../elsewhere", "/etc", "secret.txt", ".")[int(draw.integers(4))]
    kind = (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR)[int(draw.integers(4))]
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (kind | 0o777) << 16
        file.writestr(entry, target)
        file.writestr(zipfile.ZipInfo("link/evil"), "evil")
    return sample.with_file(name, buffer.getvalue(), f"a link to {target}, and a file below it")


@lru_cache
def bomb(megabytes: int, count: int, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    return zipped({f"{number}.nii": bytes(megabytes << 20) for number in range(count)}, compression=how)


def bombs(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    size = ((20, 1), (120, 1), (10, 30), (1, 5))[int(draw.integers(4))]
    return sample.with_file(name, bomb(*size), f"{size[1]} files of {size[0]} MB of zeros")


def nested(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    content = sample.files[name]
    depth = int(draw.choice([1, 3, 50]))
    for _ in range(depth):
        content = zipped({"inner.zip": content})
    return sample.with_file(name, content, f"{depth} archives in each other")


def encrypted(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    return _every_header(sample, name, "encrypted", 6, 8, lambda old: bytes([old[0] | 1, old[1]]), 2)


def lying(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Sizes, checksums, methods and offsets of the list that are not those of the entries."""
    size = struct.pack("<I", int(draw.choice([0, 1, 10, 2**31 - 1, 2**32 - 1])))
    far, near, what = ((14, 16, "checksum"), (18, 20, "packed size"), (22, 24, "size"), (26, 28, "name length"),
                       (42, 42, "offset"), (8, 10, "method"))[int(draw.integers(6))]  # fmt: skip
    wide = 2 if what in ("name length", "method") else 4
    return _every_header(sample, name, f"the {what} is {size!r}", far, near, lambda _: size[:wide], wide)


def _every_header(sample: Sample, name: str, story: str, far: int, near: int, change, width: int) -> Sample:
    """Change a field of all local headers (at ``far``) and of the list (at ``near``)."""
    content = bytearray(sample.files[name])
    for signature, offset in ((b"PK\3\4", far), (b"PK\1\2", near)):
        start = content.find(signature)
        while 0 <= start < len(content) - offset - width:
            content[start + offset : start + offset + width] = change(content[start + offset : start + offset + width])
            start = content.find(signature, start + 4)
    return sample.with_file(name, bytes(content), story)


def twice(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """The same bytes listed many times: entries that overlap (Fifield 2019)."""
    content = sample.files[name]
    start, end = content.find(b"PK\1\2"), content.rfind(b"PK\5\6")
    listing, count = content[start:end], int(draw.choice([2, 300]))
    record = struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, min(65535, count), min(65535, count), len(listing) * count, start, 0
    )
    return sample.with_file(name, content[:start] + listing * count + record, f"the list {count} times")


def other_packing(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    how = (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[int(draw.integers(2))]
    return sample.with_file(name, bomb(30, 1, how), f"packed by method {how}")


@lru_cache
def crowd(count: int) -> bytes:
    return zipped({f"{number}": b"" for number in range(count)}, compression=zipfile.ZIP_STORED)


def many(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    count = int(draw.choice([500, 5000]))
    if draw.random() < 0.5:
        return sample.with_file(name, crowd(count), f"{count} empty files")
    record = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 0, 0)
    return sample.with_file(name, sample.files[name][:-22] + record, "a list of 4 GB")


def folder(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Links to devices, to folders above, to themselves, and a pipe that nobody writes to."""
    targets = ("/dev/zero", "/dev/stdin", "/dev/tty", "..", ".", "loop.dcm", "../elsewhere/secret.txt", "|", "nowhere")
    names = ("loop.dcm", "x.nii.gz", "loop", "y.mha", "z.png", "DICOM/loop")
    links = {names[int(draw.integers(len(names)))]: targets[int(draw.integers(len(targets)))] for _ in range(2)}
    return Sample(sample.format, sample.files, sample.opened, links, f"links {links}")


def study(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A series with one file that lies."""
    slices = [file for file in sample.files if "/IM" in file]
    return DICOM[int(draw.integers(len(DICOM)))](sample, slices[int(draw.integers(len(slices)))], draw)


def manifest(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Paths that climb, cells without end, quotes that never close, other encodings, links to devices."""
    table = manifest_files()["data_manifest.csv"]
    path = _PATHS[int(draw.integers(len(_PATHS)))].encode()
    kinds = {
        "path": table.replace(b"a.png", path), "quote": table.replace(b"own", b'"own', 1),
        "long cell": table.replace(b"own", b"x" * 300_000, 1), "long quote": table.replace(b"own", b'"' * 200_000),
        "many columns": table.replace(b"dataset", b",".join([b"dataset"] * 20000), 1),
        "many lines": table + table.split(b"\n")[1] * 3 + b"\n" * 100_000, "utf-16": table.decode().encode("utf-16"),
        "zeros": table.replace(b"own", b"\0" * 5), "returns": table.replace(b"\n", b"\r"), "nothing": b"",
        "formula": table.replace(b"benign", b"=cmd|' /C calc'!A0"), "deep quotes": b'"' * 150_001,
        "latin": table.replace(b"benign", "b\xf6se".encode("latin-1")), "digits": table.replace(b"70", b"7" * 6000),
    }  # fmt: skip
    what = list(kinds)[int(draw.integers(len(kinds)))]
    changed = sample.with_file(name, kinds[what], f"a manifest with: {what}")
    return text_numbers(changed, name, draw) if draw.random() < 0.3 and kinds[what] else changed


def recipe(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """YAML that swells, nests, runs Python, or is no recipe."""
    laughs = b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + b"".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n".encode() for n in range(1, 9)
    )
    kinds = {
        "billion laughs": laughs,
        "billion laughs in place": laughs + b"network:\n  channels: *a8\n",
        "brackets": b"[" * 20000,
        "braces": b"data: " + b"{a: " * 3000,
        "python": b"seed: !!python/object/apply:os.system ['touch evil']",
        "new object": b"data: !!python/object/new:os.system ['touch evil']",
        "loop": b"data: &a\n  cache: *a\n",
        "list": b"- 1\n- 2\n",
        "number": b"3",
        "number key": b"3: 4\n",
        "binary": draw.bytes(200),
        "nothing": b"",
        "tabs": b"data:\n\tseed: 3",
        "digits": b"seed: " + b"9" * 6000,
        "class path": b"data:\n  class_path: os.system\n  init_args: {command: ls}\n",
        "documents": b"seed: 1\n---\nseed: 2\n",
        "path": b"manifest: ../../etc/passwd\nconfig: recipe.yaml\n",
        "date": b"seed: 2026-01-01\n",
        "no date": b"seed: 2026-99-99\n",
        "key": b"? [a, b]\n: 3\n",
        "merge": b"<<: {seed: 3}\n",
        "none": b"data:\nnetwork: ~\n",
    }
    what = list(kinds)[int(draw.integers(len(kinds)))]
    return sample.with_file(name, kinds[what], f"a recipe with: {what}")


def programs(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """PostScript under the name of a picture, which Pillow would hand to another program."""
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(evil) (w) file closefile\nshowpage\n"
    return sample.with_file(name, script, "PostScript")


def spreadsheet(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A table whose XML swells, names other files, or is none; or what is done to any archive."""
    sheet = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(BytesIO(sample.files[name])) as file:
        parts = {entry: file.read(entry) for entry in file.namelist()}
    entities = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 9) for n in range(1, 9))
    top = parts[sheet].find(b"<worksheet")
    kinds = {
        "100 MB of cells": parts[sheet].replace(b"</sheetData>", _many_rows(2_500_000) + b"</sheetData>"),
        "a few MB of cells": parts[sheet].replace(b"</sheetData>", _many_rows(30_000) + b"</sheetData>"),
        "billion laughs": b'<!DOCTYPE x [<!ENTITY a0 "ha">' + entities + b"]>"
        + parts[sheet][top:].replace(b"<v>0</v>", b"<v>&a8;</v>", 1),
        "a file outside": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        + parts[sheet][top:].replace(b"<v>0</v>", b"<v>&a;</v>", 1),
        "deep": b"<a>" * 200_000, "far cell": re.sub(rb'r="A\d+"', b'r="XFD1048576"', parts[sheet], count=1),
        "far row": re.sub(rb'<row r="\d+"', b'<row r="99999999999"', parts[sheet], count=1), "nothing": b"",
        "dimension": re.sub(rb'ref="[^"]*"', b'ref="A1:XFD1048576"', parts[sheet], count=1), "zeros": bytes(1 << 24),
    }  # fmt: skip
    what = list(kinds)[int(draw.integers(len(kinds)))]
    if draw.random() < 0.3:
        return archive(sample, name, draw)
    if draw.random() < 0.3:
        part = list(parts)[int(draw.integers(len(parts)))]
        changed = text_numbers(Sample(sample.format, parts, part), part, draw)
        return sample.with_file(name, zipped(changed.files), f"in {part}: {changed.story}")
    return sample.with_file(name, zipped(parts | {sheet: kinds[what]}), f"a sheet with: {what}")


@lru_cache
def _many_rows(count: int) -> bytes:
    return b"<row><c><v>1</v></c><c><v>2</v></c></row>" * count


HOSTILE: dict[str, tuple[Mutation, ...]] = {
    "zip": (archive, archive, archive), "folder": (folder, study, study), "csv": (manifest, manifest, manifest),
    "yaml": (recipe, recipe, recipe), "png": (programs,), "spreadsheet": (spreadsheet, spreadsheet, spreadsheet),
}  # fmt: skip
