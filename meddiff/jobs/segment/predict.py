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
from meddiff.recipe import of_volumes, to_dict
from meddiff.recipe.commands import Predict
from meddiff.recipe.segment import SegmentRecipe
from meddiff.run import RunFolder, digest
from meddiff.trained import TrainedModel
from meddiff.training import checkpoint

COLUMNS = ("name", "file", "uncertainty", "mask", "seconds", "problem")
SECONDS_BETWEEN_SAVES = 5.0
DEEP = 65535


def settings_digest(settings: Predict, recipe: SegmentRecipe) -> str:
    """What the outputs are a function of, beside the input files: another one starts afresh."""
    told = {name: value for name, value in asdict(settings).items() if name != "on_bad_file"}
    best = checkpoint.latest(models_of(RunFolder(Path(settings.checkpoint).expanduser()), settings.model).best)
    return digest(to_dict(recipe.inference), best and best / checkpoint.INDEX, told)


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
        """The job with its finished lines; what it has done is written when it ends, however it ends.

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
        job = cls(folder := Path(settings.output).expanduser(), settings, model, place, segments)
        mark, inputs = folder / "settings.txt", settings_digest(settings, model.recipe)
        if mark.is_file() and mark.read_text(encoding="utf-8") == inputs and job.table.is_file():
            table = read_table(job.table, COLUMNS).fillna(dict.fromkeys(("problem", "dicom_seg", "note"), ""))
            lines = {str(line["name"]): line for line in table.to_dict("records")}
            job.lines = {
                name: line
                for name, line in lines.items()
                if not line["problem"] and all((folder / line.get(what, "")).exists() for what in ("mask", "dicom_seg"))
            }
        write_text(mark, inputs)
        try:
            yield job
        finally:
            job.save()

    def save(self) -> None:
        """predictions.csv with the lines there are."""
        table = pd.DataFrame(list(self.lines.values()))
        counts = [name for name in table.columns if str(name).endswith(" pixels")]
        table = table.astype(dict.fromkeys(counts, "Int64"))  # a case that failed has none, and 7022 stays 7022
        write_table(table if len(table) else pd.DataFrame(columns=list(COLUMNS)), self.table)
        self.saved = time.monotonic()

    def segment(self, one: Input) -> None:
        """One input, unless it was done before."""
        if one.name in self.lines:
            return
        started = time.monotonic()
        line: dict[str, Any] = {"name": one.name, "file": self._named(one.path), "problem": ""}
        try:
            line |= self._picture(one) if one.volume is None else self._volume(one, one.volume())
            if self.settings.dicom_seg:
                line.setdefault("note", f"{one.path}: a picture has no DICOM Segmentation")
        except InputError as error:
            if self.settings.on_bad_file == "stop":
                raise
            line["problem"] = self._named(error)
        self.lines[one.name] = line | {"seconds": round(time.monotonic() - started, 2)}
        if time.monotonic() - self.saved > SECONDS_BETWEEN_SAVES:
            self.save()

    def _named(self, what: object) -> str:
        """A path or message with the input's own name in it, also where that was an archive."""
        return str(what).replace(str(self.place), self.settings.input)

    def _picture(self, one: Input) -> dict[str, Any]:
        case = self.model.picture(one.path)
        answer = self.model(case)
        save_image(answer.classes, mask := self.folder / f"{one.name}_mask.png")
        for what, values in self._kept(answer, case).items():
            pixels = values if values.dtype == np.uint8 else np.rint(values.clip(0, 1) * DEEP).astype(np.uint16)
            save_image(pixels, self.folder / f"{one.name}_{what}.png")
        return self._told(answer.classes, answer.uncertainty, mask, None)

    def _volume(self, one: Input, volume: Volume) -> dict[str, Any]:
        recipe = self.model.recipe
        if of_volumes(recipe):
            if volume.count != self.model.sequences:
                raise InputError(
                    f"{one.path}: {volume.count} sequences, the network was trained on {self.model.sequences}"
                )
            case = case_of_volume(one.name, volume, segmentation.volume_transform(recipe))
            answer = self.model(case)
            classes, uncertainty, kept = answer.classes, answer.uncertainty, self._kept(answer, case)
        else:
            classes, uncertainty, kept = self._slices(one, volume)
        mask = self.folder / f"{one.name}_mask.nii.gz"
        spacing = known_spacing(volume)
        place = {"affine": volume.affine, "spacing_mm": spacing if volume.affine is None else None}
        save_volume(classes, mask, **place)
        for what, values in kept.items():
            save_volume(values, self.folder / f"{one.name}_{what}.nii.gz", **place)
        return self._told(classes, uncertainty, mask, spacing) | self._dicom(one, classes)

    def _dicom(self, one: Input, classes: np.ndarray) -> dict[str, Any]:
        """The mask as DICOM Segmentation, where it was asked for; why there is none stands beside the mask there is."""
        if not self.settings.dicom_seg:
            return {}
        file = self.folder / f"{one.name}_seg.dcm"
        try:
            if one.series is None:
                raise InputError(f"{one.path}: no DICOM Segmentation can be written for what is no DICOM series")
            algorithm = f"meddiff {self.settings.model}"
            save_dicom_seg(classes, file, series=one.series, segments=self.segments, algorithm=algorithm)
        except InputError as error:
            if self.settings.on_bad_file == "stop":
                raise
            return {"dicom_seg": "", "note": self._named(error)}
        return {"dicom_seg": file.relative_to(self.folder).as_posix(), "note": ""}

    def _slices(self, one: Input, volume: Volume) -> tuple[np.ndarray, float, dict[str, np.ndarray]]:
        """A volume slice by slice; its uncertainty is the mean over the slices, weighed by what is called in them."""
        axis = self.settings.axis
        if axis is None:
            axis = int(np.argmax([mm or 0.0 for mm in volume.spacing_mm])) if any(volume.spacing_mm) else 2
        transform = segmentation.picture_transform(self.model.recipe, deep=self.model.deep)
        classes, doubts, weights, kept = [], [], [], []
        for case in slice_cases(one.name, volume, axis, transform):
            answer = self.model(case)
            classes.append(answer.classes)
            doubts.append(answer.uncertainty)
            weights.append(1 + np.count_nonzero(answer.classes))
            kept.append(self._kept(answer, case))
        together = {what: np.stack([part[what] for part in kept], axis=axis) for what in kept[0]}
        return np.stack(classes, axis=axis), float(np.average(doubts, weights=weights)), together

    def _kept(self, answer: Answer, case: Case) -> dict[str, np.ndarray]:
        """What was asked for beside the mask, by the name in its file: class maps uint8, the rest float32."""
        kept: dict[str, np.ndarray] = {}
        if self.settings.save_probabilities:
            names = [name.replace(" ", "_").replace("/", "_") for name in self.model.class_names]
            kept |= {f"probability_{name}": part for name, part in zip(names, answer.probabilities, strict=True)}
        if self.settings.save_maps:
            kept |= {"deviation": answer.deviation, "entropy": answer.entropy}
        if self.settings.save_members:
            kept |= {f"member_{number:02d}": part for number, part in enumerate(member_classes(answer, case))}
        return kept

    def _told(
        self, classes: np.ndarray, uncertainty: float, mask: Path, spacing_mm: tuple[float, ...] | None
    ) -> dict[str, Any]:
        """A case's line: uncertainty, mask, and the size of each class."""
        sizes: dict[str, Any] = {}
        for index, name in list(enumerate(self.model.class_names))[1:]:
            count = int(np.count_nonzero(classes == index))
            sizes[f"{name} pixels" if spacing_mm is None else f"{name} ml"] = (
                count if spacing_mm is None else round(count * float(np.prod(spacing_mm)) / 1000, 4)
            )
        return {
            "uncertainty": round(uncertainty, 6), "mask": mask.relative_to(self.folder).as_posix(), **sizes
        }  # fmt: skip
