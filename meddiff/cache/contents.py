"""The identity of a file, by its content: the SHA-256 of image and mask. Hashing is remembered per path, size and time.

A large data set is read from the disk once for its hashes, not at every start: a file whose size, modification time
and change time (which no program can set back) are as they were is taken to be the same.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from meddiff.errors import InputError
from meddiff.files.content import sha256_of
from meddiff.files.writing import write_atomically
from meddiff.formats import is_deep
from meddiff.formats.open import files_of
from meddiff.manifest.row import ManifestRow


@dataclass(frozen=True)
class Fingerprint:
    """Of one row."""

    text: str
    """Hashes of the files and whatever else decides how they are read."""
    deep: bool
    """Whether the image has more than 8 bits per value."""


def fingerprints(rows: Sequence[ManifestRow], *, with_masks: bool, memory: Path) -> list[Fingerprint]:
    """Return one fingerprint per row; a missing file has one of its own, so that it is looked for again later.

    Args:
        rows: what to fingerprint.
        with_masks: whether the masks count.
        memory: the folder that remembers hashes.
    """
    wanted = [_wanted(row, with_masks) for row in rows]
    files = list(dict.fromkeys(file for _, *some in wanted for part in some for file in part))
    parts = [
        files[start : start + 256] for start in range(0, len(files), 256)
    ]  # one task per file costs more than stat
    with ThreadPoolExecutor() as pool:  # hashing and waiting for the disk free the interpreter lock
        states = [state for part in pool.map(lambda part: [_state(file) for file in part], parts) for state in part]
        remembered = memory / f"hashes-{hashlib.sha256(json.dumps(states).encode()).hexdigest()[:32]}.json"
        known = _recall(remembered, len(files))
        if known is None:
            known = list(pool.map(_content, files))
            _remember(known, remembered)
    content = dict(zip(files, known, strict=True))
    return [
        Fingerprint(
            " ".join([text, *(content[file][0] for file in image), *([content[file][0] for file in mask] or ["-"])]),
            any(content[file][1] for file in image),
        )
        for text, image, mask in wanted
    ]


def _wanted(row: ManifestRow, with_masks: bool) -> tuple[str, list[Path], list[Path]]:
    text = f"{row.slice_axis} {row.slice_index} {row.sha256} {row.source == 'synthetic'}"
    image, mask = [row.image_file], [part.path for part in row.mask_parts] if with_masks else []
    if row.slice_axis is not None:
        image, mask = ([file for path in part for file in files_of(path)] for part in (image, mask))
    return text, image, mask


def _state(file: Path) -> list[str | int]:
    try:
        state = file.stat()
    except OSError:
        return [str(file.absolute())]
    return [str(file.absolute()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def _content(file: Path) -> tuple[str, bool]:
    try:
        digest = sha256_of(file)
    except OSError:
        return f"unreadable {file.absolute()}", False
    # the suffix decides how a file is read: "volume.nii.gz" -> ".nii.gz"
    return digest + "".join(file.suffixes[-2:]).lower(), is_deep(file)


def _recall(remembered: Path, count: int) -> list[tuple[str, bool]] | None:
    try:
        known = [(str(text), bool(deep)) for text, deep in json.loads(remembered.read_text())]
    except (OSError, ValueError):
        return None
    return known if len(known) == count else None


def _remember(known: list[tuple[str, bool]], remembered: Path) -> None:
    try:
        write_atomically(remembered, lambda file: file.write(json.dumps(known).encode()), durable=False)
    except InputError:
        return  # a cache that may only be read still serves arrays; the hashes are then taken again next time
