"""A trained run, ready to segment or to draw: the door for programs.

model = meddiff.load("runs/segment-isic-standard")
answer = model("photo.jpg")                             # or an array, or a case: model.picture("photo.jpg")
answer.classes, answer.probabilities, answer.entropy, answer.uncertainty       # on the photograph's own grid
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch

from meddiff import build
from meddiff.batches.ahead import made_ahead
from meddiff.build import segmenting
from meddiff.build.decoding import autoencoder_at, of_codes, refuse_codes
from meddiff.build.detecting import trained_detector
from meddiff.build.images import picture_square
from meddiff.build.kind import best_of, models_of
from meddiff.build.models import KINDS, attributes_in, of_checkpoint
from meddiff.errors import InputError
from meddiff.files.documents import read_json
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import is_picture
from meddiff.formats.volume import Volume
from meddiff.hub.place import choices, folder_of
from meddiff.images.case import Case, case_of_volume, picture_file_case, pixels_case
from meddiff.images.prepare import Transform
from meddiff.inference.decision import Answer, Decision, decide
from meddiff.inference.detectors import TrainedDetector
from meddiff.inference.image_autoencoder import ImageAutoencoder
from meddiff.inference.likeness import Likeness
from meddiff.inference.sampling import ImageDenoiser
from meddiff.inference.segmenters import MOST_AT_ONCE, Segmenter
from meddiff.inference.translators import Translator
from meddiff.manifest.row import ManifestRow
from meddiff.recipe import KINDS as EVERY_KIND
from meddiff.recipe import (
    AnyRecipe,
    AutoencodeRecipe,
    DetectRecipe,
    Recipe,
    SegmentRecipe,
    TranslateRecipe,
    check,
    from_dict,
    of_volumes,
)
from meddiff.run import Run, RunFolder, kind_of, refuse_other_kind, settings_in
from meddiff.seeds import child_seed
from meddiff.training import checkpoint

Item = TypeVar("Item")
Loaded: TypeAlias = "TrainedModel | ImageDenoiser | ImageAutoencoder"


class Opening:
    """The way from files and arrays to cases, as the network of a run takes them."""

    recipe: SegmentRecipe
    deep: bool
    """Whether it was trained on pictures of more than 8 bits."""

    def case_of(self, image: Case | str | Path | np.ndarray) -> Case:
        """Make a case of a file, or of pixels; a case is one already.

        Args:
            image: a picture [H, W] or [H, W, 3] or the path of one (of numbers in an array see `pixels_case`); of a
                network of volumes [I, J, K] or a path. An array tells neither orientation nor spacing.

        Raises:
            InputError: it cannot be read, or is not what the network was trained on.
        """
        if isinstance(image, Case):
            return image
        if isinstance(image, str | Path):
            return self.picture(image) if is_picture(image) else self.volume(image)
        if not isinstance(image, np.ndarray):
            raise InputError(f"an image is a path, an array or a case, this is a {type(image).__name__}")
        if of_volumes(self.recipe):
            if image.ndim not in (3, 4) or image.dtype.kind not in "uif" or not image.size:
                raise InputError(
                    f"a volume is an array of numbers [I, J, K], this is {image.dtype} {list(image.shape)}"
                )
            volume = Volume(image, None, (None, None, None), None)
            return case_of_volume("array", volume, segmenting.volume_transform(self.recipe))
        return pixels_case(image, self._of_pictures)

    @cached_property
    def _of_pictures(self) -> Transform:
        """The way from a picture to the square that the network sees."""
        return segmenting.picture_transform(self.recipe, deep=self.deep)

    def case(self, row: ManifestRow) -> Case:
        """Return the image of a manifest row.

        Raises:
            InputError: it cannot be read.
        """
        return segmenting.case(self.recipe, row, deep=self.deep)

    def cases(self, rows: Iterable[ManifestRow]) -> Generator[Case]:
        """Yield the images of rows: pictures and slices are read while those before are used, volumes when asked for.

        Raises:
            InputError: one cannot be read.
        """
        if of_volumes(self.recipe):
            yield from map(self.case, rows)
        else:
            yield from made_ahead(self.case, rows, waiting=MOST_AT_ONCE)

    def picture(self, path: str | Path) -> Case:
        """Return a picture file.

        Raises:
            InputError: it cannot be read, or the network was trained on volumes.
        """
        if of_volumes(self.recipe):
            raise InputError(f"{path}: this is a picture, but the network was trained on volumes")
        return picture_file_case(Path(path), self._of_pictures)

    def volume(self, path: str | Path, *, series: str | int | None = None) -> Case:
        """Return a volume file or DICOM series, for a network of volumes.

        Raises:
            InputError: it cannot be read, or the network was trained on pictures.
        """
        if not Path(path).expanduser().exists():
            raise InputError(f"{path}: there is no such file or folder")
        if not of_volumes(self.recipe):
            raise InputError(
                f"{path}: this is no picture, and the network was trained on pictures: cut a volume with "
                "meddiff.images.case.slice_cases"
            )
        return case_of_volume(
            Path(path).name, load_volume(path, series=series), segmenting.volume_transform(self.recipe)
        )


@dataclass(frozen=True, repr=False)
class TrainedModel(Opening):
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
    weights: str
    """Short hash of its weights."""
    likeness: Likeness | None = None
    """What is known of the training images; None in runs of former versions, or of few images."""
    about: str = ""
    """What a published model says of itself, in one line."""

    def __repr__(self) -> str:
        """Return one line: what it is, and what it tells apart."""
        size = "volumes" if of_volumes(self.recipe) else f"pictures of {self.recipe.data.image_size} px"
        return (f"TrainedModel({type(self.segmenter).__name__} {self.weights[:8]} of {self.recipe.dataset}: "
                f"{self.channels} channels, {size}, classes {', '.join(self.class_names)})")  # fmt: skip

    def __call__(self, image: Case | str | Path | np.ndarray) -> Answer:
        """Segment a case, a file, or pixels (see `case_of`): members are functions of the run's seed and its name.

        Warns of an image that is unlike those that the network was trained on.
        """
        case = self.case_of(image)
        return _with_warning(self.answer(case), case.name)

    def answer(self, case: Case) -> Answer:
        """Return the answer as a call does, without a warning."""
        return next(self.answers([case]))[1]

    def answers(self, cases: Iterable[Case]) -> Iterator[tuple[Case, Answer]]:
        """Yield cases in their order with their answers; small images of one size share network calls.

        Each answer is the same to the bit as that to its case alone.
        """
        for some in self.batches(cases, lambda case: case.image.shape):
            for case, members in zip(some, self.members([(case.image, case.name) for case in some]), strict=True):
                yield case, self.decided(case, members)

    def batches(self, items: Iterable[Item], shape_of: Callable[[Item], Sequence[int]]) -> Iterator[list[Item]]:
        """Gather items, as they come, whose images (C, *S) share a network call."""
        return self.segmenter.batches(items, shape_of, self.recipe.inference.members)

    def decided(self, case: Case, members: np.ndarray) -> Answer:
        """Return the answer that the members [M, K, *S] of a case give."""
        verdict = None if self.likeness is None else self.likeness.verdict(case.image, modality=case.modality)
        return replace(decide(members, case, self.decision), verdict=verdict)

    def members(self, named: Sequence[tuple[np.ndarray, str]]) -> np.ndarray:
        """Draw members: class probabilities [B, M, K, *S] of images [C, *S] and their names, on the network's grid."""
        count, seed = self.recipe.inference.members, self.recipe.seed
        seeds = [[child_seed(seed, "member", name, number) for number in range(count)] for _, name in named]
        images = torch.from_numpy(np.stack([image for image, _ in named]))
        return self.segmenter.members_of(images, seeds).numpy()

    @property
    def sequences(self) -> int:
        """Sequences of a volume: its channels, of each slice in a stack."""
        return self.channels // (2 * self.recipe.data.neighbors + 1)

    @cached_property
    def decision(self) -> Decision:
        """The way from members to an answer."""
        settings = self.recipe.inference
        return Decision(
            settings.fusion, self.temperature, settings.uncertainty, settings.largest_component, settings.fill_holes
        )


def _with_warning(answer: Answer, name: str) -> Answer:
    if answer.verdict is not None and answer.verdict.unlike:
        reasons = "; ".join(answer.verdict.reasons)
        warnings.warn(f"{name} is unlike the training images ({reasons}): do not rely on its mask", stacklevel=3)
    return answer


def load(place: str | Path, *, model: str = build.DIFFUSION, **settings: Any) -> Loaded:
    """Load a trained network: one that segments, `meddiff.generate` draws with, translates, or encodes images.

    Where a translation draws by masks, ``model.members(model.task.shown(masks)[0], seeds)`` are images of the first.

    Args:
        place: a run folder, or one of its checkpoints: the folder, or a file in it; or the name of a published model
            ("dermoscopy-masks", "owner/name": see `meddiff.hub.place.folder_of`).
        model: of a run that segments, diffusion or the name of a baseline.
        settings: settings of the recipe to use instead, of its inference (members=25, steps=5, fusion="staple" ...)
            or its synthesis (sampler="ddim", steps=50, guidance=2.0 ...).

    Raises:
        InputError: no run, no such network, weights that belong to another set-up, a setting out of range.
    """
    return _loaded(*_read(place), model, settings)


def _read(
    place: str | Path, made_by: str = " or ".join(kind.MADE_BY for kind in EVERY_KIND)
) -> tuple[Path, checkpoint.Checkpoint | None, Mapping[str, Any]]:
    """Read where weights lie, the checkpoint that they are if it is one, and the settings they were made with."""
    path = folder_of(place)
    above = next((folder for folder in (path, path.parent) if (folder / checkpoint.INDEX).is_file()), None)
    if above is None:
        return path, None, settings_in(RunFolder(path), made_by=f"{made_by}, or {choices()}")
    stored = checkpoint.read(above)
    return path, stored, stored.facts.recipe


def _loaded(
    path: Path, stored: checkpoint.Checkpoint | None, values: Mapping[str, Any], model: str, settings: dict[str, Any]
) -> Loaded:
    recipe = _changed(from_dict(kind_of(values), values), settings)
    return LOADERS[type(recipe)](recipe, path, stored, model)


def _segmenter_at(recipe: SegmentRecipe, path: Path, stored: checkpoint.Checkpoint | None, model: str) -> TrainedModel:
    """Load a network that segments, of a run or a checkpoint of one."""
    folder = RunFolder(path)
    if stored is None:
        return of_run(Run(recipe, folder), model)
    name = model if stored.facts.schedule else str(stored.facts.network["name"])
    beside = (RunFolder(one) for one in (path, *path.parents))
    above = next((one for one in beside if one.likeness.is_file()), folder)
    # of a checkpoint in a run temperature is unknown: it is that of the best weights
    temperature = saved_temperature(RunFolder(stored.path), name)
    return replace(_trained_model(recipe, stored, name, temperature=temperature), likeness=saved_likeness(above))


def load_segmenter(place: str | Path, *, model: str, **settings: Any) -> TrainedModel:
    """Load a network that segments; see `load`.

    Raises:
        InputError: as `load`; or the run, or the checkpoint, is of a network that draws images.
    """
    path, stored, values = _read(place, made_by=SegmentRecipe.MADE_BY)
    refuse_other_kind(values, SegmentRecipe, place)
    segmenter = _loaded(path, stored, values, model, settings)
    assert isinstance(segmenter, TrainedModel)
    return segmenter


def load_detector(place: str | Path, *, model: str) -> TrainedDetector:
    """Load a detector of anomalies; see `load`.

    Raises:
        InputError: as `load`; or the run is of another kind.
    """
    path, stored, values = _read(place, made_by=DetectRecipe.MADE_BY)
    refuse_other_kind(values, DetectRecipe, place)
    detector = _loaded(path, stored, values, model, {})
    assert isinstance(detector, TrainedDetector)
    return detector


def _changed(recipe: AnyRecipe, settings: dict[str, Any]) -> AnyRecipe:
    """Return the recipe with settings of its inference or synthesis instead, held to their ranges."""
    part = recipe.ANSWERS
    known = [setting.name for setting in fields(getattr(recipe, part))]
    if unknown := [name for name in settings if name not in known]:
        raise InputError(f"a run that {recipe.BRIEFLY} has no setting {', '.join(unknown)}; it has {', '.join(known)}")
    changed = replace(recipe, **{part: replace(getattr(recipe, part), **settings)})
    check(changed)
    return changed


def _image_denoiser(recipe: Recipe, path: Path, stored: checkpoint.Checkpoint | None, model: str) -> ImageDenoiser:
    """Load a denoiser of images, of a run or a checkpoint of one."""
    stored = stored or KINDS[Recipe].weights(RunFolder(path), model)
    denoiser, facts = of_checkpoint(recipe, stored, build.DIFFUSION)
    size = facts.network.get("volume_size", (facts.image_size, facts.image_size))
    drawn = build.task(recipe, channels=facts.channels, num_classes=len(facts.class_names)).channels
    drawing = build.sampling(recipe, _guide(recipe, path) if recipe.synthesis.classifier_guidance else None)
    made = ImageDenoiser(denoiser, facts.class_names, (drawn, *size), drawing, attributes_in(facts))
    return of_codes(made, path, facts)


def _guide(recipe: Recipe, path: Path) -> Any:
    """Load the classifier that guides, of the run that lies at a path or around it."""
    places = (models_of(RunFolder(folder), build.GUIDE).checkpoints for folder in (path, *path.parents))
    newest = next((one for one in map(checkpoint.latest, places) if one), None)
    if newest is None:
        raise InputError(
            f"{path}: the images of this run are drawn with guidance by a classifier, which is not here. Name its run "
            "folder, or ask for classifier_guidance=0"
        )
    return of_checkpoint(recipe, checkpoint.read(newest), build.GUIDE)[0]


def _detector_at(recipe: DetectRecipe, path: Path, stored: checkpoint.Checkpoint | None, model: str) -> TrainedDetector:
    """Load a detector of a run."""
    if stored is not None:
        raise InputError(f"{path} is a checkpoint of a run that finds anomalies: name the folder of the run")
    return trained_detector(Run(recipe, RunFolder(path)), model)


def _translator_at(
    recipe: TranslateRecipe, path: Path, stored: checkpoint.Checkpoint | None, model: str
) -> Translator:  # fmt: skip
    """Load a network that makes images of what is known, of a run or a checkpoint of one."""
    return of_checkpoint(recipe, stored or KINDS[TranslateRecipe].weights(RunFolder(path), model), model)[0]


LOADERS: dict[type, Callable[..., Any]] = {
    Recipe: _image_denoiser,
    SegmentRecipe: _segmenter_at,
    DetectRecipe: _detector_at,
    TranslateRecipe: _translator_at,
    AutoencodeRecipe: autoencoder_at,
}
"""What loads a network of each kind of run."""


@dataclass(frozen=True)
class TrainedGenerator:
    """The denoiser of images of a run, with what is needed to show it images of a user."""

    recipe: Recipe
    model: ImageDenoiser
    transform: Transform
    """The way from a picture to the square that the network sees."""
    weights: str
    """Short hash of its weights."""
    folder: RunFolder
    """Run folder, checkpoint or published weights that it was loaded from."""


def stored_generator(place: str | Path) -> tuple[Path, checkpoint.Checkpoint, Mapping[str, Any]]:
    """Read where a network that draws images lies, its newest weights and its settings; see `load` for the place.

    Raises:
        InputError: there is none; or the run, or the checkpoint, is of a network that segments.
    """
    path, stored, values = _read(place, made_by=Recipe.MADE_BY)
    refuse_other_kind(values, Recipe, place)
    return path, stored or checkpoint.read_latest(RunFolder(path).checkpoints), values


def load_generator(place: str | Path) -> TrainedGenerator:
    """Load a network that draws images; see `load`.

    Raises:
        InputError: as `load`; or the run, or the checkpoint, is of a network that segments, or draws masks too.
    """
    path, stored, values = stored_generator(place)
    recipe = from_dict(Recipe, values)
    if recipe.classes:
        raise InputError(f"{place} draws masks with its images, and sees no image alone: train one without --classes")
    refuse_codes(stored, place)
    square = replace(picture_square(recipe), deep=stored.facts.pixel_dtype == "uint16")
    return TrainedGenerator(
        recipe, _image_denoiser(recipe, path, stored, build.DIFFUSION), square, stored.digest, RunFolder(path)
    )


def of_run(run: Run[SegmentRecipe], model: str) -> TrainedModel:
    """Load a network of a run."""
    stored = best_of(run.folder, model)
    trained = _trained_model(run.recipe, stored, model, temperature=saved_temperature(run.folder, model))
    return replace(trained, likeness=saved_likeness(run.folder))


def _trained_model(
    recipe: SegmentRecipe, stored: checkpoint.Checkpoint, name: str, *, temperature: float
) -> TrainedModel:
    segmenter, facts = of_checkpoint(recipe, stored, name)
    deep = facts.pixel_dtype == "uint16"
    return TrainedModel(
        recipe, segmenter, facts.class_names, temperature, deep, facts.channels, stored.digest, about=stored.about
    )


def saved_temperature(folder: RunFolder, name: str) -> float:
    """Return the temperature of a model that was calibrated; 1 where it was not."""
    if not folder.temperatures.is_file():
        return 1.0
    value = read_json(folder.temperatures).get(name, 1.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise InputError(f"{folder.temperatures}: the temperature of {name} is {str(value)[:40]!r}, no number above 0")
    return float(value)


def saved_likeness(folder: RunFolder) -> Likeness | None:
    """Read what the run knows of its training images; None where it was not noted.

    Raises:
        InputError: the file is damaged.
    """
    if not folder.likeness.is_file():
        return None
    try:
        return Likeness.from_dict(json.loads(folder.likeness.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:  # of JSON, and InputError
        raise InputError(f"{folder.likeness} is damaged ({error}). Delete it: images cannot be judged then") from error
