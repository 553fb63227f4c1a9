"""The audit of a study before it is trained on: ``inspect --audit``. The checks are those of `meddiff.audit`."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from meddiff.audit.finding import Finding
from meddiff.jobs.progress import new_console
from meddiff.manifest.row import ManifestRow
from meddiff.recipe.commands import Inspect


def run(settings: Inspect, console: Console | None = None) -> int:
    """Print the findings; returns how many are serious.

    Raises:
        InputError: nothing is there to audit, a manifest that cannot be parsed, an unknown data set.
    """
    from meddiff.audit import audit
    from meddiff.files.long_tables import write_table
    from meddiff.files.unpack import unpacked
    from meddiff.formats.masks import NameRules, meaning_of
    from meddiff.jobs.audit import tell, to_table
    from meddiff.jobs.progress import bar

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


def rows_of(path: Path, dataset: str = "", data_root: str = "") -> tuple[list[ManifestRow], list[Finding]]:
    """Return the rows that are audited, and what was odd in finding them.

    Raises:
        InputError: as `run`.
    """
    from meddiff.audit.listing import folder_rows
    from meddiff.errors import InputError
    from meddiff.files.bad import exists
    from meddiff.manifest.row import on_disk
    from meddiff.manifest.table import read_manifest

    if dataset and path.is_dir():
        from meddiff import build

        return build.source(dataset).rows(path), []
    if dataset:
        raise InputError(f"{path} is no folder: --dataset says how to read one. Leave it out for a manifest.")
    if path.is_dir():
        return folder_rows(path)
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: name a manifest (.csv), or a folder of images and masks, to audit")
    root = Path(data_root).expanduser() if data_root else None
    rows = read_manifest(path, root=root, check_files=False, check_together=False)
    if not any(exists(on_disk(file)) for row in rows for file in row.image_files):
        raise InputError(
            f"{path}: none of its {len(rows)} images exists, the first being {rows[0].image_file}. Name the folder "
            "that its paths start in with --data-root."
        )
    return rows, []
