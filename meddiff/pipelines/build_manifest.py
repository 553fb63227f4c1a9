"""Find the images of a data set and split them by patient (or lesion) into train, val and test.

    python -m meddiff.pipelines.build_manifest --dataset isic --data-root ~/HAM10000 --out runs/ham

writes manifest.csv into the run folder: one row per image with label, patient, split and where it came from. A
manifest of your own is checked (--manifest mine.csv); one that leaks between splits is an error that names the ids.

    python -m meddiff.pipelines.build_manifest --source dicom_folder --root ~/study --out study.csv

writes a manifest to edit: every image of a folder, also those without label, mask or split. Fill in what files cannot
tell, then give it to any command with --manifest.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from meddiff.command_line import answer, parse_settings, stage_command
from meddiff.errors import InputError
from meddiff.jobs.progress import new_console
from meddiff.recipe.commands import Listing

_USAGE = "--source NAME --root FOLDER [--out CSV]"


def list_images(settings: Listing, console: Console | None = None) -> Path:
    """Write the manifest and say what is in it.

    Raises:
        InputError: an unknown source, nothing found, or a file that is there already.
    """
    from meddiff import build
    from meddiff.manifest.table import lexical, write_manifest

    console = console or new_console(markup=True, emoji=True)
    out, root = Path(settings.out).expanduser(), Path(settings.root).expanduser()
    if out.exists():
        raise InputError(f"{out} is there already and may have been edited: name another file with --out, or remove it")
    rows = build.source(settings.source).rows(root)
    above = lexical(out).parent
    inside = lexical(root).is_relative_to(above)
    write_manifest(rows, out, root=above if inside else None)
    table = Table("what", "count", "values", title=out.name)
    table.add_row("images", str(len(rows)), "")
    table.add_row("patients or lesions", str(len({row.group for row in rows})), "")
    for column in ("label", "mask_path", "split", "modality"):
        counts = Counter(value for row in rows if (value := getattr(row, column)) is not None)
        named = "" if column == "mask_path" else ", ".join(f"{name} {count}" for name, count in counts.most_common(8))
        table.add_row(f"with {column}", str(counts.total()), named)
    console.print(table)
    where = "" if inside else f" --data-root {root}"
    console.print(f"fill in what is missing, then: --manifest {out}{where}", soft_wrap=True)
    return out


_run_stage = stage_command("build_manifest", __doc__, until="manifest")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    if not any(word.partition("=")[0] in ("--source", "--root") for word in words):
        return _run_stage(words)

    def work() -> None:
        list_images(parse_settings(Listing, "build_manifest", _USAGE, __doc__ or "", words))

    return answer(work)


if __name__ == "__main__":
    raise SystemExit(main())
