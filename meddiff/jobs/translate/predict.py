"""The work of `translate predict`: one input after the other, the image that is made of it and its line of the table.

A picture becomes a picture, a volume or series a NIfTI volume. What was sharpened has a grid of its own: a voxel of the
input is several of it, and both begin and end at the same place.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

import meddiff
from meddiff import build
from meddiff.batches.cuts import AXES
from meddiff.build import volume_transform
from meddiff.build.models import of_checkpoint
from meddiff.build.pair_models import REGRESSION
from meddiff.errors import InputError
from meddiff.evaluation.masks.pairs import bare_name
from meddiff.formats import Picture, read_picture, save_image
from meddiff.formats.find import Found
from meddiff.formats.nifti import save_volume
from meddiff.formats.volume import Volume
from meddiff.images.intensity import to_model_range, to_pixels, to_unit_range
from meddiff.images.prepare import PreparedVolume, VolumeTransform, load_sequences, prepare_volume, range_of
from meddiff.images.square import to_channels
from meddiff.images.views import lying, upright
from meddiff.inference.translators import Translator
from meddiff.jobs.apply.ledger import Ledger, Line, Product, Task
from meddiff.jobs.apply.work import Maker
from meddiff.recipe import of_volumes, to_dict
from meddiff.recipe.commands import Translation
from meddiff.recipe.translate import TranslateRecipe
from meddiff.run import RunFolder, digest, recipe_in
from meddiff.seeds import child_seed
from meddiff.tasks.translate import Hole, LowResolution, Sequences

IMAGE = Product(
    noun="image", verb="translate", doing="translating", done="translated", beside=r"member_\d+|deviation",
    score="spread",
)  # fmt: skip
"""The products of the command: NAME_image.png or NAME_image.nii.gz."""


@dataclass(frozen=True)
class Translated(Maker):
    """A network of a run, with which images are translated."""

    settings: Translation
    recipe: TranslateRecipe
    translator: Translator
    channels: int
    """Number of channels of the images that it was trained on."""
    weights: str
    """Short hash of its weights."""
    of_phantoms: bool
    """Whether those images were drawn by code."""
    pixel_dtype: str
    """What those images are stored as: uint8 or uint16."""

    @classmethod
    def of(cls, settings: Translation) -> Self:
        """Load the network of a run.

        Raises:
            InputError: no run that translates, no such network, a setting out of range.
        """
        folder = RunFolder(Path(settings.checkpoint).expanduser())
        recipe = recipe_in(folder, TranslateRecipe)
        if settings.model not in (known := (build.DIFFUSION, REGRESSION)):
            raise InputError(f"--model {settings.model!r} is none of the networks of this run: {', '.join(known)}")
        asked = {"members": settings.members, "steps": settings.steps, "guidance": settings.guidance}
        recipe = replace(recipe, inference=replace(recipe.inference, **without_nothing(asked)))
        stored = build.kind(recipe).weights(folder, settings.model)
        translator, facts = of_checkpoint(recipe, stored, settings.model)
        drawn = folder.phantom.is_dir()
        return cls(settings, recipe, translator, facts.channels, stored.digest, drawn, facts.pixel_dtype)

    @property
    def digest(self) -> str:
        """Digest of what the outputs are a function of, beside the images."""
        elsewhere = ("checkpoint", "input", "output", "series", "on_bad_file")
        asked = {name: value for name, value in asdict(self.settings).items() if name not in elsewhere}
        return digest(meddiff.__version__, self.weights, to_dict(self.recipe), asked)

    def make(self, task: Task, ledger: Ledger) -> Line:
        """Write the image that is made of an input, and return its line.

        Raises:
            InputError: nothing can be made of it.
        """
        return self._picture(task, ledger) if task.image.kind == "picture" else self._volume(task, ledger)

    def _picture(self, task: Task, ledger: Ledger) -> Line:
        """Translate a picture, at its own size."""
        if of_volumes(self.recipe):
            raise InputError(f"{task.image.path}: this is a picture, but the network was trained on volumes")
        image = self._given(_values(read_picture(task.image.path), self.channels), task.image)
        members = self._members(self._shown(image, task.image), task.name)
        shown = np.stack([as_picture(member) for member in members])
        file = ledger.folder / f"{task.name}_image.png"
        save_image(to_pixels(shown.mean(0)), file)  # of one member its own
        return self._line(members, file.relative_to(ledger.folder).as_posix())

    def _volume(self, task: Task, ledger: Ledger) -> Line:
        """Translate a volume, whole or slice by slice, in the order of axes right, front, head."""
        one = task.image
        if not of_volumes(self.recipe):
            raise InputError(f"{one.path}: this is a volume, but the network was trained on pictures")
        volume = load_sequences(one.files) if one.kind == "channels" else one.read()
        transform = replace(volume_transform(self.recipe), spacing_mm=None)
        prepared = prepare_volume(volume, transform, name=one.path)
        image = self._given(torch.from_numpy(prepared.image), one)
        if isinstance(self.translator.task, Hole):
            raise InputError(f"{one.path}: this run fills holes of pictures, and this is a volume")
        whole = self.recipe.dimensions == 3
        members = self._members(self._shown(image, one), task.name) if whole else self._slices(image, one, task.name)
        answer = members.mean(0)  # of one member its own
        factors = tuple(new // old for new, old in zip(answer.shape[1:], prepared.image.shape[1:], strict=True))
        values = np.moveaxis(answer, 0, -1) if len(answer) > 1 else answer[0]
        file = ledger.folder / f"{task.name}_image.nii.gz"
        same = not isinstance(self.translator.task, Sequences)
        save_volume(_in_own_unit(values, volume, transform, same=same), file, **_finer(prepared, factors))
        return self._line(members, file.relative_to(ledger.folder).as_posix())

    def _given(self, image: Tensor, one: Found) -> Tensor:
        """Return the channels [C, *S] that are known, of an image that may have the wanted ones too.

        Raises:
            InputError: it has another number of channels.
        """
        task, count = self.translator.task, len(image)
        known = len(task.given) if isinstance(task, Sequences) else self.channels
        if count == known:
            return image
        if isinstance(task, Sequences) and count == self.channels:
            return image[list(task.given)]
        either = f" or {self.channels}" if self.channels != known else ""
        raise InputError(f"{one.path}: {count} channels, and the network was trained on {known}{either}")

    def _shown(self, image: Tensor, one: Found) -> Tensor:
        """Return what is shown to the network [C, *S], on the grid of the answer."""
        task = self.translator.task
        if isinstance(task, LowResolution):
            return task.shown(image[None])[0]
        return task.joined(image[None], _hole(self.settings, one, image)[None])[0] if isinstance(task, Hole) else image

    def _members(self, known: Tensor, name: str) -> np.ndarray:
        """Return members [M, K, *S], functions of the image's name and the run's seed."""
        count = 1 if self.settings.single else self.recipe.inference.members
        seeds = [child_seed(self.recipe.seed, "member", name, number) for number in range(count)]
        return self.translator.members(known, seeds).numpy()

    def _slices(self, volume: Tensor, one: Found, name: str) -> np.ndarray:
        """Return members [M, K, I, J, K'] of a volume, made slice by slice from the same noise."""
        axis = AXES[self.recipe.data.slice_axis or ""]
        answers = []
        for index in range(volume.shape[axis + 1]):
            plane = np.ascontiguousarray(upright(volume.select(axis + 1, index).numpy()))
            answers.append(lying(self._members(self._shown(torch.from_numpy(plane), one), name)))
        return np.stack(answers, axis=axis + 2)

    def _line(self, members: np.ndarray, file: str) -> Line:
        spread = float(members.std(axis=0, ddof=1).mean()) / 2 if len(members) > 1 else ""
        return {"spread": spread if spread == "" else round(float(spread), 6), "image": file}


def without_nothing(asked: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is None: what is not asked for is as in training."""
    return {name: value for name, value in asked.items() if value is not None}


def _hole(settings: Translation, one: Found, image: Tensor) -> Tensor:
    """Read the hole [1, H, W] of a picture: the file that --holes names, or that of the same name in its folder.

    Raises:
        InputError: there is none, or one of another size, or none of a volume.
    """
    place = Path(settings.holes).expanduser()
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    own = [file for file in files if file.is_file() and (file == place or bare_name(file.stem) == one.path.stem)]
    if not settings.holes or not own:
        raise InputError(
            f"{one.path}: this run fills holes, and its hole is not there: name a picture that is white in the "
            "hole and black around it with --holes, or a folder of such with the names of the images"
        )
    hole = torch.from_numpy(to_channels(read_picture(own[0]).pixels, 1).copy()) > 0
    if hole.shape[1:] != image.shape[1:]:
        sizes = " and ".join(" x ".join(map(str, part.shape[1:])) for part in (hole, image))
        raise InputError(f"{own[0]} and {one.path} have {sizes} pixels: give the hole on the grid of its image")
    return hole


def _in_own_unit(values: np.ndarray, volume: Volume, transform: VolumeTransform, *, same: bool) -> np.ndarray:
    """Return float32 values in the unit of the input; of another sequence than its own from 0 to 1."""
    share = ((values + 1) / 2).astype(np.float32)
    if not same or volume.count > 1:
        return share
    low, high = range_of(volume.array, transform)
    return (low + share * np.float32(high - low)).astype(np.float32)


def _values(picture: Picture, channels: int) -> Tensor:
    """Return a picture [C, H, W] in [-1, 1], at its own size."""
    pixels = to_channels(picture.pixels, channels)
    if pixels.dtype == np.uint8:
        return to_model_range(pixels)
    return torch.from_numpy(to_unit_range(pixels, picture.low, picture.high))


def _finer(prepared: PreparedVolume, factors: tuple[int, ...]) -> dict[str, Any]:
    """Return where a volume lies whose voxels are so many to one of the prepared volume, along each axis."""
    mm = prepared.grid.spacing_mm
    spacing = tuple(None if one is None else one / factor for one, factor in zip(mm, factors, strict=True))
    if prepared.affine is None:
        return {"affine": None, "spacing_mm": spacing if None not in spacing else None}
    finer = np.eye(4)
    finer[range(3), range(3)] = 1 / np.array(factors)
    finer[:3, 3] = (1 / np.array(factors) - 1) / 2  # the outer faces of the first voxels meet
    return {"affine": prepared.affine @ finer}


def as_picture(member: np.ndarray) -> np.ndarray:
    """Return the channels [1 or 3, *S] of a member that a picture can hold."""
    return member if len(member) in (1, 3) else member[:1]
