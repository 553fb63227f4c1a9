"""Checksums of the right file: the one whose SHA-256 the publisher states, else the one that was downloaded first.

The checksum of ``<name>`` is recorded in ``<name>.json`` beside it, with the address and who stated it.
"""

import hashlib
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from meddiff.errors import InputError
from meddiff.files.unpack import Progress
from meddiff.files.writing import write_atomically
from meddiff.sources.source import Archive


def record_file(target: Path) -> Path:
    """Name the file beside a download, whole or in part, in which is noted what is known of it."""
    return target.with_name(f"{target.name}.json")


def accept(archive: Archive, path: Path, *, url: str | None, progress: Progress) -> None:
    """Check the complete file at ``path`` (which may still have its temporary name) and record its checksum.

    Args:
        archive: what the file should be.
        path: where it lies, in the folder where it is to stay.
        url: where it came from; None if it was found on disk.
        progress: is given how many bytes have been read.

    Raises:
        InputError: it is no zip archive though it should be one (then it is removed), its checksum is not the one
            that the publisher states (removed too), or not the one recorded (kept).
    """
    name = archive.file_name
    if name.endswith(".zip") and not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            begin = file.read(40)
        path.unlink()
        raise InputError(f"{path} is no zip archive, it begins with {begin!r}; it was removed. If a login page stands "
                         "between you and the publisher, log in; then try again.")  # fmt: skip
    digest, record = _digest(path, f"checking {name}", progress), record_file(path.with_name(name))
    first = read_json(record).get("sha256")
    if archive.sha256 is not None and digest != archive.sha256.lower():
        path.unlink()
        raise InputError(f"{path}: its SHA-256 is {digest}, its publisher states {archive.sha256}. It was damaged on "
                         "the way and is removed; try again.")  # fmt: skip
    if archive.sha256 is None and first is not None and digest != first:
        raise InputError(
            f"{path}: its SHA-256 is {digest}, at the first download it was {first}: it is damaged, or its publisher "
            f"has changed it. Delete {path} to download it again, or {record} to accept it as it is now."
        )
    if first != digest:
        stated_by = "publisher" if archive.sha256 else "first download" if url else "found on disk"
        write_json(record, {"url": url or archive.url, "size_bytes": path.stat().st_size, "sha256": digest,
                            "sha256_stated_by": stated_by})  # fmt: skip


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; {} where there is none or it is damaged, so that it will be written anew."""
    content = None
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object as JSON, atomically."""
    write_atomically(path, lambda file: file.write(json.dumps(content, indent=2).encode()))


def _digest(path: Path, what: str, progress: Progress) -> str:
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
            done += len(chunk)
            progress(what, done, total)
    return digest.hexdigest()
