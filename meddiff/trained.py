"""A trained run, ready to segment: the door for programs.

model = meddiff.load("runs/segment-isic-standard")
answer = model(model.picture("photo.jpg"))
answer.classes, answer.probabilities, answer.entropy, answer.uncertainty       # on the photograph's own grid
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from meddiff import build
from meddiff.build import segmentation
from meddiff.build.models import trained
from meddiff.errors import InputError
from meddiff.formats.open import load_volume
from meddiff.images.case import Case, case_of_volume, picture_file_case
from meddiff.inference.decision import Answer, Decision, decide
from meddiff.inference.segmenters import Segmenter
from meddiff.manifest.row import ManifestRow
from meddiff.recipe import SegmentRecipe, check, from_dict, of_volumes
from meddiff.run import RunFolder
from meddiff.seeds import child_seed


@dataclass(frozen=True)
class TrainedModel:
    """One network of a run with its best weights."""

    recipe: SegmentRecipe
    segmenter: Segmenter
    class_names: tuple[str, ...]
    """Class k is class_names[k]; 0 is background."""
    temperature: float
    """Fitted on the validation split; 1 where it was not."""
    deep: bool
    """Whether it was trained on pictures of more than 8 bits."""
    channels: int
    """That the network is told."""

    def __call__(self, case: Case) -> Answer:
        """The answer for a case: its members are functions of the run's seed and the case's name."""
        return decide(self.members(torch.from_numpy(case.image), case.name), case, self.decision)

    def members(self, image: Tensor, name: str) -> np.ndarray:
        """Class probabilities [M, K, *S] of the members for an image [C, *S] of that name, on the network's grid."""
        seeds = [child_seed(self.recipe.seed, "member", name, m) for m in range(self.recipe.inference.members)]
        return self.segmenter.members(image, seeds).numpy()

    @property
    def sequences(self) -> int:
        """Sequences of a volume: its channels, of each slice in a stack."""
        return self.channels // (2 * self.recipe.data.neighbors + 1)

    @property
    def decision(self) -> Decision:
        """How members become an answer."""
        settings = self.recipe.inference
        return Decision(
            settings.fusion, self.temperature, settings.uncertainty, settings.largest_component, settings.fill_holes
        )

    def case(self, row: ManifestRow) -> Case:
        """The image of a manifest row.

        Raises:
            InputError: it cannot be read.
        """
        return segmentation.case(self.recipe, row, deep=self.deep)

    def picture(self, path: str | Path) -> Case:
        """A picture file.

        Raises:
            InputError: it cannot be read, or the network was trained on volumes.
        """
        if of_volumes(self.recipe):
            raise InputError(f"{path}: this is a picture, but the network was trained on volumes")
        return picture_file_case(Path(path), segmentation.picture_transform(self.recipe, deep=self.deep))

    def volume(self, path: str | Path, *, series: str | int | None = None) -> Case:
        """A volume file or DICOM series, for a network of volumes.

        Raises:
            InputError: it cannot be read, or the network was trained on pictures.
        """
        if not of_volumes(self.recipe):
            raise InputError(
                f"{path}: this is a volume, but the network was trained on pictures: cut it with "
                "meddiff.images.case.slice_cases"
            )
        return case_of_volume(
            Path(path).name, load_volume(path, series=series), segmentation.volume_transform(self.recipe)
        )


def load(run: str | Path, *, model: str = build.DIFFUSION, **inference: Any) -> TrainedModel:
    """A network of a run folder that `segment train` made.

    Args:
        run: the run folder.
        model: diffusion, or the name of a baseline.
        inference: settings of the recipe's inference to use instead: members=25, steps=5, fusion="staple" ...

    Raises:
        InputError: no run, no such network, weights that belong to another set-up, a setting out of range.
    """
    folder = RunFolder(Path(run).expanduser())
    recipe = recipe_of(folder)
    recipe = replace(recipe, inference=replace(recipe.inference, **inference))
    check(recipe)
    return of_run(recipe, folder, model)


def of_run(recipe: SegmentRecipe, folder: RunFolder, model: str) -> TrainedModel:
    """A network of a run whose recipe is at hand."""
    segmenter, facts = trained(recipe, folder, model)
    return TrainedModel(
        recipe, segmenter, facts.class_names, saved_temperature(folder, model), facts.pixel_dtype == "uint16",
        facts.channels,
    )  # fmt: skip


def recipe_of(folder: RunFolder) -> SegmentRecipe:
    """The recipe of a run.

    Raises:
        InputError: there is no run, or it was written by another version.
    """
    if not folder.recipe.is_file():
        raise InputError(f"{folder.path} is no run folder: it has no recipe.yaml. Name that of a `segment train` run")
    return from_dict(SegmentRecipe, yaml.safe_load(folder.recipe.read_text(encoding="utf-8")))


def saved_temperature(folder: RunFolder, name: str) -> float:
    """The temperature of a model that was calibrated; 1 where it was not."""
    if not folder.temperatures.is_file():
        return 1.0
    return json.loads(folder.temperatures.read_text(encoding="utf-8")).get(name, 1.0)
