"""A zip archive to a folder, all or nothing, whatever its author had in mind.

Refused before a byte is written: names that leave the folder, absolute names, links and devices, encrypted entries,
two entries of one name, and archives that swell to more than they say or than the disk holds. Files are written into
a hidden folder beside the target, which is renamed when all of them are there and their checksums are right.
"""

import shutil
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from meddiff.data.problems import Problems
from meddiff.data.writing import told_plainly
from meddiff.errors import InputError
from meddiff.sources.checksums import Progress

CHUNK_BYTES = 1 << 18
LARGEST_BYTES = 200 * 10**9
"""No data set that meddiff knows unpacks to more."""
LARGEST_RATIO = 200
"""Unpacked to packed size; images pack hardly at all, binary masks up to about 50 times. Counts above 100 MB."""
_HARMLESS_BYTES = 100 * 10**6
_RUBBISH = ("__MACOSX", ".DS_Store", "Thumbs.db")


def unpack(
    path: Path, folder: Path, *, largest_bytes: int = LARGEST_BYTES, progress: Progress = lambda *_: None
) -> Path:
    """Unpack ``path`` as ``folder/<its name without .zip>``; that folder. Nothing is done where it is there already.

    An archive that holds one folder of its own name is not wrapped in another.

    Raises:
        InputError: the archive is damaged or dangerous, or the disk is full. Nothing is left behind.
    """
    target = folder / path.stem
    if target.is_dir():
        return target
    hidden = folder / f".{path.stem}.unpacking"
    with told_plainly(hidden):
        shutil.rmtree(hidden, ignore_errors=True)  # of a run that was killed
        try:
            hidden.mkdir(parents=True)
            _unpack_into(path, hidden, largest_bytes, progress)
            tops = list(hidden.iterdir())
            (tops[0] if [top.name for top in tops] == [path.stem] and tops[0].is_dir() else hidden).rename(target)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    return target


def _unpack_into(path: Path, folder: Path, largest_bytes: int, progress: Progress) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not _is_rubbish(entry)]
            _check_entries(path, entries)
            total = _check_sizes(path, entries, folder, largest_bytes)
            done = 0
            for entry in entries:
                file = folder / entry.filename
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as packed, file.open("xb") as unpacked:
                    while chunk := packed.read(CHUNK_BYTES):
                        unpacked.write(chunk)
                        done += len(chunk)
                        progress(f"unpacking {path.name}", done, total)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise InputError(f"{path}: the archive is damaged ({error}). Delete it and its .json, and download it "
                         "again.") from error  # fmt: skip


def _is_rubbish(entry: zipfile.ZipInfo) -> bool:
    return entry.is_dir() or any(name in _RUBBISH for name in PurePosixPath(entry.filename).parts)


def _check_entries(path: Path, entries: Iterable[zipfile.ZipInfo]) -> None:
    cure = "This archive is not what its publisher made; do not use it."
    problems, seen = Problems(path), set()
    for entry in entries:
        name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
        windows = PureWindowsPath(name)
        if windows.is_absolute() or windows.drive or windows.root or name.startswith("/"):
            problems.add("absolute name in the archive", repr(name), cure)
        elif ".." in windows.parts or not windows.parts:
            problems.add("name that leaves the folder", repr(name), cure)
        elif kind not in (0, stat.S_IFREG):
            problems.add("link or device in the archive", repr(name), cure)
        elif entry.flag_bits & 1:
            problems.add("encrypted entry", repr(name), "Unpack it by hand with its password.")
        elif name.lower() in seen:  # also on file systems that do not tell A from a
            problems.add("two entries of one name", repr(name), cure)
        seen.add(name.lower())
    problems.raise_if_any()


def _check_sizes(path: Path, entries: list[zipfile.ZipInfo], folder: Path, largest_bytes: int) -> int:
    """Bytes that the entries unpack to. zipfile reads no more of an entry than the size that it states."""
    total = sum(entry.file_size for entry in entries)
    packed = path.stat().st_size
    if total > largest_bytes or total > max(_HARMLESS_BYTES, LARGEST_RATIO * packed):
        raise InputError(
            f"{path}: {packed / 1e6:.1f} MB that unpack to {total / 1e6:.1f} MB; allowed are "
            f"{largest_bytes / 1e6:.0f} MB and {LARGEST_RATIO} times the packed size. It is no image archive."
        )
    free = shutil.disk_usage(folder).free
    if total > free:
        raise InputError(f"{folder.parent}: {total / 1e9:.1f} GB are needed to unpack {path.name}, {free / 1e9:.1f} GB "
                         "are free. Free some space or name a folder on another disk with --data-root.")  # fmt: skip
    return total
