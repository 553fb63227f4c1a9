"""The segmentation job: its stages in order, run up to the one that a verb asks for."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from meddiff.pipelines.job import name_of, run_job
from meddiff.pipelines.stages import masks_calibrate, masks_evaluate, masks_manifest, masks_report, masks_train
from meddiff.pipelines.stages.progress import new_console
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run_folder import RunFolder
from meddiff.segmentation import assembly

STAGES = (
    masks_manifest.STAGE,
    masks_train.DIFFUSION_STAGE,
    masks_train.BASELINE_STAGE,
    masks_calibrate.STAGE,
    masks_evaluate.STAGE,
    masks_report.STAGE,
)


def run(recipe: SegmentRecipe, until: str, console: Console | None = None) -> RunFolder:
    """Run the stages up to ``until`` in the recipe's run folder; those that are done are skipped.

    Raises:
        InputError: whatever the user can cure, before work is lost to it.
    """
    assembly.check_names(recipe)
    out = Path(recipe.out or f"runs/segment-{name_of(recipe)}")
    return run_job(recipe, STAGES, until, out, console or new_console())
