"""Fetch the public archives of a data set and unpack them, ready for --data-root.

    python -m meddiff.pipelines.download --dataset isic                                    # what there is
    python -m meddiff.pipelines.download --dataset isic --archive ham10000 --data-root data
    python -m meddiff.pipelines.augment --dataset isic --data-root data

A download that broke off goes on where it was when the command is given again. The checksum of each file is recorded
beside it at the first download (or compared with the publisher's, where there is one) and held to afterwards.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from meddiff.command_line import answer, parse_settings
from meddiff.errors import InputError
from meddiff.files.unpack import Progress as Report
from meddiff.files.unpack import unpack
from meddiff.files.writing import in_plain_words
from meddiff.jobs.progress import Shown, new_console
from meddiff.recipe.commands import Download
from meddiff.sources.checksums import record_file
from meddiff.sources.fetch import fetch
from meddiff.sources.source import Archive, Source


def run(settings: Download, sources: Mapping[str, Source], console: Console | None = None) -> Path | None:
    """Fetch and unpack; the folder that holds the files, None where archives were only listed.

    Raises:
        InputError: an unknown name, a data set that offers no download, and all that fetch and unpack refuse.
    """
    console = console or new_console()
    source = _named("dataset", settings.dataset, sources)
    if not source.archives:
        raise InputError(f"{source.name} cannot be downloaded by a program. {source.how_to_get}")
    by_name: dict[str, list[Archive]] = {}
    for archive in source.archives:
        by_name.setdefault(archive.name, []).append(archive)
    if not settings.archive:
        console.print(_listed(source, by_name))
        console.print("Name one with --archive.")
        return None
    wanted = _named("archive", settings.archive, by_name)
    folder = Path(settings.data_root).expanduser() / settings.archive
    with _alone(folder):
        for archive in wanted:
            _bring(archive, folder, settings.delete_archives, console)
    console.print(f"{folder} is complete. Give --data-root {folder.parent} to use all that lies in it.")
    return folder


def _bring(archive: Archive, folder: Path, delete: bool, console: Console) -> None:
    """Fetch and unpack one file; nothing is done where that has happened before."""
    path = folder / archive.file_name
    zipped = path.suffix == ".zip"
    if zipped and (folder / path.stem).is_dir() and record_file(path).is_file():
        console.print(f"  {archive.file_name}: unpacked already")
        return
    with _bar(console) as report:
        path = fetch(archive, folder, progress=report)
        if zipped:
            unpack(path, folder, progress=report)
            if delete:
                path.unlink()
    console.print(f"  {archive.file_name}: {archive.note}; {archive.license}")


@contextmanager
def _bar(console: Console) -> Iterator[Report]:
    """Show one bar with bytes, rate and time left, renamed as one kind of work follows another."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Shown(*columns, console=console, unit="bytes", stays=False) as progress:
        tasks: dict[str, int] = {}

        def report(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                for task in tasks.values():
                    progress.update(task, visible=False)  # type: ignore[arg-type]
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield report


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse two downloads into one folder, which would write into each other's files."""
    with in_plain_words(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".download.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(f"{folder}: another download into it is running. Wait for it to end.") from None
    try:
        yield
    finally:
        lock.release()


def _named(kind: str, name: str, table: Mapping):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown {kind} {name!r}: use one of {', '.join(table)}{meant}")


def _listed(source: Source, by_name: Mapping[str, Sequence[Archive]]) -> Table:
    table = Table("--archive", "files", "what is in them", "license", title=f"archives of {source.title}")
    for name, archives in by_name.items():
        licenses = ", ".join(sorted({archive.license for archive in archives}))
        table.add_row(name, str(len(archives)), "; ".join(archive.note for archive in archives), licenses)
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""

    def work() -> None:
        words = sys.argv[1:] if argv is None else argv
        usage = "[--dataset NAME] [--archive NAME] [--data_root FOLDER] [--delete_archives]"
        settings = parse_settings(Download, "download", usage, __doc__ or "", words)
        from meddiff.build import SOURCES  # takes seconds to import: not for --help

        run(settings, SOURCES)

    return answer(work)


if __name__ == "__main__":
    raise SystemExit(main())
