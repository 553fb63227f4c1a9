"""The work of `segment predict`: the masks of one input and its line of predictions.csv."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import meddiff
from meddiff.build import segmenting
from meddiff.errors import InputError
from meddiff.formats import save_image
from meddiff.formats.dicom.codes import Segment, segments_of
from meddiff.formats.dicom.parametric_map import save_parametric_map
from meddiff.formats.dicom.segmentation import save_dicom_seg
from meddiff.formats.find import Found
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import read_pixels
from meddiff.formats.volume import Volume
from meddiff.images.case import Case, case_of_volume, known_spacing, slice_cases
from meddiff.images.prepare import load_sequences
from meddiff.inference.decision import Answer, member_classes
from meddiff.inference.likeness import Verdict, together
from meddiff.jobs.apply.batched import Batched, Read
from meddiff.jobs.apply.ledger import Ledger, Line, Product, Task
from meddiff.jobs.apply.work import inputs_at, some
from meddiff.jobs.segment.overlay import overlay_of_picture, overlay_of_volume, write_overview
from meddiff.recipe import of_volumes, to_dict
from meddiff.recipe.commands import Predict
from meddiff.run import digest
from meddiff.trained import TrainedModel

DEEP = 65535
ENTROPY = "entropy"
DICOM = {"dicom_seg": "DICOM Segmentation", "dicom_parametric_map": "DICOM Parametric Map"}
"""Files of DICOM beside a mask: setting and column of predictions.csv, and what it is."""
ALLOWED = "--allow_unlike writes it all the same"
UNLIKE, LIKENESS, WHY_UNLIKE = "unlike_training", "likeness", "why_unlike"
"""Columns of predictions.csv: yes or no; the share of images like those of training that are as far from them."""


MASK = Product(
    "mask", "segment", "segmenting", "segmented", r"seg|uncertainty|probability_.+|member_\d+|deviation|entropy",
    score="uncertainty", also=("dicom_seg", "dicom_parametric_map"),
)  # fmt: skip


@dataclass(frozen=True)
class Masks(Batched):
    """The masks of a trained network, by the settings of the command."""

    settings: Predict
    model: TrainedModel
    segments: tuple[Segment, ...] = ()
    """Segments of the classes from 1 on, for DICOM."""

    @classmethod
    def of(cls, settings: Predict, model: TrainedModel) -> Masks:
        """Hold the settings to what the network takes.

        Raises:
            InputError: an axis for a network that takes none, codes of other segments.
        """
        if settings.axis is not None and of_volumes(model.recipe):
            raise InputError(
                f"--axis {settings.axis} is for networks of pictures; this one was trained on "
                f"{model.recipe.data.slice_axis or 'whole'} {'slices of ' * bool(model.recipe.data.slice_axis)}volumes "
                "and takes them so: leave the flag out"
            )
        codes = model.recipe.segment_codes if settings.segment_codes is None else settings.segment_codes
        return cls(settings, model, segments_of(model.class_names[1:], codes) if settings.dicom_seg else ())

    @property
    def dicom(self) -> list[str]:
        """The files of DICOM that are asked for, by the settings that ask for them."""
        return [name for name in DICOM if getattr(self.settings, name)]

    @property
    def digest(self) -> str:
        """Digest of all that the outputs depend on beside the images: another one makes them anew."""
        elsewhere = ("checkpoint", "input", "output", "series", "on_bad_file", "save_overlays", "allow_unlike")
        asked = {name: value for name, value in asdict(self.settings).items() if name not in elsewhere}
        model = self.model
        return digest(meddiff.__version__, model.weights, model.temperature, to_dict(model.recipe), asked)

    def read(self, task: Task) -> Case | None:
        """Read a picture; volumes are large and read when their turn comes."""
        return self.model.picture(task.image.path) if task.image.kind == "picture" else None

    def batches(self, inputs: Iterable[Read]) -> Iterator[list[Read]]:
        """Gather pictures that share a network call."""
        return self.model.batches(inputs, lambda one: one.content.image.shape)

    def answer(self, contents: Sequence[Case]) -> Sequence[np.ndarray]:
        """Draw the members of pictures."""
        return list(self.model.members([(case.image, case.name) for case in contents]))

    def write(self, task: Task, ledger: Ledger, content: Case | None, answer: np.ndarray | None) -> Line:
        """Write the mask of an input; returns its line."""
        if content is None or answer is None:
            line = _volume(self, ledger, task)
        else:
            line = _picture(self, ledger, task, _segmented(self, content, self.model.decided(content, answer)))
        if self.dicom and task.image.kind == "picture":
            line.setdefault("note", f"{task.image.path}: a picture has no {DICOM[self.dicom[0]]}")
        return line

    def complete(self, task: Task, ledger: Ledger) -> None:
        """Add what is asked for beside a mask of before: its overlay, and the SEG that is allowed now."""
        line, one = ledger.lines[task.name], task.image
        mask, overlay = ledger.folder / line["mask"], ledger.folder / f"{task.name}_overlay.png"
        if self.settings.save_overlays and not overlay.is_file():
            if one.kind == "picture":
                save_image(overlay_of_picture(one.path, read_pixels(mask)[0]), overlay)
            else:
                save_image(overlay_of_volume(volume_of(self, one), load_volume(mask).array.astype(np.uint8)), overlay)
        if self.settings.allow_unlike and ALLOWED in str(line.get("note")):
            beside = {ENTROPY: load_volume(map).array} if (map := _file_of(ledger, task, ENTROPY)).is_file() else {}
            line |= _dicom(self, ledger, task, Segmented(load_volume(mask).array.astype(np.uint8), 0.0, beside, None))

    def finish(self, ledger: Ledger) -> None:
        """Write the sheet of the outlined masks."""
        if self.settings.save_overlays:
            write_overview(ledger.folder, ledger.lines)

    def tell(self, ledger: Ledger, console: Console) -> None:
        """Print whose masks no one should rely on, and the reason of the first."""
        if self.model.likeness is None:
            console.print("whether images are like those of training cannot be said: the run has no likeness.json, "
                          "which `segment train` writes of 20 images and more", soft_wrap=True)  # fmt: skip
        names = [name for name, line in ledger.lines.items() if line.get(UNLIKE) == "yes" and not line.get("stale")]
        if names:
            are = "images are" if len(names) > 1 else "image is"
            console.print(f"warning: {len(names)} {are} unlike those of training, do not rely on the masks: "
                          f"{some(names)} ({names[0]}: {ledger.lines[names[0]][WHY_UNLIKE]})",
                          style="yellow", soft_wrap=True)  # fmt: skip


def inputs_to_segment(place: Path, settings: Predict) -> list[Found]:
    """List what is to be segmented; see `inputs_at`.

    Raises:
        InputError: there is nothing, or no DICOM series where one is needed.
    """
    inputs = inputs_at(place, settings, MASK)
    asked = next((name for name in DICOM if getattr(settings, name)), None)
    if asked and not any(one.series for one in inputs):
        raise InputError(
            f"--{asked} true needs a DICOM series, and there is none at {settings.input}: a {DICOM[asked]} "
            "references the images it was drawn on. Name a folder with a series, or leave the flag out."
        )
    return inputs


@dataclass(frozen=True)
class Segmented:
    """An answer on the grid of its input."""

    classes: np.ndarray
    uncertainty: float
    beside: dict[str, np.ndarray]
    """Arrays that were asked for beside the mask, by the name in their file."""
    verdict: Verdict | None
    """Verdict whether the image is unlike those of training; None where the run cannot tell."""


def _picture(masks: Masks, ledger: Ledger, task: Task, segmented: Segmented) -> Line:
    """Write the mask of a picture; returns its line."""
    save_image(segmented.classes, mask := ledger.folder / f"{task.name}_mask.png")
    if masks.settings.save_overlays:
        save_image(overlay_of_picture(task.image.path, segmented.classes), ledger.folder / f"{task.name}_overlay.png")
    for what, values in segmented.beside.items():
        pixels = values if values.dtype == np.uint8 else np.rint(values.clip(0, 1) * DEEP).astype(np.uint16)
        save_image(pixels, ledger.folder / f"{task.name}_{what}.png")
    return _line(masks, segmented, mask.relative_to(ledger.folder), None)


def _volume(masks: Masks, ledger: Ledger, task: Task) -> Line:
    """Segment a volume and write its mask; returns its line."""
    volume = volume_of(masks, task.image)
    segmented = segmented_volume(masks, task.image, volume)
    mask = ledger.folder / f"{task.name}_mask.nii.gz"
    spacing = known_spacing(volume)
    place = {"affine": volume.affine, "spacing_mm": spacing if volume.affine is None else None, "forms": volume.forms}
    save_volume(segmented.classes, mask, **place)
    if masks.settings.save_overlays:
        save_image(overlay_of_volume(volume, segmented.classes), ledger.folder / f"{task.name}_overlay.png")
    for what, values in segmented.beside.items():
        save_volume(values, _file_of(ledger, task, what), **place)
    line = _line(masks, segmented, mask.relative_to(ledger.folder), spacing)
    return line | _dicom(masks, ledger, task, segmented)


def volume_of(masks: Masks, one: Found) -> Volume:
    """Read a volume, a series, or the channels of a case as one volume.

    Raises:
        InputError: it cannot be read, or has other channels than the network was trained on.
    """
    if one.kind != "channels":
        return one.read()
    names = ", ".join(file.name for file in one.files)
    known = masks.model.sequences if of_volumes(masks.model.recipe) else 1
    if len(one.files) != known:
        raise InputError(
            f"{names} are named as the channels of one case, and the network was trained on {known}: leave out those "
            "that it does not know, or rename the files if they are cases of their own"
        )
    return load_sequences(one.files)


def segmented_picture(masks: Masks, one: Found) -> Segmented:
    """Segment a picture.

    Raises:
        InputError: it cannot be read, or the network takes no pictures.
    """
    case = masks.model.picture(one.path)
    return _segmented(masks, case, masks.model.answer(case))


def segmented_volume(masks: Masks, one: Found, volume: Volume) -> Segmented:
    """Segment a volume that was read before: whole, or slice by slice, as the network takes it.

    Raises:
        InputError: it is another than the network takes.
    """
    return (_whole if of_volumes(masks.model.recipe) else _by_slices)(masks, one, volume)


def _whole(masks: Masks, one: Found, volume: Volume) -> Segmented:
    """Segment a volume by a network of volumes."""
    model = masks.model
    if volume.count != model.sequences:
        raise InputError(f"{one.path}: {volume.count} sequences, the network was trained on {model.sequences}")
    case = case_of_volume(one.stem, volume, segmenting.volume_transform(model.recipe))
    return _segmented(masks, case, model.answer(case))


def _by_slices(masks: Masks, one: Found, volume: Volume) -> Segmented:
    """Segment a volume slice by slice; uncertain is the mean over the slices, weighed by what is called in them."""
    axis = masks.settings.axis
    if axis is None:
        axis = _through(volume)
    transform = segmenting.picture_transform(masks.model.recipe, deep=masks.model.deep)
    cases = slice_cases(one.stem, volume, axis, transform)
    slices = [_segmented(masks, case, answer) for case, answer in masks.model.answers(cases)]
    weights = [1 + int(np.count_nonzero(part.classes)) for part in slices]
    return Segmented(
        np.stack([part.classes for part in slices], axis=axis),
        float(np.average([part.uncertainty for part in slices], weights=weights)),
        {what: np.stack([part.beside[what] for part in slices], axis=axis) for what in slices[0].beside},
        together(verdicts, weights) if len(verdicts := [part.verdict for part in slices if part.verdict]) else None,
    )


def _through(volume: Volume) -> int:
    """Return the axis across the slices: the one that has a single slice, else the widest spacing, else the last."""
    if 1 in volume.shape:
        return volume.shape.index(1)  # whose spacing is not known
    return int(np.argmax([mm or 0.0 for mm in volume.spacing_mm])) if any(volume.spacing_mm) else 2


def _segmented(masks: Masks, case: Case, answer: Answer) -> Segmented:
    return Segmented(answer.classes, answer.uncertainty, _beside(masks, answer, case), answer.verdict)


def _beside(masks: Masks, answer: Answer, case: Case) -> dict[str, np.ndarray]:
    """Gather what was asked for beside the mask: class maps uint8, the rest float32."""
    beside: dict[str, np.ndarray] = {}
    if masks.settings.save_probabilities:
        names = [name.replace(" ", "_").replace("/", "_") for name in masks.model.class_names]
        beside |= {f"probability_{name}": part for name, part in zip(names, answer.probabilities, strict=True)}
    if masks.settings.save_maps:
        beside["deviation"] = answer.deviation
    if masks.settings.save_maps or masks.settings.dicom_parametric_map:
        beside[ENTROPY] = answer.entropy
    if masks.settings.save_members:
        beside |= {f"member_{number:02d}": part for number, part in enumerate(member_classes(answer, case))}
    return beside


def _line(masks: Masks, segmented: Segmented, mask: Path, spacing_mm: tuple[float, ...] | None) -> Line:
    """Build a case's line: uncertainty, mask, whether it is unlike the training images, and the size of each class."""
    sizes: dict[str, Any] = {}
    for index, name in list(enumerate(masks.model.class_names))[1:]:
        count = int(np.count_nonzero(segmented.classes == index))
        if spacing_mm is None:
            sizes[f"{name} pixels"] = count
        else:
            sizes[f"{name} ml"] = round(count * float(np.prod(spacing_mm)) / 1000, 4)
    return {
        "uncertainty": round(float(segmented.uncertainty), 6),
        "mask": mask.as_posix(),
        **_likeness(segmented.verdict),
        **sizes,
    }


def _likeness(verdict: Verdict | None) -> dict[str, Any]:
    """Say whether the network has seen the like: yes or no, the p-value, and the reasons; empty if it is unknown."""
    if verdict is None:
        return {UNLIKE: "", LIKENESS: "", WHY_UNLIKE: ""}
    p = "" if verdict.p is None else round(verdict.p, 5)
    return {UNLIKE: "yes" if verdict.unlike else "no", LIKENESS: p, WHY_UNLIKE: "; ".join(verdict.reasons)}


def _file_of(ledger: Ledger, task: Task, what: str) -> Path:
    """Name the file of what is written beside the mask of a volume."""
    return ledger.folder / f"{task.name}_{what}.nii.gz"


def _dicom(masks: Masks, ledger: Ledger, task: Task, segmented: Segmented) -> Line:
    """Write what is asked for as DICOM; where that cannot be done, the line says why."""
    line: Line = {}
    for name in masks.dicom:
        try:
            file = _written(masks, ledger, task, segmented, name)
            line |= {name: file.relative_to(ledger.folder).as_posix()}
        except InputError as error:
            if masks.settings.on_bad_file == "stop":
                raise
            line |= {name: "", "note": ledger.in_words(error)}
    return {"note": "", **line} if line else line


def _written(masks: Masks, ledger: Ledger, task: Task, segmented: Segmented, name: str) -> Path:
    """Write a mask, or its entropy, as DICOM; returns the file.

    Raises:
        InputError: there is no series, one that cannot be referenced, or the image is unlike those of training.
    """
    one, verdict, algorithm = task.image, segmented.verdict, f"meddiff {masks.settings.model}"
    if one.series is None:
        raise InputError(f"{one.path}: no {DICOM[name]} can be written for what is no DICOM series")
    if verdict is not None and verdict.unlike and not masks.settings.allow_unlike:
        raise InputError(
            f"{one.path}: no {DICOM[name]} is written of an image that is unlike those of training "
            f"({'; '.join(verdict.reasons)}). Look at the mask; {ALLOWED}"
        )
    if name == "dicom_seg":
        file = ledger.folder / f"{task.name}_seg.dcm"
        save_dicom_seg(segmented.classes, file, series=one.series, segments=masks.segments, algorithm=algorithm)
    else:
        file = ledger.folder / f"{task.name}_uncertainty.dcm"
        entropy = segmented.beside.get(ENTROPY)
        if entropy is None:
            raise InputError(f"{one.path}: its {ENTROPY} is gone. Delete its mask: the same command makes both again")
        entropy = entropy.astype(np.float32).clip(0, 1)
        save_parametric_map(entropy, file, series=one.series, name="ENTROPY", algorithm=algorithm,
                            explanation="Entropy of the class probabilities")  # fmt: skip
    return file
