"""The work of `segment predict`: one input after the other, its masks and its line of predictions.csv."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import meddiff
from meddiff.build import segmenting
from meddiff.errors import InputError
from meddiff.formats import save_image
from meddiff.formats.dicom.codes import Segment, segments_of
from meddiff.formats.dicom.segmentation import save_dicom_seg
from meddiff.formats.dicom.series import choose
from meddiff.formats.find import Found, find, join_channels
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import PICTURE_SUFFIXES, read_pixels
from meddiff.formats.volume import Volume
from meddiff.images.case import Case, case_of_volume, known_spacing, slice_cases
from meddiff.images.prepare import load_sequences
from meddiff.inference.decision import Answer, member_classes
from meddiff.inference.likeness import Verdict, together
from meddiff.jobs.segment.ledger import Ledger, Task, is_output
from meddiff.jobs.segment.overlay import overlay_of_picture, overlay_of_volume, write_overview
from meddiff.recipe import of_volumes, to_dict
from meddiff.recipe.commands import Predict
from meddiff.run import RunFolder, digest
from meddiff.trained import TrainedModel

DEEP = 65535
ALLOWED = "--allow_unlike writes it all the same"
UNLIKE, LIKENESS, WHY_UNLIKE = "unlike_training", "likeness", "why_unlike"
"""Columns of predictions.csv: yes or no; the share of images like those of training that are as far from them."""


@dataclass(frozen=True)
class Job:
    """The model and settings of a segmentation, and the folder of its answers."""

    folder: Path
    settings: Predict
    model: TrainedModel
    place: Path
    """Path of the inputs; a temporary folder if they came in an archive."""
    ledger: Ledger
    segments: tuple[Segment, ...] = ()
    """Segments of the classes from 1 on, for DICOM."""

    @classmethod
    @contextmanager
    def opened(cls, settings: Predict, model: TrainedModel, place: Path) -> Iterator[Job]:
        """Hold the output folder alone; what was done is written down when the job ends, however it ends.

        Raises:
            InputError: an axis for a network that takes none, a folder that is read or that another process holds.
        """
        if settings.axis is not None and of_volumes(model.recipe):
            raise InputError(
                f"--axis {settings.axis} is for networks of pictures; this one was trained on "
                f"{model.recipe.data.slice_axis or 'whole'} {'slices of ' * bool(model.recipe.data.slice_axis)}volumes "
                "and takes them so: leave the flag out"
            )
        codes = model.recipe.segment_codes if settings.segment_codes is None else settings.segment_codes
        segments = segments_of(model.class_names[1:], codes) if settings.dicom_seg else ()
        folder = Path(settings.output).expanduser()
        ledger = Ledger(folder, _made_by(settings, model), lambda what: _in_words(what, place, settings.input))
        with RunFolder(folder).opened(papers=[ledger.table, ledger.mark]):
            yield cls(folder, settings, model, place, ledger, segments)

    def segment(self, tasks: Iterable[Task]) -> None:
        """Segment inputs one by one; a bad one gets a line that says so, or stops the job.

        Raises:
            InputError: an input that cannot be segmented, with on_bad_file stop.
        """
        try:
            for name, one in self.ledger.kept.items():
                self._complete(Task(one, name))
            for task in tasks:
                self._segment(task)
        finally:
            self.ledger.save()
            if self.settings.save_overlays:
                write_overview(self.folder, self.ledger.lines)

    def _complete(self, task: Task) -> None:
        """Add what is asked for beside a mask of before: its overlay, and the SEG that is allowed now."""
        line, one = self.ledger.lines[task.name], task.image
        mask, overlay = self.folder / line["mask"], self.folder / f"{task.name}_overlay.png"
        try:
            if self.settings.save_overlays and not overlay.is_file():
                if one.kind == "picture":
                    save_image(overlay_of_picture(one.path, read_pixels(mask)[0]), overlay)
                else:
                    save_image(overlay_of_volume(_read(self, one), load_volume(mask).array.astype(np.uint8)), overlay)
            if self.settings.allow_unlike and ALLOWED in str(line.get("note")):
                line |= _dicom(self, task, load_volume(mask).array.astype(np.uint8), None)
        except InputError:
            if self.settings.on_bad_file == "stop":
                raise

    def _segment(self, task: Task) -> None:
        started = time.monotonic()
        self.ledger.start(task)
        one, line = task.image, dict[str, Any]()
        try:
            line |= _picture(self, task) if one.kind == "picture" else _volume(self, task, _read(self, one))
            if self.settings.dicom_seg:
                line.setdefault("note", f"{one.path}: a picture has no DICOM Segmentation")
        except InputError as error:
            if self.settings.on_bad_file == "stop":
                raise
            line["problem"] = self.ledger.in_words(error)
        self.ledger.note(task, line | {"seconds": round(time.monotonic() - started, 2)})


def inputs_at(place: Path, settings: Predict) -> list[Found]:
    """List what is to be segmented; outputs that lie below the inputs are left out.

    Raises:
        InputError: there is nothing, or no DICOM series where one is needed.
    """
    out = Path(settings.output).expanduser().resolve()
    made = out if place.resolve() in out.parents else None
    inputs = [one for one in join_channels(find(place)) if one.kind != "other"]
    inputs = [one for one in inputs if not (is_output(one) and made in one.path.resolve().parents)]
    if settings.series is None:
        inputs = [one for one in inputs if one.series is None or one.series.is_image]
    else:
        chosen = choose([one.series for one in inputs if one.series], settings.series, place)
        inputs = [one.of_series(chosen) for one in inputs if one.series is None or one.series.files == chosen.files]
    if not inputs:
        raise InputError(
            f"{place}: there is nothing to segment in it. Name a picture ({', '.join(PICTURE_SUFFIXES)}), a volume "
            "(NIfTI, NRRD, MetaImage), a DICOM series, or a folder of them."
        )
    if settings.dicom_seg and not any(one.series for one in inputs):
        raise InputError(
            f"--dicom_seg true needs a DICOM series, and there is none at {settings.input}: a DICOM Segmentation "
            "references the images it was drawn on. Name a folder with a series, or leave the flag out."
        )
    return inputs


def _in_words(what: object, place: Path, name: str) -> str:
    """Say a path or message with the input's own name in it, also where that was an archive."""
    return str(what).replace(str(place), name)


def _made_by(settings: Predict, model: TrainedModel) -> str:
    """Digest what the outputs are a function of, beside the images: another digest makes them anew."""
    elsewhere = ("checkpoint", "input", "output", "series", "on_bad_file", "save_overlays", "allow_unlike")
    asked = {name: value for name, value in asdict(settings).items() if name not in elsewhere}
    return digest(meddiff.__version__, model.weights, model.temperature, to_dict(model.recipe), asked)


@dataclass(frozen=True)
class _Segmented:
    """An answer on the grid of its input."""

    classes: np.ndarray
    uncertainty: float
    beside: dict[str, np.ndarray]
    """Arrays that were asked for beside the mask, by the name in their file."""
    verdict: Verdict | None
    """Verdict whether the image is unlike those of training; None where the run cannot tell."""


def _picture(job: Job, task: Task) -> dict[str, Any]:
    """Segment a picture and write its mask; returns its line."""
    segmented = _of_case(job, job.model.picture(task.image.path))
    save_image(segmented.classes, mask := job.folder / f"{task.name}_mask.png")
    if job.settings.save_overlays:
        save_image(overlay_of_picture(task.image.path, segmented.classes), job.folder / f"{task.name}_overlay.png")
    for what, values in segmented.beside.items():
        pixels = values if values.dtype == np.uint8 else np.rint(values.clip(0, 1) * DEEP).astype(np.uint16)
        save_image(pixels, job.folder / f"{task.name}_{what}.png")
    return _line(job, segmented, mask, None)


def _volume(job: Job, task: Task, volume: Volume) -> dict[str, Any]:
    """Segment a volume and write its mask; returns its line."""
    segment = _whole if of_volumes(job.model.recipe) else _by_slices
    segmented = segment(job, task.image, volume)
    mask = job.folder / f"{task.name}_mask.nii.gz"
    spacing = known_spacing(volume)
    place = {"affine": volume.affine, "spacing_mm": spacing if volume.affine is None else None, "forms": volume.forms}
    save_volume(segmented.classes, mask, **place)
    if job.settings.save_overlays:
        save_image(overlay_of_volume(volume, segmented.classes), job.folder / f"{task.name}_overlay.png")
    for what, values in segmented.beside.items():
        save_volume(values, job.folder / f"{task.name}_{what}.nii.gz", **place)
    return _line(job, segmented, mask, spacing) | _dicom(job, task, segmented.classes, segmented.verdict)


def _read(job: Job, one: Found) -> Volume:
    """Read a volume, a series, or the channels of a case as one volume.

    Raises:
        InputError: it cannot be read, or has other channels than the network was trained on.
    """
    if one.kind != "channels":
        return one.read()
    names = ", ".join(file.name for file in one.files)
    known = job.model.sequences if of_volumes(job.model.recipe) else 1
    if len(one.files) != known:
        raise InputError(
            f"{names} are named as the channels of one case, and the network was trained on {known}: leave out those "
            "that it does not know, or rename the files if they are cases of their own"
        )
    return load_sequences(one.files)


def _whole(job: Job, one: Found, volume: Volume) -> _Segmented:
    """Segment a volume by a network of volumes."""
    model = job.model
    if volume.count != model.sequences:
        raise InputError(f"{one.path}: {volume.count} sequences, the network was trained on {model.sequences}")
    return _of_case(job, case_of_volume(one.stem, volume, segmenting.volume_transform(model.recipe)))


def _by_slices(job: Job, one: Found, volume: Volume) -> _Segmented:
    """Segment a volume slice by slice; uncertain is the mean over the slices, weighed by what is called in them."""
    axis = job.settings.axis
    if axis is None:
        axis = int(np.argmax([mm or 0.0 for mm in volume.spacing_mm])) if any(volume.spacing_mm) else 2
    transform = segmenting.picture_transform(job.model.recipe, deep=job.model.deep)
    slices = [_of_case(job, case) for case in slice_cases(one.stem, volume, axis, transform)]
    weights = [1 + int(np.count_nonzero(part.classes)) for part in slices]
    return _Segmented(
        np.stack([part.classes for part in slices], axis=axis),
        float(np.average([part.uncertainty for part in slices], weights=weights)),
        {what: np.stack([part.beside[what] for part in slices], axis=axis) for what in slices[0].beside},
        together(verdicts, weights) if len(verdicts := [part.verdict for part in slices if part.verdict]) else None,
    )


def _of_case(job: Job, case: Case) -> _Segmented:
    answer = job.model.answer(case)
    return _Segmented(answer.classes, answer.uncertainty, _beside(job, answer, case), answer.verdict)


def _beside(job: Job, answer: Answer, case: Case) -> dict[str, np.ndarray]:
    """Gather what was asked for beside the mask: class maps uint8, the rest float32."""
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
    """Build a case's line: uncertainty, mask, whether it is unlike the training images, and the size of each class."""
    sizes: dict[str, Any] = {}
    for index, name in list(enumerate(job.model.class_names))[1:]:
        count = int(np.count_nonzero(segmented.classes == index))
        if spacing_mm is None:
            sizes[f"{name} pixels"] = count
        else:
            sizes[f"{name} ml"] = round(count * float(np.prod(spacing_mm)) / 1000, 4)
    place = mask.relative_to(job.folder).as_posix()
    return {
        "uncertainty": round(float(segmented.uncertainty), 6),
        "mask": place,
        **_likeness(segmented.verdict),
        **sizes,
    }


def _likeness(verdict: Verdict | None) -> dict[str, Any]:
    """Say whether the network has seen the like: yes or no, the p-value, and the reasons; empty if it is unknown."""
    if verdict is None:
        return {UNLIKE: "", LIKENESS: "", WHY_UNLIKE: ""}
    p = "" if verdict.p is None else round(verdict.p, 5)
    return {UNLIKE: "yes" if verdict.unlike else "no", LIKENESS: p, WHY_UNLIKE: "; ".join(verdict.reasons)}


def _dicom(job: Job, task: Task, classes: np.ndarray, verdict: Verdict | None) -> dict[str, Any]:
    """Write the mask as DICOM Segmentation where it was asked for; where there is none, its line says why."""
    if not job.settings.dicom_seg:
        return {}
    file, one = job.folder / f"{task.name}_seg.dcm", task.image
    try:
        if one.series is None:
            raise InputError(f"{one.path}: no DICOM Segmentation can be written for what is no DICOM series")
        if verdict is not None and verdict.unlike and not job.settings.allow_unlike:
            raise InputError(
                f"{one.path}: no DICOM Segmentation is written of an image that is unlike those of training "
                f"({'; '.join(verdict.reasons)}). Look at the mask; {ALLOWED}"
            )
        algorithm = f"meddiff {job.settings.model}"
        save_dicom_seg(classes, file, series=one.series, segments=job.segments, algorithm=algorithm)
    except InputError as error:
        if job.settings.on_bad_file == "stop":
            raise
        return {"dicom_seg": "", "note": job.ledger.in_words(error)}
    return {"dicom_seg": file.relative_to(job.folder).as_posix(), "note": ""}
