"""What lies in a folder or file: DICOM series and volumes with size, spacing, orientation and problems.

    python -m meddiff.pipelines.inspect ~/study                           # or study.zip, unpacked for the time of it
    python -m meddiff.pipelines.inspect ~/study --montage planes.png      # three planes of each, at the right aspect
    python -m meddiff.pipelines.inspect --audit data_manifest.csv         # what spoils a study, before it is trained on
    python -m meddiff.pipelines.inspect --audit ~/HAM10000 --dataset isic --out findings.csv

The audit finds near-duplicates across splits or with different labels, groups across splits, masks that are inverted,
empty, full, shifted or of another size, constant images, odd color modes and intensities, and unreadable files. Of a
manifest, of a folder as a data set (--dataset), or of plain images with masks by name. It ends with 1 where something
is serious.

Nothing is changed. Names, birth dates and numbers of patients are not shown.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from meddiff.errors import InputError
from meddiff.pipelines import inspect_audit
from meddiff.pipelines.command_line import answer

TILE = 192  # pixels


@dataclass(frozen=True)
class Inspect:
    """What to look at."""

    path: str
    """A file, a folder with all below it, or a zip archive."""
    montage: str = ""
    """A PNG to write with the three middle planes of each volume; empty for none."""


def run(settings: Inspect, console: Console | None = None) -> int:
    """Print the table; returns how many entries cannot be read.

    Raises:
        InputError: nothing is there, or the montage cannot be written.
    """
    from meddiff.data.unpack import unpacked

    console = console or Console()
    path = Path(settings.path).expanduser()
    with unpacked(path) as place:
        return _told(place, path, settings.montage, console)


def _told(place: Path, path: Path, montage: str, console: Console) -> int:
    """Look at ``place`` and print what is there, under the name ``path``."""
    from meddiff.data.inspection import look
    from meddiff.data.planes import three_planes

    entries, count, others = look(place)
    table = Table(title=escape(str(path)))
    for name in ("what", "kind", "files", "size", "spacing mm", "axes", "modality", "values", "problems"):
        table.add_column(name, overflow="fold")
    tiles, captions, unreadable = [], [], 0
    for entry in track(entries, "reading", total=count, console=console, transient=True):
        unreadable += entry.volume is None
        problems = "\n".join(entry.problems).replace(str(place), str(path))
        texts = (entry.name, entry.kind, str(entry.files), *_columns(entry.volume), problems)
        table.add_row(*map(escape, texts))  # a series may be called [/b], which is no markup
        if montage and entry.volume is not None:
            planes = three_planes(entry.volume, TILE)
            tiles += planes
            captions += [f"{entry.name} {plane}" for plane in ("axial", "coronal", "sagittal")]
    if count:
        console.print(table)
    told = ", ".join(f"{number} {suffix}" for suffix, number in _suffixes(others).most_common(8))
    console.print(f"{count} volumes, {unreadable} of them unreadable; {len(others)} other files ({told or 'none'})")
    if montage:
        _write_montage(tiles, captions, Path(montage).expanduser())
        console.print(f"wrote {montage}")
    return unreadable


def _columns(volume) -> tuple[str, ...]:
    if volume is None:
        return ("", "", "", "", "")
    spacing = " x ".join("?" if value is None else f"{value:.4g}" for value in volume.spacing_mm)
    axes = "".join(volume.orientation) if volume.orientation else "?"
    span = f"{volume.array.min():.5g} .. {volume.array.max():.5g} {volume.units or ''} {volume.array.dtype}"
    return " x ".join(map(str, volume.array.shape)), spacing, axes, volume.modality or "", span


def _suffixes(files: Sequence[Path]) -> Counter[str]:
    return Counter(file.suffix.lower() or "without suffix" for file in files)


def _write_montage(tiles: list, captions: list[str], path: Path) -> None:
    from meddiff.data.image_io import save_image
    from meddiff.pictures import as_rgb, grid_image

    if not tiles:
        raise InputError("there is no readable volume to draw. Leave --montage out, or name another path.")
    save_image(grid_image([as_rgb(tile) for tile in tiles], 3, 1, captions=captions), path)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 if all is well, 1 if something is unreadable or serious, 2 a mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m meddiff.pipelines.inspect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("path", help="a file, a folder with all below it, or a zip archive of one")
    parser.add_argument("--montage", default="", metavar="PNG", help="write three planes of each volume into this file")
    parser.add_argument(
        "--audit", action="store_true", help="path is a manifest (.csv) or a folder of images and masks"
    )
    parser.add_argument("--dataset", default="", metavar="NAME", help="of --audit: read the folder as this data set")
    parser.add_argument("--out", default="", metavar="CSV", help="of --audit: write all findings into this file")
    given = parser.parse_args(argv)
    if given.audit and given.montage:
        parser.error("--montage draws volumes: leave it out of an audit")
    if not given.audit and (given.dataset or given.out):
        parser.error("--dataset and --out belong to --audit")
    found: list[int] = []

    def work() -> None:
        if given.audit:
            found.append(inspect_audit.run(inspect_audit.Audit(given.path, given.dataset, given.out)))
        else:
            found.append(run(Inspect(given.path, given.montage)))

    code = answer(work)
    return code or int(bool(found[0]))


if __name__ == "__main__":
    raise SystemExit(main())
