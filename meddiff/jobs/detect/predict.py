"""The work of `detect predict`: the heat map of one input and its line of anomalies.csv."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console

import meddiff
from meddiff.errors import InputError
from meddiff.formats import save_image
from meddiff.formats.find import Found
from meddiff.formats.nifti import save_volume
from meddiff.formats.volume import Volume
from meddiff.images.case import Case, known_spacing, picture_file_case, slice_cases
from meddiff.images.intensity import to_pixels
from meddiff.images.views import as_rgb
from meddiff.inference.detectors import Anomalies, TrainedDetector
from meddiff.jobs.apply.ledger import Ledger, Line, Product, Task
from meddiff.jobs.apply.work import Maker, some
from meddiff.recipe.detect import Detect
from meddiff.reports.galleries import colored
from meddiff.run import digest

DEEP = 65535
MAP = Product(
    "map", "look at", "looking for anomalies", "looked at", r"healthy", score="score", table_name="anomalies.csv"
)  # fmt: skip
SLICES = 64
"""Slices of a volume that are looked at together."""


@dataclass(frozen=True)
class Maps(Maker):
    """The heat maps of a detector, by the settings of the command."""

    settings: Detect
    model: TrainedDetector

    @property
    def digest(self) -> str:
        """Digest of all that the outputs depend on beside the images: another one makes them anew."""
        elsewhere = ("checkpoint", "input", "output", "series", "on_bad_file", "save_overlays")
        asked = {name: value for name, value in asdict(self.settings).items() if name not in elsewhere}
        return digest(meddiff.__version__, self.model.weights, asked)

    def make(self, task: Task, ledger: Ledger) -> Line:
        """Look at an input and write its map; returns its line."""
        look = self._picture if task.image.kind == "picture" else self._volume
        return look(task, ledger)

    def tell(self, ledger: Ledger, console: Console) -> None:
        """Print who is above the threshold, and how often a healthy image would be."""
        alarm = self.model.alarm
        if alarm is None:
            console.print("no threshold is known: too few healthy images were held out in training", soft_wrap=True)
            return
        called = [
            name for name, line in ledger.lines.items() if line.get("anomalous") == "yes" and not line.get("stale")
        ]
        said = f"{len(called)} above the threshold ({some(called)})" if called else "none is above the threshold"
        console.print(
            f"{said}, which {100 * alarm.rate:g}% of healthy images are too (95% interval {100 * alarm.low:.1f} to "
            f"{100 * alarm.high:.1f}%, by {alarm.images} of them), if they are like those of training", soft_wrap=True
        )  # fmt: skip

    def _picture(self, task: Task, ledger: Ledger) -> Line:
        case = picture_file_case(task.image.path, self.model.transform)
        answer = self.model.answers([case])[0]
        save_image(_shades(answer.map), file := ledger.folder / f"{task.name}_map.png")
        if self.settings.save_healthy:
            save_image(to_pixels(answer.healthy), ledger.folder / f"{task.name}_healthy.png")
        if self.settings.save_overlays:
            save_image(_sheet(case, answer), ledger.folder / f"{task.name}_overlay.png")
        return self._line(answer.score) | {"map": file.relative_to(ledger.folder).as_posix()}

    def _volume(self, task: Task, ledger: Ledger) -> Line:
        """Look at a volume slice by slice; its score is that of its highest slice."""
        volume = _read(task.image)
        axis = self.settings.axis
        if axis is None:
            axis = int(np.argmax([mm or 0.0 for mm in volume.spacing_mm])) if any(volume.spacing_mm) else 2
        cases = list(slice_cases(task.image.stem, volume, axis, self.model.transform))
        answers = [one for at in range(0, len(cases), SLICES) for one in self.model.answers(cases[at : at + SLICES])]
        place = {"affine": volume.affine, "spacing_mm": known_spacing(volume) if volume.affine is None else None,
                 "forms": volume.forms}  # fmt: skip
        file = ledger.folder / f"{task.name}_map.nii.gz"
        save_volume(np.stack([one.map for one in answers], axis=axis), file, **place)
        if self.settings.save_healthy:
            gray = np.stack([one.healthy.mean(axis=0) for one in answers], axis=axis)
            save_volume(gray, ledger.folder / f"{task.name}_healthy.nii.gz", **place)
        scores = np.array([one.score for one in answers])
        highest = int(scores.argmax())
        if self.settings.save_overlays:
            save_image(_sheet(cases[highest], answers[highest]), ledger.folder / f"{task.name}_overlay.png")
        line = self._line(float(scores[highest]))
        above = {} if self.model.alarm is None else {"slices_above": int((scores > self.model.alarm.threshold).sum())}
        return line | {
            "slice": highest,
            "slices": len(scores),
            **above,
            "map": file.relative_to(ledger.folder).as_posix(),
        }

    def _line(self, score: float) -> dict[str, Any]:
        alarm = self.model.alarm
        called = "" if alarm is None else "yes" if score > alarm.threshold else "no"
        about = {"threshold": "", "false_alarms": ""} if alarm is None else {
            "threshold": round(alarm.threshold, 6),
            "false_alarms": f"{100 * alarm.rate:g}% ({100 * alarm.low:.1f} to {100 * alarm.high:.1f})",
        }  # fmt: skip
        return {"score": round(score, 6), "anomalous": called, **about}


def _read(one: Found) -> Volume:
    """Read a volume or a series.

    Raises:
        InputError: it cannot be read, or is several files of one case.
    """
    if one.kind == "channels":
        names = ", ".join(file.name for file in one.files)
        raise InputError(f"{names} are named as the channels of one case, and detection takes one: rename them")
    return one.read()


def _shades(values: np.ndarray) -> np.ndarray:
    """Return a map as 16 bits, 1.0 as the largest number."""
    return np.rint(values.clip(0, 1) * DEEP).astype(np.uint16)


def _sheet(case: Case, answer: Anomalies) -> np.ndarray:
    """Lay an image, the same as a healthy one, and the map beside one another."""
    image = to_pixels(case.restore(case.image).clip(-1, 1))
    shown = [as_rgb(image), as_rgb(to_pixels(answer.healthy.clip(-1, 1))), colored(answer.map, float(answer.map.max()))]
    return np.concatenate(shown, axis=1)
