"""Translation, stage 4: every model on every test image; one row per model and image.

Beside the diffusion model stand the regression and what needs no training: cubic interpolation of a coarse image, the
biharmonic equation in a hole. A single member and the mean of all are two answers: the first is a likely image, the
second has the smaller error and is blurred.

A finished image leaves its scores (JSON) and pictures in answers/, so that a killed run goes on with the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from meddiff import build
from meddiff.build.models import of_checkpoint
from meddiff.build.pair_models import JUDGE, REGRESSION, TRANSLATE
from meddiff.evaluation.answers import METRICS, scores_of
from meddiff.files.documents import read_json
from meddiff.files.long_tables import write_table
from meddiff.files.writing import write_text
from meddiff.formats import save_image
from meddiff.formats.masks import IGNORED
from meddiff.images.views import tile
from meddiff.inference.segmenters import Segmenter
from meddiff.inference.translators import Translator
from meddiff.jobs.describe import Work
from meddiff.jobs.progress import bar
from meddiff.jobs.segment.evaluate import begin, file_stems
from meddiff.jobs.splits import plain
from meddiff.jobs.stage import Stage, need
from meddiff.jobs.translate.train import known_batch, shown_parts
from meddiff.manifest.row import ManifestRow
from meddiff.metrics.masks.overlap import overlap
from meddiff.recipe import to_dict
from meddiff.recipe.translate import TranslateRecipe
from meddiff.run import Run, digest
from meddiff.seeds import child_seed
from meddiff.tasks.translate import Hole, LowResolution, TranslateTask
from meddiff.training import checkpoint

MEAN = "diffusion mean"
"""What tables call the mean of the members."""
PICTURES: tuple[str, ...] = ("known", "simple", REGRESSION, "member", "mean", "truth")
"""Pictures that a case leaves, in the order of the page."""


REAL = "real picture"
"""What tables call the true image, where it is asked which mask a picture shows."""


@dataclass(frozen=True)
class Networks:
    """The networks of a run."""

    translators: dict[str, Translator]
    judge: Segmenter | None
    """What says which mask a picture shows, where pictures are drawn by masks."""

    @classmethod
    def of(cls, run: Run[TranslateRecipe]) -> Networks:
        """Load them."""

        def loaded(name: str) -> Any:
            return of_checkpoint(run.recipe, TRANSLATE.weights(run.folder, name), name)[0]

        translators = {name: loaded(name) for name in (REGRESSION, build.DIFFUSION)}
        return cls(translators, loaded(JUDGE) if run.recipe.by_masks else None)

    @property
    def task(self) -> TranslateTask:
        """The task that they are for."""
        return self.translators[build.DIFFUSION].task

    def dice(self, members: np.ndarray, mask: np.ndarray) -> float | None:
        """Average, over members [M, C, *S], the Dice of the classes of their mask [*S]; None where it holds none."""
        held = [index for index in np.unique(mask[mask != IGNORED]).tolist() if index > 0]
        if self.judge is None or not held:
            return None
        judged = mask != IGNORED
        seen = self.judge.members_of(torch.from_numpy(members), [()] * len(members))[:, 0].argmax(1).numpy()
        each = [overlap(mask[judged] == index, one[judged] == index).dice for one in seen for index in held]
        return round(float(np.mean(each)), 6)


def without_training(task: TranslateTask, known: Tensor) -> tuple[str, Tensor] | None:
    """Return an answer [C, *S] that needs no network, with its name; None between sequences, which have none."""
    if isinstance(task, LowResolution):
        return "bicubic" if known.ndim == 3 else "trilinear", known.clamp(-1, 1)
    if isinstance(task, Hole):
        from skimage.restoration import inpaint_biharmonic

        hole = (known[-1] > 0).numpy()
        filled = inpaint_biharmonic(known[:-1].numpy().astype(np.float64), hole, channel_axis=0)
        return "biharmonic", task.answer(torch.from_numpy(filled).float()[None], known[None])[0]
    return None


Answers = dict[str, np.ndarray]
"""Members [M, K, *S] of each model."""


def answers_of(run: Run[TranslateRecipe], models: Mapping[str, Translator], name: str, known: Tensor) -> Answers:
    """Return the answers of all models to what is known [C, *S] of an image of that name."""
    task, recipe = models[build.DIFFUSION].task, run.recipe
    seeds = [child_seed(recipe.seed, "member", name, number) for number in range(recipe.inference.members)]
    drawn = models[build.DIFFUSION].members(known, seeds).numpy()
    simple = without_training(task, known)
    answers = {} if simple is None else {simple[0]: simple[1][None].numpy()}
    answers |= {REGRESSION: models[REGRESSION].members(known, []).numpy(), build.DIFFUSION: drawn}
    return answers | ({MEAN: drawn.mean(0, keepdims=True)} if len(drawn) > 1 else {})


def _case(run: Run[TranslateRecipe], models: Networks, number: int, stem: Path) -> list[dict[str, Any]]:
    """Measure all models on a test image, from its file where it was done before."""
    file = stem.with_name(f"{stem.name}.json")
    if file.is_file():
        return read_json(file)["scores"]
    images, task = plain(run, "test"), models.task
    row, batch = images.rows[number], known_batch(run.recipe, images, number)
    known, truth = task.condition(batch).image, task.wanted(batch.image)[0]
    assert known is not None  # a task of images is told one
    answers = answers_of(run, models.translators, row.row_id, known[0])
    about, how = {"case": row.row_id, "patient": row.group}, _measured(task, known, truth)
    scores = [{"model": name} | about | scores_of(own, truth.numpy(), **how) for name, own in answers.items()]
    if models.judge is not None and batch.mask is not None:
        mask, every = batch.mask[0, 0].numpy(), answers | {REAL: truth[None].numpy()}
        scores.insert(0, {"model": REAL} | about | dict.fromkeys(METRICS))
        scores = [one | {"dice": models.dice(every[str(one["model"])], mask)} for one in scores]
    for name, picture in _pictures(task, known[0], answers, truth, images.spacing_mm).items():
        save_image(picture, stem.with_name(f"{stem.name}_{name}.png"))
    write_text(file, json.dumps({"scores": scores}))
    return scores


def _measured(task: TranslateTask, known: Tensor, truth: Tensor) -> dict[str, Any]:
    """Say which pixels are measured, and what the known image was made by."""
    hole, how = task.unknown(known), dict[str, Any]()
    if hole is not None:
        how["where"] = hole[0].expand(truth.shape).numpy()
    if isinstance(task, LowResolution):
        how["coarse"] = lambda image: task.coarse(torch.from_numpy(image)[None])[0].numpy()
    return how


def _pictures(
    task: TranslateTask, known: Tensor, answers: Answers, truth: Tensor, spacing_mm: Any
) -> dict[str, np.ndarray]:
    """Return what is shown of a case, by name."""
    images = {"known": known} | {
        {build.DIFFUSION: "member", MEAN: "mean", REGRESSION: REGRESSION}.get(name, "simple"): torch.from_numpy(
            members[0]
        )
        for name, members in answers.items()
    } | {"truth": truth}  # fmt: skip
    parts = shown_parts(task, *images.values())
    return {name: tile(part.numpy(), spacing_mm) for name, part in zip(images, parts, strict=True)}


def _weights(run: Run[TranslateRecipe]) -> list[str]:
    names = (build.DIFFUSION, *build.kind(run.recipe).others(run.recipe))
    return [digest(TRANSLATE.weights(run.folder, name).path / checkpoint.INDEX) for name in names]


def _inputs(run: Run[TranslateRecipe]) -> str:
    inference = to_dict(run.recipe.inference)
    if not run.recipe.by_masks:
        del inference["guidance"]  # former versions had none
    return digest(run.folder.manifest, _weights(run), inference, run.recipe.seed)


def _check(run: Run[TranslateRecipe]) -> None:
    need(run, "test", "on which the answers are judged")


def _work(run: Run[TranslateRecipe]) -> list[Path]:
    folder, rows = run.folder, plain(run, "test").rows
    begin(folder.answers, _inputs(run))
    models, stems = Networks.of(run), file_stems([row.row_id for row in rows])
    lines: list[dict[str, Any]] = []
    shown: Sequence[tuple[int, ManifestRow]] = list(enumerate(rows))
    for number, row in bar(run.console, "answering test images", unit="images")(shown, len(shown)):
        lines += _case(run, models, number, folder.answers / stems[row.row_id])
    write_table(pd.DataFrame(lines), folder.cases)
    return [folder.cases]


def _asks(run: Run[TranslateRecipe]) -> list[Work]:
    recipe = run.recipe
    return [Work(recipe.network.name, called=len(run.of("test")) * recipe.inference.members * recipe.inference.steps)]


STAGE = Stage("evaluate", "answering and measuring every test image", _inputs, _work, _check, _asks)
