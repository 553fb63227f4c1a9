"""The content of files, whatever they are called and wherever they lie: SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path


def sha256_of(file: Path) -> str:
    """Hash the bytes of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def content_of(files: Sequence[Path], *, ordered: bool = False) -> str:
    """Hash a file, or several as one: neither their names count nor, unless ``ordered``, their order."""
    hashes = [sha256_of(file) for file in files]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes if ordered else sorted(hashes)).encode()).hexdigest()
