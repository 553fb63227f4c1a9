"""The main job: its stages in order, run up to the one that a command asks for."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil
import torch
import yaml
from rich.console import Console
from rich.table import Table

import meddiff
from meddiff import build
from meddiff.files.writing import write_text
from meddiff.jobs import manifest, train
from meddiff.jobs.generate import classify, filter, report, synthesize
from meddiff.jobs.progress import new_console
from meddiff.jobs.stage import AnyRecipe, Stage, run_stages
from meddiff.recipe import Recipe, differences, to_dict
from meddiff.run import RunFolder

STAGES = (manifest.STAGE, train.STAGE, synthesize.STAGE, filter.STAGE, classify.STAGE, report.STAGE)


def run(recipe: Recipe, until: str, console: Console | None = None) -> RunFolder:
    """Run the stages up to ``until`` in the recipe's run folder; those that are done are skipped.

    Raises:
        InputError: whatever the user can cure, before work is lost to it.
    """
    build.check_names(recipe)
    return run_job(recipe, STAGES, until, Path(recipe.out or f"runs/{name_of(recipe)}"), console or new_console())


def run_job(recipe: AnyRecipe, stages: Sequence[Stage], until: str, out: Path, console: Console) -> RunFolder:
    """Run the stages up to ``until`` in a run folder, which says with what."""
    names = [stage.name for stage in stages]
    with RunFolder(out).opened() as folder:
        console.print(f"run folder: {folder.path}", style="bold", soft_wrap=True)
        console.print(recipe_table(recipe))
        write_text(folder.recipe, yaml.safe_dump(to_dict(recipe), sort_keys=False))
        write_text(folder.environment, json.dumps(environment(), indent=2))
        run_stages(stages[: names.index(until) + 1], recipe, folder, console)
    return folder


def name_of(recipe: AnyRecipe) -> str:
    """``isic-phantom-quick``: the data set, phantom where it stands in, and the preset."""
    drawn = "" if recipe.data_root or recipe.manifest or recipe.dataset == "phantom" else "-phantom"
    return f"{recipe.dataset}{drawn}-{recipe.preset}"


def recipe_table(recipe: AnyRecipe) -> Table:
    """The recipe as its difference from the defaults."""
    table = Table(title=f"recipe, preset {recipe.preset}", title_justify="left")
    for name in ("setting", "default", "this run"):
        # a name that is cut off by dots, or by the end of the line, cannot be typed
        table.add_column(name, overflow="fold", no_wrap=name == "setting")
    for name, (default, used) in differences(recipe, type(recipe)()).items():
        table.add_row(name, *(json.dumps(value) for value in (default, used)))
    return table


def environment() -> dict:
    """What the figures of this run were made with."""
    packages = ("torch", "monai", "lightning-fabric", "numpy", "scipy", "scikit-learn", "pandas", "pillow")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "meddiff": meddiff.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": gpu,
        "command": " ".join(["python -m", *_shown_argv()]),
    }


def _shown_argv() -> list[str]:
    """The command as it was typed, with the module's name for the file that python was given."""
    program = Path(sys.argv[0])
    module = f"meddiff.pipelines.{program.stem}" if program.parent.name == "pipelines" else program.name
    return [module, *sys.argv[1:]]
