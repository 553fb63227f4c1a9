"""One file from the web to disk, resumed where it broke off.

While it comes, the file is called ``<name>.part``, beside ``<name>.part.json`` with what the server said of it: a Range
request with If-Range (RFC 9110, sections 13.1.5 and 14.2) goes on only if the file on the server is still the same one.
Once it is complete and its checksum is right (``meddiff.sources.checksums``) it gets its name.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from meddiff.errors import InputError
from meddiff.files.unpack import Progress
from meddiff.files.writing import in_plain_words
from meddiff.sources.checksums import accept, read_json, record_file, write_json
from meddiff.sources.source import Archive

CHUNK_BYTES = 1 << 18
_LONGEST_WAIT_S = 30.0
_logger = logging.getLogger(__name__)


class _BrokenError(Exception):
    """The connection failed; trying again may help."""


class _RefusedError(Exception):
    """The server will not give this file; trying again will not help."""


@dataclass(frozen=True)
class Patience:
    """The number and the length of tries."""

    attempts: int = 5  # in a row without one more byte
    wait_s: float = 1.0  # before the second attempt, doubled for every further one
    timeout_s: float = 60.0  # without an answer


def fetch(
    archive: Archive, folder: Path, *, progress: Progress = lambda *_: None, patience: Patience | None = None
) -> Path:
    """Return the archive's file in ``folder``, downloaded unless it is there already.

    Raises:
        InputError: no address gives the file, the disk is full, or the file is not the one that the publisher
            states or that was downloaded first. What has come so far is kept, and the next call goes on from there.
    """
    target = folder / archive.file_name
    part = target.with_name(f"{target.name}.part")
    with in_plain_words(target):
        folder.mkdir(parents=True, exist_ok=True)
    if target.is_file():
        accept(archive, target, url=None, progress=progress)
        return target
    url = _download(archive, part, progress, patience or Patience())
    accept(archive, part, url=url, progress=progress)
    with in_plain_words(target):
        part.replace(target)
        record_file(part).unlink(missing_ok=True)
    return target


def _download(archive: Archive, part: Path, progress: Progress, patience: Patience) -> str:
    """Fill ``part`` from the first address that gives the file; that address."""
    reasons = []
    for url in (archive.url, *archive.mirrors):
        try:
            _download_from(url, part, progress, patience)
            return url
        except (_RefusedError, _BrokenError) as error:
            reasons.append(f"{url}: {error}")
    kept = f" {_size(part)} bytes have come and are kept: the same command goes on from there." if _size(part) else ""
    raise InputError(f"{archive.file_name} could not be downloaded. {'; '.join(reasons)}. Check the connection, or "
                     f"download it by hand into {part.parent}.{kept}")  # fmt: skip


def _download_from(url: str, part: Path, progress: Progress, patience: Patience) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            _transfer(url, part, progress, patience.timeout_s)
            return
        except _BrokenError as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= patience.attempts:
                raise
            _logger.info("%s: %s; trying again", url, error)
            time.sleep(min(patience.wait_s * 2 ** (failures - 1), _LONGEST_WAIT_S))


def _transfer(url: str, part: Path, progress: Progress, timeout_s: float) -> None:
    """Make one request: append to ``part`` what is missing of it."""
    state, done = read_json(record_file(part)), _size(part)
    total = state.get("size_bytes")
    if done and done == total:
        return
    resuming = 0 < done < (total or 0) and state.get("validator")
    headers = {"Range": f"bytes={done}-", "If-Range": state["validator"]} if resuming else {}
    with _opened(url, headers, timeout_s) as response:
        if response.status == 206 and _range_start(response.headers) != done:
            part.unlink()
            raise _BrokenError("the server sent another piece of the file than the one asked for")
        if response.status != 206:
            done, total = 0, _length(response.headers)
            state = {"url": url, "size_bytes": total, "validator": _validator(response.headers)}
            write_json(record_file(part), state)
        _check_room(part, total)
        with in_plain_words(part), part.open("ab" if done else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                done += len(chunk)
                progress(f"downloading {part.stem}", done, total)
    if total is not None and done != total:
        raise _BrokenError(f"the connection ended after {done} of {total} bytes")
    write_json(record_file(part), state | {"size_bytes": done})


def _opened(url: str, headers: dict[str, str], timeout_s: float) -> Any:
    request = Request(url, headers=headers | {"User-Agent": "meddiff", "Accept-Encoding": "identity"})
    try:
        return urlopen(request, timeout=timeout_s)
    except HTTPError as error:
        if error.code in (408, 429) or error.code >= 500:
            raise _BrokenError(f"{error.code} {error.reason}") from error
        raise _RefusedError(f"{error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _BrokenError(str(getattr(error, "reason", None) or error)) from error


def _chunks(response: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(CHUNK_BYTES)
        except (OSError, HTTPException) as error:
            raise _BrokenError(str(error)) from error
        if not chunk:
            return
        yield chunk


def _check_room(part: Path, total_bytes: int | None) -> None:
    needed, free = (total_bytes or 0) - _size(part), shutil.disk_usage(part.parent).free
    if needed > free:
        raise InputError(f"{part.parent}: {needed / 1e9:.1f} GB more are needed, {free / 1e9:.1f} GB are free. "
                         "Free some space or name a folder on another disk with --data-root.")  # fmt: skip


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _length(headers: Message) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _range_start(headers: Message) -> int | None:
    text = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isdigit() else None


def _validator(headers: Message) -> str | None:
    """Choose what If-Range is asked with: a strong ETag, else the date."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
