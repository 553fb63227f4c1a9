"""The work of `segment predict`: one input after the other, its masks and its line of predictions.csv."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meddiff.build import segmentation
from meddiff.build.models import models_of
from meddiff.errors import InputError
from meddiff.files.tables import read_table, write_table
from meddiff.files.writing import write_text
from meddiff.formats import save_image
from meddiff.formats.dicom.codes import Segment, segments_of
from meddiff.formats.dicom.segmentation import save_dicom_seg
from meddiff.formats.find import Input
from meddiff.formats.nifti import save_volume
from meddiff.formats.volume import Volume
from meddiff.images.case import Case, case_of_volume, known_spacing, slice_cases
from meddiff.inference.decision import Answer, member_classes
from meddiff.recipe import SegmentRecipe, of_volumes, to_dict
from meddiff.recipe.commands import Predict
from meddiff.run import RunFolder, digest
from meddiff.trained import TrainedModel
from meddiff.training import checkpoint

COLUMNS = ("name", "file", "uncertainty", "mask", "seconds", "problem")
SECONDS_BETWEEN_SAVES = 5.0
DEEP = 65535


@dataclass
class Job:
    """What is segmented with, and what was done so far."""

    folder: Path
    settings: Predict
    model: TrainedModel
    place: Path
    """Where the inputs lie; a temporary folder if they came in an archive."""
    segments: tuple[Segment, ...] = ()
    """Of the classes from 1 on, for DICOM."""
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    saved: float = 0.0

    @property
    def table(self) -> Path:
        """predictions.csv."""
        return self.folder / "predictions.csv"

    @classmethod
    @contextmanager
    def opened(cls, settings: Predict, model: TrainedModel, place: Path) -> Iterator[Job]:
        """Open the job with its finished lines; what it has done is written when it ends, however it ends.

        Raises:
            InputError: an axis for a network that is told none.
        """
        if settings.axis is not None and of_volumes(model.recipe):
            raise InputError(
                f"--axis {settings.axis} is for networks of pictures; this one was trained on "
                f"{model.recipe.data.slice_axis or 'whole'} {'slices of ' * bool(model.recipe.data.slice_axis)}volumes "
                "and takes them so: leave the flag out"
            )
        codes = model.recipe.segment_codes if settings.segment_codes is None else settings.segment_codes
        segments = segments_of(model.class_names[1:], codes) if settings.dicom_seg else ()
        job = cls(Path(settings.output).expanduser(), settings, model, place, segments)
        job.go_on(_digest(settings, model.recipe))
        try:
            yield job
        finally:
            job.save()

    def go_on(self, inputs: str) -> None:
        """Take over the lines of cases that were finished on the same inputs and whose masks stand."""
        mark = self.folder / "settings.txt"
        if mark.is_file() and mark.read_text(encoding="utf-8") == inputs and self.table.is_file():
            table = read_table(self.table, COLUMNS).fillna(dict.fromkeys(("problem", "dicom_seg", "note"), ""))
            self.lines = {
                str(line["name"]): line
                for line in table.to_dict("records")
                if not line["problem"]
                and all((self.folder / line.get(what, "")).exists() for what in ("mask", "dicom_seg"))
            }
        write_text(mark, inputs)

    def save(self) -> None:
        """Write predictions.csv with the lines there are."""
        table = pd.DataFrame(list(self.lines.values()))
        counts = [name for name in table.columns if str(name).endswith(" pixels")]
        table = table.astype(dict.fromkeys(counts, "Int64"))  # a case that failed has none, and 7022 stays 7022
        write_table(table if len(table) else pd.DataFrame(columns=list(COLUMNS)), self.table)
        self.saved = time.monotonic()

    def segment(self, one: Input) -> None:
        """Segment one input, unless that was done before."""
        if one.name in self.lines:
            return
        started = time.monotonic()
        line: dict[str, Any] = {"name": one.name, "file": self.in_words(one.path), "problem": ""}
        try:
            line |= _picture(self, one) if one.volume is None else _volume(self, one, one.volume())
            if self.settings.dicom_seg:
                line.setdefault("note", f"{one.path}: a picture has no DICOM Segmentation")
        except InputError as error:
            if self.settings.on_bad_file == "stop":
                raise
            line["problem"] = self.in_words(error)
        self.lines[one.name] = line | {"seconds": round(time.monotonic() - started, 2)}
        if time.monotonic() - self.saved > SECONDS_BETWEEN_SAVES:
            self.save()

    def in_words(self, what: object) -> str:
        """Say a path or message with the input's own name in it, also where that was an archive."""
        return str(what).replace(str(self.place), self.settings.input)


@dataclass(frozen=True)
class _Segmented:
    """An answer on the grid of its input."""

    classes: np.ndarray
    uncertainty: float
    beside: dict[str, np.ndarray]
    """What was asked for beside the mask, by the name in its file."""


def _digest(settings: Predict, recipe: SegmentRecipe) -> str:
    """Digest of what the outputs are a function of, beside the input files: another one starts afresh."""
    asked = {name: value for name, value in asdict(settings).items() if name != "on_bad_file"}
    best = checkpoint.latest(models_of(RunFolder(Path(settings.checkpoint).expanduser()), settings.model).best)
    return digest(to_dict(recipe.inference), best and best / checkpoint.INDEX, asked)


def _picture(job: Job, one: Input) -> dict[str, Any]:
    """Segment a picture and write its mask; returns its line."""
    segmented = _of_case(job, job.model.picture(one.path))
    save_image(segmented.classes, mask := job.folder / f"{one.name}_mask.png")
    for what, values in segmented.beside.items():
        pixels = values if values.dtype == np.uint8 else np.rint(values.clip(0, 1) * DEEP).astype(np.uint16)
        save_image(pixels, job.folder / f"{one.name}_{what}.png")
    return _line(job, segmented, mask, None)


def _volume(job: Job, one: Input, volume: Volume) -> dict[str, Any]:
    """Segment a volume and write its mask; returns its line."""
    segmented = _whole(job, one, volume) if of_volumes(job.model.recipe) else _by_slices(job, one, volume)
    mask = job.folder / f"{one.name}_mask.nii.gz"
    spacing = known_spacing(volume)
    place = {"affine": volume.affine, "spacing_mm": spacing if volume.affine is None else None}
    save_volume(segmented.classes, mask, **place)
    for what, values in segmented.beside.items():
        save_volume(values, job.folder / f"{one.name}_{what}.nii.gz", **place)
    return _line(job, segmented, mask, spacing) | _dicom(job, one, segmented.classes)


def _whole(job: Job, one: Input, volume: Volume) -> _Segmented:
    """Segment a volume by a network of volumes."""
    model = job.model
    if volume.count != model.sequences:
        raise InputError(f"{one.path}: {volume.count} sequences, the network was trained on {model.sequences}")
    return _of_case(job, case_of_volume(one.name, volume, segmentation.volume_transform(model.recipe)))


def _by_slices(job: Job, one: Input, volume: Volume) -> _Segmented:
    """Segment a volume slice by slice; uncertain is the mean over the slices, weighed by what is called in them."""
    axis = job.settings.axis
    if axis is None:
        axis = int(np.argmax([mm or 0.0 for mm in volume.spacing_mm])) if any(volume.spacing_mm) else 2
    transform = segmentation.picture_transform(job.model.recipe, deep=job.model.deep)
    slices = [_of_case(job, case) for case in slice_cases(one.name, volume, axis, transform)]
    weights = [1 + np.count_nonzero(part.classes) for part in slices]
    return _Segmented(
        np.stack([part.classes for part in slices], axis=axis),
        float(np.average([part.uncertainty for part in slices], weights=weights)),
        {what: np.stack([part.beside[what] for part in slices], axis=axis) for what in slices[0].beside},
    )


def _of_case(job: Job, case: Case) -> _Segmented:
    answer = job.model(case)
    return _Segmented(answer.classes, answer.uncertainty, _beside(job, answer, case))


def _beside(job: Job, answer: Answer, case: Case) -> dict[str, np.ndarray]:
    """What was asked for beside the mask: class maps uint8, the rest float32."""
    beside: dict[str, np.ndarray] = {}
    if job.settings.save_probabilities:
        names = [name.replace(" ", "_").replace("/", "_") for name in job.model.class_names]
        beside |= {f"probability_{name}": part for name, part in zip(names, answer.probabilities, strict=True)}
    if job.settings.save_maps:
        beside |= {"deviation": answer.deviation, "entropy": answer.entropy}
    if job.settings.save_members:
        beside |= {f"member_{number:02d}": part for number, part in enumerate(member_classes(answer, case))}
    return beside


def _line(job: Job, segmented: _Segmented, mask: Path, spacing_mm: tuple[float, ...] | None) -> dict[str, Any]:
    """A case's line: uncertainty, mask, and the size of each class."""
    sizes: dict[str, Any] = {}
    for index, name in list(enumerate(job.model.class_names))[1:]:
        count = int(np.count_nonzero(segmented.classes == index))
        if spacing_mm is None:
            sizes[f"{name} pixels"] = count
        else:
            sizes[f"{name} ml"] = round(count * float(np.prod(spacing_mm)) / 1000, 4)
    place = mask.relative_to(job.folder).as_posix()
    return {"uncertainty": round(segmented.uncertainty, 6), "mask": place, **sizes}


def _dicom(job: Job, one: Input, classes: np.ndarray) -> dict[str, Any]:
    """Write the mask as DICOM Segmentation where it was asked for; where there is none, its line says why."""
    if not job.settings.dicom_seg:
        return {}
    file = job.folder / f"{one.name}_seg.dcm"
    try:
        if one.series is None:
            raise InputError(f"{one.path}: no DICOM Segmentation can be written for what is no DICOM series")
        algorithm = f"meddiff {job.settings.model}"
        save_dicom_seg(classes, file, series=one.series, segments=job.segments, algorithm=algorithm)
    except InputError as error:
        if job.settings.on_bad_file == "stop":
            raise
        return {"dicom_seg": "", "note": job.in_words(error)}
    return {"dicom_seg": file.relative_to(job.folder).as_posix(), "note": ""}
