"""A list of what lies in a folder or file: DICOM series and volumes with size, spacing, orientation and problems.

Pictures are counted: how many, how large, of which classes, and how many of them are masks.

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

import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from meddiff.command_line import answer, parse_settings
from meddiff.errors import InputError
from meddiff.jobs.progress import bar, new_console
from meddiff.recipe.commands import Inspect

if TYPE_CHECKING:
    from meddiff.formats.volume import Volume
    from meddiff.jobs.inspect import Entry

TILE = 192  # pixels
SHOWN_PROBLEMS = 6
SHOWN_CLASSES = 12


def run(settings: Inspect, console: Console | None = None) -> int:
    """Print what is there; returns how many entries cannot be read.

    Raises:
        InputError: nothing is there, or the montage cannot be written.
    """
    from meddiff.files.unpack import unpacked

    console = console or new_console(markup=True, emoji=True)
    path = Path(settings.path).expanduser()
    with unpacked(path) as place:
        return _print_all(place, path, settings.montage, console)


def _print_all(place: Path, path: Path, montage: str, console: Console) -> int:
    """Look at ``place`` and print what is there, under the name ``path``."""
    from meddiff.formats.find import find
    from meddiff.images.views import three_planes
    from meddiff.jobs.inspect import entries_of

    listed = find(place)
    volumes = [one for one in listed if one.kind in ("volume", "series")]
    pictures = [one.path for one in listed if one.kind == "picture"]
    others = [one.path for one in listed if one.kind in ("picture", "other")]
    entries, count = entries_of(volumes, place if place.is_dir() else place.parent), len(volumes)
    tiles, captions, unreadable = [], [], 0
    for entry in bar(console, "reading", unit="volumes", stays=False)(entries, count):
        unreadable += entry.volume is None
        problems = [_short(problem, place, path) for problem in entry.problems]
        _print_entry(console, entry, problems)
        if montage and entry.volume is not None:
            planes = three_planes(entry.volume, TILE)
            tiles += planes
            captions += [f"{entry.name} {plane}" for plane in ("axial", "coronal", "sagittal")]
    kinds = ", ".join(f"{number} {suffix}" for suffix, number in _suffixes(others).most_common(8))
    what = (
        f"{count} volumes, {unreadable} of them unreadable; {len(others)} other"
        if count
        else f"no volume; {len(others)}"
    )
    console.print(f"{path}: {what} files{f' ({kinds})' if kinds else ''}", soft_wrap=True, markup=False,
                  highlight=False)  # fmt: skip
    if pictures:
        _print_pictures(console, pictures, place, path)
    if montage:
        _write_montage(tiles, captions, Path(montage).expanduser())
        console.print(f"wrote {montage}", soft_wrap=True, markup=False, highlight=False)
    return unreadable


def _print_entry(console: Console, entry: Entry, problems: Sequence[str]) -> None:
    """Print a line with the name, one with the facts, one per problem; names stay whole, to be copied."""
    console.print(Text(entry.name, style="bold"), soft_wrap=True)
    files = "" if entry.files == 1 else f" in {entry.files} files"
    facts = ", ".join(fact for fact in (f"{entry.kind}{files}", *_facts(entry.volume)) if fact)
    console.print(Padding(Text(facts), (0, 0, 0, 4)))
    more = [f"and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
    for problem in [*problems[:SHOWN_PROBLEMS], *more]:
        console.print(Padding(Text(f"! {problem}", style="yellow" if entry.volume else "red"), (0, 0, 0, 4)))


def _print_pictures(console: Console, files: Sequence[Path], place: Path, path: Path) -> None:
    """Print how many pictures there are, how large, of which classes, what cannot be read, and how to audit them."""
    from meddiff.audit.listing import folder_rows
    from meddiff.jobs.inspect import PictureFacts, classes_of

    try:
        rows = folder_rows(place)[0] if place.is_dir() else []
    except InputError:  # masks alone
        rows = []
    facts = PictureFacts.of(bar(console, "reading", unit="pictures", stays=False)(files, len(files)))
    masks, classes = len({row.mask_path for row in rows} - {None}), classes_of(rows).most_common()
    count = f"{len(files)} picture{'s' if len(files) > 1 else ''}{f', {masks} of them masks' if masks else ''}"
    colors = ", ".join(f"{count} {kind}" for kind, count in facts.colors.most_common())
    said = [": ".join(filter(None, (count, facts.size))), colors]
    if classes:
        more = [f"and {len(classes) - SHOWN_CLASSES} more"] if len(classes) > SHOWN_CLASSES else []
        shown = [f"{name or '.'} {count}" for name, count in classes[:SHOWN_CLASSES]]
        said.append(f"classes, if folders are classes: {', '.join([*shown, *more])}")
    for fact in filter(None, said):
        console.print(Padding(Text(fact), (0, 0, 0, 4)))
    bad = [f"{_short(str(file), place, path)}: no picture that can be read" for file in facts.unreadable]
    for problem in [
        *bad[:SHOWN_PROBLEMS],
        *([f"and {len(bad) - SHOWN_PROBLEMS} more"] if bad[SHOWN_PROBLEMS:] else []),
    ]:
        console.print(Padding(Text(f"! {problem}", style="red"), (0, 0, 0, 4)))
    if rows:
        console.print(f"what spoils a study: python -m meddiff.pipelines.inspect --audit {shlex.quote(str(path))}",
                      soft_wrap=True, markup=False, highlight=False)  # fmt: skip


def _short(problem: str, place: Path, path: Path) -> str:
    """Return the problem without the folders that all entries share, which may be those of an unpacked archive."""
    return problem.replace(f"{place}/", "").replace(str(place), str(path))


def _facts(volume: Volume | None) -> tuple[str, ...]:
    if volume is None:
        return ("unreadable",)
    spacing = " x ".join("?" if value is None else f"{value:.4g}" for value in volume.spacing_mm)
    axes = "".join(volume.orientation) if volume.orientation else "axes unknown"
    span = " ".join(filter(None, (f"{volume.array.min():.5g} .. {volume.array.max():.5g}", volume.units)))
    shape = " x ".join(map(str, volume.array.shape))
    return volume.modality or "", shape, f"{spacing} mm", axes, f"{span} ({volume.array.dtype})"


def _suffixes(files: Sequence[Path]) -> Counter[str]:
    return Counter(file.suffix.lower() or "without suffix" for file in files)


def _write_montage(tiles: list, captions: list[str], path: Path) -> None:
    from meddiff.formats import save_image
    from meddiff.images.views import as_rgb, grid_image

    if not tiles:
        raise InputError("there is no readable volume to draw. Leave --montage out, or name another path.")
    save_image(grid_image([as_rgb(tile) for tile in tiles], 3, 1, captions=captions), path)


def audit_study(settings: Inspect, console: Console | None = None) -> int:
    """Print the findings of `meddiff.audit`; returns how many are serious.

    Raises:
        InputError: nothing is there to audit, a manifest that cannot be parsed, an unknown data set.
    """
    from meddiff.audit import audit  # scipy takes a second to import: not for --help
    from meddiff.files.long_tables import write_table
    from meddiff.files.unpack import unpacked
    from meddiff.formats.masks import NameRules, meaning_of
    from meddiff.jobs.audit import rows_of, tell, to_table

    console = console or new_console(markup=True, emoji=True)
    path = Path(settings.path).expanduser()
    with unpacked(path) as place:
        rows, findings = rows_of(place, settings.dataset, settings.data_root)
        began = time.perf_counter()
        rules = NameRules(settings.mask_overlap, settings.mask_missing)
        meaning = meaning_of(rows, text=settings.mask_values, rules=rules) if settings.mask_values else None
        findings = findings + audit(
            rows, meaning=meaning, rules=rules, progress=bar(console, "auditing", unit="images")
        )
    seconds = time.perf_counter() - began
    tell(console, findings, Path(settings.out).name if settings.out else "--out FILE.csv")
    serious = sum(one.severity == "serious" for one in findings)
    masks = sum(row.mask_path is not None for row in rows)
    console.print(
        f"{path}: {len(rows)} images, {masks} with masks, in {seconds:.1f} s; findings: {serious} serious, "
        f"{len(findings) - serious} others",
        soft_wrap=True, markup=False, highlight=False,
    )  # fmt: skip
    if settings.out:
        write_table(to_table(findings), Path(settings.out).expanduser())
        console.print(f"wrote {settings.out}", soft_wrap=True, markup=False, highlight=False)
    return serious


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return 0 if all is well, 1 if something is unreadable or serious, 2 for a mistake."""

    def work() -> int:
        words = sys.argv[1:] if argv is None else argv
        settings = parse_settings(Inspect, "inspect", "PATH [--montage PNG] [--audit]", __doc__ or "", words)
        return int((audit_study if settings.audit else run)(settings) > 0)

    return answer(work)


if __name__ == "__main__":
    raise SystemExit(main())
