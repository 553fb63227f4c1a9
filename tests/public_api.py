# pyright: strict
"""Every public name, used as a program uses it: what a type checker says of this file, it says of theirs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import meddiff
from meddiff import Condition, Denoiser, InputError, ManifestRow, NoiseSchedule, Recipe, RunFolder
from meddiff.trained import TrainedModel


def trained_on(folder: Path) -> torch.Tensor:
    """Train on a folder of pictures, and draw two."""
    images = meddiff.read_images(folder, size=32)
    model = meddiff.denoiser(like=images, channels=(32, 64))
    losses = [step.loss.item() for step in meddiff.train(model, images, steps=20, batch_size=16)]
    print(meddiff.__version__, min(losses))
    return meddiff.generate(model, labels=["mel", None], seeds=[1, 2], steps=10)


def answers(place: Path, picture: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.floating]] | None:
    """Segment a picture with a run, or say why not."""
    try:
        model = meddiff.load(place)
    except InputError as error:
        print(error)
        return None
    if not isinstance(model, TrainedModel):  # it draws images: see above
        return None
    answer = model(picture)
    print(answer.uncertainty)
    return answer.probabilities


def drawn_by_hand(denoiser: Denoiser, labels: torch.Tensor, x_t: torch.Tensor) -> torch.Tensor:
    """Estimate images by the parts below."""
    schedule: NoiseSchedule = denoiser.schedule
    told = Condition(label=labels)
    plain = meddiff.bind(denoiser, told)
    denoise = meddiff.guide(plain, meddiff.bind(denoiser, told.untold()), 2.0)
    t = torch.full((len(x_t),), float(schedule.T))
    return denoise(x_t, t) - plain(x_t, t)


def without_patients(manifest: Path) -> list[ManifestRow]:
    """Rewrite a manifest."""
    rows = [replace(row, patient_id=None) for row in meddiff.read_manifest(manifest)]
    meddiff.write_manifest(rows, manifest)
    return rows


def place_of(recipe: Recipe) -> Path:
    """Name the report of a run."""
    return RunFolder(Path(recipe.out)).report_html
