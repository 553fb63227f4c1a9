"""The jobs: the stages of each in order, run up to the one that a command asks for."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import yaml
from rich.console import Console
from rich.table import Table

from meddiff import build
from meddiff.errors import InputError
from meddiff.files.documents import read_yaml
from meddiff.files.writing import write_text
from meddiff.jobs import manifest, train
from meddiff.jobs.autoencode import evaluate as codes
from meddiff.jobs.autoencode import train as autoencode
from meddiff.jobs.describe import tell_time
from meddiff.jobs.detect import choose, health, learn
from meddiff.jobs.detect import evaluate as detections
from meddiff.jobs.generate import classify, filter, report, synthesize
from meddiff.jobs.progress import new_console
from meddiff.jobs.run_facts import environment
from meddiff.jobs.segment import calibrate, drawn_pairs, evaluate, segmenter_study, study_report
from meddiff.jobs.segment import report as masks_report
from meddiff.jobs.stage import AnyRun, Stage, run_stages
from meddiff.jobs.translate import evaluate as answers
from meddiff.jobs.translate import report as answers_report
from meddiff.jobs.translate import train as translate
from meddiff.recipe import (
    AnyRecipe,
    AutoencodeRecipe,
    DetectRecipe,
    Recipe,
    SegmentRecipe,
    TranslateRecipe,
    differences,
    of_volumes,
    to_dict,
)
from meddiff.run import Run, RunFolder, kind_of

Kind = TypeVar("Kind", bound=AnyRecipe)

GENERATE = (
    manifest.stage(
        "reading what images there are and splitting them by patient or lesion",
        lambda recipe: manifest.PAIRED if recipe.classes else manifest.LABELED,
    ),
    train.IMAGES,
    synthesize.STAGE,
    filter.STAGE,
    classify.STAGE,
    report.STAGE,
)
SEGMENT = (
    manifest.stage(
        "reading what images and masks there are, splitting them by patient or lesion", lambda _: manifest.MASKED
    ),
    train.MASKS,
    train.BASELINES,
    calibrate.STAGE,
    evaluate.STAGE,
    masks_report.STAGE,
)
PAIRS = (SEGMENT[0], drawn_pairs.STAGE, segmenter_study.STAGE, study_report.STAGE)
TRANSLATE = (
    manifest.stage(
        "reading what images there are and splitting them by patient or lesion",
        lambda recipe: manifest.BY_MASKS if recipe.by_masks else manifest.PLAIN,
    ),
    translate.DIFFUSION,
    translate.COMPARED,
    answers.STAGE,
    answers_report.STAGE,
)
NEXT_OF_IMAGES = (
    "evaluate images --real {run}/manifest.csv:test --synthetic {run}/synthetic_manifest.csv "
    "--train {run}/manifest.csv:train",
    "publish --run {run} --out published",
    "inspect --audit {run}/manifest.csv",
)
NEXT_OF_MASKS = (
    "segment predict --checkpoint {run} --input YOUR_IMAGES --output masks",
    "segment test --checkpoint {run} --data_root OTHER_IMAGES --out tested",
    "publish --run {run} --out published",
)
NEXT_OF_ANSWERS = (
    "translate predict --checkpoint {run} --input YOUR_IMAGES --output translated",
    "inspect --audit {run}/manifest.csv",
)
NEXT_OF_MAPS = (
    "detect predict --checkpoint {run} --input YOUR_IMAGES --output maps",
    "inspect --audit {run}/manifest.csv",
)


DETECT = (
    manifest.stage(
        "reading what images there are, which are healthy, and splitting them by patient", lambda _: health.PURPOSE
    ),
    learn.DENOISER,
    learn.BASELINE,
    choose.STAGE,
    detections.STAGE,
)
AUTOENCODE = (
    manifest.stage("reading what images there are and splitting them by patient or lesion", lambda _: manifest.PLAIN),
    autoencode.STAGE,
    codes.EVALUATE,
    codes.REPORT,
)
NEXT_OF_CODES = ("augment --dataset {dataset} --diffusion.latent {run}",)


@dataclass(frozen=True)
class Job:
    """The work of a kind of run."""

    stages: tuple[Stage, ...]
    begins: str
    """What the name of its folder begins with."""
    next: tuple[str, ...]
    """What people do with a finished run, as they type it."""


JOBS: dict[type, Job] = {
    Recipe: Job(GENERATE, "", NEXT_OF_IMAGES),
    SegmentRecipe: Job(SEGMENT, "segment-", NEXT_OF_MASKS),
    TranslateRecipe: Job(TRANSLATE, "translate-", NEXT_OF_ANSWERS),
    DetectRecipe: Job(DETECT, "detect-", NEXT_OF_MAPS),
    AutoencodeRecipe: Job(AUTOENCODE, "autoencode-", NEXT_OF_CODES),
}
"""The work of each kind of run."""
PAIR_STUDY = Job(PAIRS, "segment-augment-", ("inspect --audit {run}/manifest.csv",))
"""The work of `segment augment`."""


def run(recipe: Kind, until: str, console: Console | None = None, job: Job | None = None) -> Run[Kind]:
    """Run the stages of a recipe's kind (or of another job) up to ``until``; those that are done are skipped.

    Raises:
        InputError: whatever the user can cure, before work is lost to it.
    """
    build.check_names(recipe)
    job = job or JOBS[type(recipe)]
    folder = RunFolder(Path(recipe.out or f"runs/{job.begins}{name_of(recipe)}"))
    made = Run(with_its_policy(as_it_was_begun(recipe, folder)), folder, console or new_console())
    _go(made, job.stages, until)
    tell_next(made, job.next if until == job.stages[-1].name else ())
    return made


def _go(run: AnyRun, stages: Sequence[Stage], until: str) -> None:
    """Run the stages in the run's folder, which says with what."""
    names = [stage.name for stage in stages]
    with run.folder.opened() as folder:
        run.console.print(f"run folder: {folder.path}", style="bold", soft_wrap=True)
        run.console.print(recipe_table(run.recipe))
        write_text(folder.recipe, yaml.safe_dump(to_dict(run.recipe), sort_keys=False))
        write_text(folder.environment, json.dumps(environment(), indent=2))
        if until != "manifest" and "train" in names and "train" not in folder.record():
            tell_time(run.recipe, run.console)
        run_stages(stages[: names.index(until) + 1], run)


def tell_next(run: AnyRun, commands: Sequence[str]) -> None:
    """Print commands to go on with, the run's folder in them."""
    known = {"run": shlex.quote(str(run.folder.path)), "dataset": run.recipe.dataset}
    for number, command in enumerate(commands):
        start = "      " if number else "next: "
        run.console.print(f"{start}python -m meddiff.pipelines.{command.format(**known)}", soft_wrap=True)


def as_it_was_begun(recipe: Kind, folder: RunFolder) -> Kind:
    """Return the recipe with what the version did that began the run, and that is done otherwise today.

    Slices stay as the array has them where it knew no others; ``auto`` turned all pictures by eight symmetries.

    Raises:
        InputError: the run in the folder is of another kind.
    """
    try:
        begun = read_yaml(folder.recipe)
    except InputError:
        return recipe
    if not isinstance(begun, dict) or not begun:
        return recipe
    if (kind := kind_of(begun)) is not type(recipe):
        raise InputError(f"the run in {folder.path} {kind.DOES}: name another folder with --out")
    if "slices" not in begun.get("data", {"slices": ""}):
        recipe = replace(recipe, data=replace(recipe.data, slices="array"))
    if begun.get("training", {}).get("augment") == recipe.training.augment == "auto":
        recipe = replace(recipe, training=replace(recipe.training, augment="none" if of_volumes(recipe) else "square"))
    return recipe


def with_its_policy(recipe: Kind) -> Kind:
    """Return the recipe with the augmentation that its kind of image allows, where it leaves that open."""
    policy = build.policy_of(recipe, build.modalities_in(recipe.manifest) if recipe.manifest else ())
    return replace(recipe, training=replace(recipe.training, augment=policy))


def name_of(recipe: AnyRecipe) -> str:
    """Return ``isic-phantom-quick``: the data set, phantom where it stands in, and the preset."""
    drawn = "" if recipe.data_root or recipe.manifest or recipe.dataset == "phantom" else "-phantom"
    return f"{recipe.dataset}{drawn}-{recipe.preset}"


def recipe_table(recipe: AnyRecipe) -> Table:
    """Show the recipe as its difference from the defaults."""
    table = Table(title=f"recipe, preset {recipe.preset}", title_justify="left")
    for name in ("setting", "default", "this run"):
        # a name that is cut off by dots, or by the end of the line, cannot be typed
        table.add_column(name, overflow="fold", no_wrap=name == "setting")
    for name, (default, used) in differences(recipe, type(recipe)()).items():
        table.add_row(name, *(json.dumps(value) for value in (default, used)))
    return table
