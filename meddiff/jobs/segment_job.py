"""The segmentation job: its stages in order, run up to the one that a verb asks for."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from meddiff import build
from meddiff.jobs import masks_manifest, masks_train
from meddiff.jobs.job import name_of, run_job
from meddiff.jobs.progress import new_console
from meddiff.jobs.segment import calibrate, evaluate, report
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import RunFolder

STAGES = (
    masks_manifest.STAGE,
    masks_train.DIFFUSION_STAGE,
    masks_train.BASELINE_STAGE,
    calibrate.STAGE,
    evaluate.STAGE,
    report.STAGE,
)


def run(recipe: SegmentRecipe, until: str, console: Console | None = None) -> RunFolder:
    """Run the stages up to ``until`` in the recipe's run folder; those that are done are skipped.

    Raises:
        InputError: whatever the user can cure, before work is lost to it.
    """
    build.check_names(recipe)
    out = Path(recipe.out or f"runs/segment-{name_of(recipe)}")
    return run_job(recipe, STAGES, until, out, console or new_console())
