"""A zip archive to a folder, all or nothing, whatever its author had in mind.

Refused before a byte is written: names that leave the folder, absolute names, links and devices, encrypted entries,
two entries of one name, folders nested without end, ways of packing whose memory has no bound, and archives of too
many entries or that swell to more than they say or than the disk holds. Files are written into a hidden folder beside
the target, which is renamed when all of them are there and their checksums are right. An archive inside an archive
stays packed.
"""

import errno
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from meddiff.errors import InputError, Problems
from meddiff.files.bad import check_file
from meddiff.files.walk import RUBBISH
from meddiff.files.writing import in_plain_words

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, the bytes done, and the bytes in all where that is known."""

SUFFIX = ".zip"
CHUNK_BYTES = 1 << 18
LARGEST_BYTES = 200 * 10**9
"""No data set that meddiff knows unpacks to more."""
LARGEST_INPUT_BYTES = 20 * 10**9
"""Of an archive that is unpacked for the time of one command; a study of a patient takes a tenth of it."""
LARGEST_RATIO = 200
"""Unpacked to packed size; images pack hardly at all, binary masks up to about 50 times. Counts above 100 MB."""
LARGEST_COUNT = 250_000
"""Entries. The list of names is refused by its size, before zipfile makes an object of each."""
LARGEST_DEPTH = 32
_HARMLESS_BYTES = 100 * 10**6
_LISTED_BYTES = 150  # of an entry in the list, with a long name
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks the others without a bound
DAMAGE = (
    zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, LookupError, struct.error, zlib.error,
)  # fmt: skip
"""What Python raises of a damaged archive, beside an OSError."""


def is_archive(path: Path) -> bool:
    """Say whether a path is a zip archive, by its name."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Return the path itself; of a zip archive, a temporary folder with what it holds, which is gone at the end.

    Messages of errors that pass name the files as if the archive were a folder.

    Raises:
        InputError: as unpack.
    """
    if not is_archive(path):
        yield path
        return
    check_file(path)
    with _temporary_folder(path) as name:
        folder = Path(name) / path.name
        with in_plain_words(folder, option="TMPDIR"):
            folder.mkdir()
            _unpack_into(path, folder, LARGEST_INPUT_BYTES, lambda *_: None)
        try:
            yield folder
        except InputError as error:
            error.args = (str(error).replace(str(folder), str(path)),)
            raise


def _temporary_folder(path: Path) -> tempfile.TemporaryDirectory:
    """Make a folder to unpack into; Python goes through TMPDIR, /tmp, /var/tmp and the working folder."""
    try:
        return tempfile.TemporaryDirectory(prefix="meddiff-", ignore_cleanup_errors=True)
    except OSError as error:
        cure = "Free some space in /tmp, or name a folder that can be written to with TMPDIR; or unpack it by hand"
        raise InputError(f"{path}: there is no folder to unpack it in ({error.strerror}). {cure}.") from error


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
    with in_plain_words(hidden):
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
        _check_listing(path)
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not _is_rubbish(entry)]
            _check_entries(path, entries)
            total = _check_sizes(path, entries, folder, largest_bytes)
            done = 0
            for entry in entries:
                file = folder / entry.filename
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as packed, file.open("xb") as unpacked_file:
                    while chunk := packed.read(CHUNK_BYTES):
                        unpacked_file.write(chunk)
                        done += len(chunk)
                        progress(f"unpacking {path.name}", done, total)
    except InputError:
        raise
    except DAMAGE as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise  # the disk's fault, not the archive's
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: the archive is damaged ({error}). Replace it by a good copy; if it was downloaded, "
                      "delete it and its .json, and download it again.")  # fmt: skip


def _is_rubbish(entry: zipfile.ZipInfo) -> bool:
    return entry.is_dir() or any(name in RUBBISH for name in PurePosixPath(entry.filename).parts)


def _check_listing(path: Path) -> None:
    """Refuse an archive of very many entries by the size of its list, as its end record (APPNOTE 4.3.16) states it."""
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - (1 << 16) - 98)  # the longest comment and both end records
        file.seek(start)
        tail = file.read()
    end = len(tail) - 22 if tail[-22:-18] == b"PK\5\6" else tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) < end + 22:
        return  # zipfile says that it is damaged
    size = struct.unpack_from("<I", tail, end + 12)[0]
    if end >= 76 and tail[end - 76 : end - 72] == b"PK\6\6":
        size = struct.unpack_from("<Q", tail, end - 76 + 40)[0]
    if size > LARGEST_COUNT * _LISTED_BYTES:
        raise _too_many(path, f"a list of names of {size / 1e6:.0f} MB")


def _too_many(path: Path, got: str) -> InputError:
    return InputError(f"{path}: {got}; allowed are {LARGEST_COUNT} entries. Unpack it by hand and name the folder.")


def _check_entries(path: Path, entries: Iterable[zipfile.ZipInfo]) -> None:
    cure = "No honest archive holds that; do not use it."
    problems, seen = Problems(path), set()
    for entry in entries:
        name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
        windows = PureWindowsPath(name)
        if windows.is_absolute() or windows.drive or windows.root or name.startswith("/"):
            problems.add("absolute name in the archive", repr(name), cure)
        elif ".." in windows.parts or not windows.parts:
            problems.add("name that leaves the folder", repr(name), cure)
        elif len(windows.parts) > LARGEST_DEPTH:
            problems.add(f"folders nested deeper than {LARGEST_DEPTH}", repr(name[:80]), cure)
        elif kind not in (0, stat.S_IFREG):
            problems.add("link or device in the archive", repr(name), cure)
        elif entry.flag_bits & 1:
            problems.add("encrypted entry", repr(name), "Unpack it by hand with its password.")
        elif entry.compress_type not in _PACKINGS:
            what = f"entry packed by method {entry.compress_type}"
            problems.add(what, repr(name), "Unpack it by hand, or pack it with method 8 (deflate).")
        elif name.lower() in seen:  # also on file systems that do not tell A from a
            problems.add("two entries of one name", repr(name), cure)
        seen.add(name.lower())
    problems.raise_if_any()
    if len(seen) > LARGEST_COUNT:
        raise _too_many(path, f"{len(seen)} entries")


def _check_sizes(path: Path, entries: list[zipfile.ZipInfo], folder: Path, largest_bytes: int) -> int:
    """Return bytes that the entries unpack to. zipfile reads no more of an entry than the size that it states."""
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
                         "are free. Free some space, or name a folder on another disk (--data-root for a download, "
                         "TMPDIR for what is only looked at).")  # fmt: skip
    return total
