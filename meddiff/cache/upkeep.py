"""The upkeep of the cache: what is in it, how large and how old; what is old goes, unless somebody holds it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Kept:
    """One entry of the cache: a set of pictures, a volume, features, weights that were fetched."""

    path: Path
    size: int
    """Bytes of its files."""
    age_days: float
    """Days since one of its files was read or written last, as far as the disk notes it."""


def entries(folder: Path) -> list[Kept]:
    """List what the cache holds, the oldest first; nothing where there is no cache."""
    if not folder.is_dir():
        return []
    kept = [_kept(path) for path in folder.iterdir() if path.suffix != ".lock"]
    return sorted(kept, key=lambda one: -one.age_days)


def beyond(kept: Sequence[Kept], *, days: float | None = None, gibibytes: float | None = None) -> list[Kept]:
    """Choose what lies beyond a limit: older than so many days, or the oldest until the rest is no larger than that.

    Args:
        kept: entries, the oldest first.
        days: None for no limit.
        gibibytes: None for no limit.
    """
    left = sum(one.size for one in kept)
    chosen = []
    for one in kept:
        too_old = days is not None and one.age_days > days
        too_large = gibibytes is not None and left > gibibytes * 2**30
        if too_old or too_large:
            chosen.append(one)
            left -= one.size
    return chosen


def clear(old: Iterable[Kept]) -> list[Kept]:
    """Delete entries and their locks; returns those that went. One that another process builds stays."""
    gone = []
    for one in old:
        lock = FileLock(one.path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            part = one.path.with_name(f".{one.path.name}.cleared")  # a killed deletion leaves no half of an entry
            one.path.rename(part)
            shutil.rmtree(part) if part.is_dir() else part.unlink()
            gone.append(one)
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
    return gone


def in_units(count: float) -> str:
    """Return a number of bytes as people say it: ``830 MiB``."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    power = 0
    while count >= 1000 and power < len(units) - 1:
        count, power = count / 1024, power + 1
    return f"{count:.3g} {units[power]}"


def _kept(path: Path) -> Kept:
    stats = [file.stat() for file in (path, *path.rglob("*")) if file.is_file()] or [path.stat()]
    newest = max(max(one.st_atime, one.st_mtime) for one in stats)
    return Kept(path, sum(one.st_size for one in stats), max(0.0, time.time() - newest) / SECONDS_PER_DAY)
