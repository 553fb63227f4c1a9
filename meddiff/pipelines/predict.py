"""Segment pictures, volumes and DICOM series with the weights of a run.

    python -m meddiff.pipelines.segment predict --checkpoint runs/segment-isic-quick --input photo.jpg --output masks
    python -m meddiff.pipelines.segment predict --checkpoint RUN --input ~/study --output masks --save_maps

A picture gives NAME_mask.png (class indices), a volume or series NAME_mask.nii.gz on its own grid, a DICOM series with
--dicom_seg also NAME_seg.dcm, which belongs into the patient's study (all else names nobody). predictions.csv has
one line per case with its uncertainty (0 to 1, large where failure is likely), sizes, and why a case failed. A network
of pictures or slices goes through a volume slice by slice. One case is in memory at a time; a killed run goes on where
it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.errors import InputError
from meddiff.pipelines.command_line import parse_settings
from meddiff.recipe.commands import Predict

if TYPE_CHECKING:
    from meddiff.formats.find import Input


def parse(words: Sequence[str]) -> Predict:
    """The settings that the command line asks for (see `command_line.parse_settings`)."""
    usage = "--checkpoint RUN --input PATH --output FOLDER [--<setting> VALUE ...]"
    return parse_settings(Predict, "segment predict", usage, __doc__ or "", words)


def run(settings: Predict) -> Path:
    """Segment everything that is there; returns predictions.csv.

    Raises:
        InputError: whatever the user can cure: no checkpoint, nothing to segment, another number of channels ...
    """
    _check(settings)
    from rich.console import Console

    from meddiff.files.unpack import unpacked
    from meddiff.jobs.progress import bar
    from meddiff.jobs.segment.predict import Job
    from meddiff.run import RunFolder
    from meddiff.trained import TrainedModel, load

    console = Console(markup=False, emoji=False)
    changed = {"members": settings.members, "steps": settings.steps, "fusion": settings.fusion}
    changed = {name: value for name, value in changed.items() if value is not None}
    model = load(settings.checkpoint, model=settings.model, **changed)
    if not isinstance(model, TrainedModel):
        raise InputError(
            f"{settings.checkpoint} draws images and segments none: give the run folder of `segment train` or `segment "
            "evaluate`"
        )
    if RunFolder(Path(settings.checkpoint).expanduser()).phantom.is_dir():
        console.print("note: this run was trained on drawn images (phantoms); its masks say nothing about patients")
    with unpacked(Path(settings.input).expanduser()) as place:
        found = _found(settings, place)
        with Job.opened(settings, model, place) as job:
            if done := len(job.lines):
                console.print(f"{done} of {len(found)} were done before")
            for one in bar(console, "segmenting", unit="cases")(found, len(found)):
                job.segment(one)
    failed = sum(bool(line["problem"]) for line in job.lines.values())
    console.print(f"{len(found) - failed} segmented, {failed} failed: {job.table}", soft_wrap=True)
    if failed == len(found):
        first = next(iter(job.lines.values()))["problem"]
        raise InputError(f"nothing could be segmented; the first of {failed}: {first}")
    return job.table


def _check(settings: Predict) -> None:
    """Mistakes that can be told before torch is imported, which takes seconds."""
    from meddiff.files.bad import exists
    from meddiff.manifest.row import on_disk

    if settings.on_bad_file not in ("skip", "stop"):
        raise InputError(f"--on_bad_file {settings.on_bad_file!r} is neither skip nor stop")
    if not exists(on_disk(Path(settings.input).expanduser())):
        raise InputError(f"--input {settings.input}: there is no such file or folder. Correct the path.")


def _found(settings: Predict, place: Path) -> list[Input]:
    """What is to be segmented at ``place``, where the input lies or was unpacked."""
    from meddiff.formats.find import find_inputs

    found = find_inputs(place, series=settings.series)
    if settings.dicom_seg and not any(one.series for one in found):
        raise InputError(
            f"--dicom_seg true needs a DICOM series, and there is none at {settings.input}: a DICOM Segmentation "
            "references the images it was drawn on. Name a folder with a series, or leave the flag out."
        )
    return found
