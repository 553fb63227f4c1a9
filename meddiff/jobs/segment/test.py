"""The networks of a run, as they are, on images that they have never seen the like of.

    python -m meddiff.pipelines.segment test --checkpoint runs/segment-isic-standard --dataset isic \\
        --data_root ~/PH2 --out runs/ph2

Nothing is trained or fitted here: weights, settings and temperatures are the run's. All images with a mask are judged,
whatever their split; cases.csv, report.html and the masks are those of `segment evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.errors import InputError
from meddiff.recipe.commands import OtherImages

if TYPE_CHECKING:
    from meddiff.audit import Finding
    from meddiff.recipe import SegmentRecipe
    from meddiff.run import Run


def run(settings: OtherImages) -> Path:
    """Judge the run's networks; returns report.html.

    Raises:
        InputError: no run, no images with masks, masks that cannot be read.
    """
    from meddiff.build import DIFFUSION
    from meddiff.jobs.manifest import check_dimensions, find_rows
    from meddiff.jobs.progress import new_console
    from meddiff.jobs.run_facts import environment
    from meddiff.jobs.segment.evaluate import begin, judge, networks_of
    from meddiff.jobs.segment.mask_values import tell_of_others
    from meddiff.jobs.segment.report import report
    from meddiff.jobs.segment.seen import seen_in_training
    from meddiff.manifest.table import write_manifest
    from meddiff.recipe import SegmentRecipe, to_dict
    from meddiff.run import Run, RunFolder, digest, recipe_in

    folder, trained_in = (RunFolder(Path(place).expanduser()) for place in (settings.out, settings.checkpoint))
    trained = Run(recipe_in(trained_in, SegmentRecipe), trained_in)
    _check(settings, folder.path, trained_in.path)
    dataset = settings.dataset or trained.recipe.dataset
    recipe = replace(trained.recipe, dataset=dataset, data_root=settings.data_root, manifest=settings.manifest)
    other = Run(recipe, folder, new_console())
    with folder.opened():
        rows = [replace(row, split="test") for row in find_rows(other) if row.mask_path is not None]
        if not rows:
            raise InputError(f"none of the images in {settings.data_root or settings.manifest} has a mask to judge by")
        check_dimensions(rows, recipe)
        models = networks_of(trained)
        write_manifest(rows, folder.manifest)
        tell_of_others(rows, other, models[DIFFUSION].class_names, settings.mask_values)
        _tell_of_seen(seen_in_training(rows, other, trained), other)
        made_by = digest(folder.manifest, folder.mask_values, to_dict(trained.recipe.inference), trained.recipe.seed)
        for name, model in models.items():
            begin(folder.masks / name, digest(made_by, model.weights, model.temperature))
        judge(trained, rows, other)
        made_with = {"weights": settings.checkpoint, "environment": environment(), "manifest": digest(folder.manifest)}
        title = f"Networks of {trained.recipe.dataset} on other images: {dataset}"
        report(models[DIFFUSION], rows, other, title=title, trained_in=trained_in, provenance=made_with)
    return folder.report_html


def _tell_of_seen(findings: Sequence[Finding], other: Run[SegmentRecipe]) -> None:
    """Print which images the networks have seen, and keep it for the report."""
    from meddiff.files.long_tables import write_table
    from meddiff.jobs import audit

    other.folder.findings.unlink(missing_ok=True)
    if findings:
        write_table(audit.to_table(findings), other.folder.findings)
        audit.tell(other.console, findings, str(other.folder.findings))


def _check(settings: OtherImages, out: Path, trained_in: Path) -> None:
    """Refuse a test without images, and one whose results would mix with those of a run."""
    from meddiff.run import refuse_run_folder

    if not (settings.data_root or settings.manifest):
        raise InputError("segment test needs images: give --data_root FOLDER or --manifest FILE")
    if out.resolve() == trained_in.resolve():
        raise InputError(f"--out {settings.out} is the run that is tested: results would mix with it. Name another one")
    refuse_run_folder(out, "--out")
