"""Segment pictures, volumes and DICOM series with the weights of a run.

    python -m meddiff.pipelines.segment predict --input photo.jpg --output masks     # a skin lesion, no training needed
    python -m meddiff.pipelines.segment predict --checkpoint runs/segment-isic-quick --input photo.jpg --output masks
    python -m meddiff.pipelines.segment predict --checkpoint RUN --input ~/study --output masks --save_maps

A picture gives NAME_mask.png (class indices), a volume or series NAME_mask.nii.gz on its own grid, a DICOM series with
--dicom_seg also NAME_seg.dcm, which belongs into the patient's study (all else names nobody). predictions.csv has
one line per case with its uncertainty (0 to 1, large where failure is likely), sizes, and why a case failed. A network
of pictures or slices goes through a volume slice by slice. One case is in memory at a time; a killed run goes on where
it was. Run again, it segments what is new or has changed (the table holds the SHA-256 of each image), and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.errors import InputError
from meddiff.jobs.progress import new_console
from meddiff.pipelines.command_line import parse_settings
from meddiff.recipe.commands import Predict

if TYPE_CHECKING:
    from rich.console import Console

    from meddiff.jobs.segment.ledger import Ledger

SHOWN = 5
"""Names of cases that a line shows."""


def parse(words: Sequence[str]) -> Predict:
    """Parse the settings that the command line asks for (see `command_line.parse_settings`)."""
    usage = "--input PATH --output FOLDER [--checkpoint RUN] [--<setting> VALUE ...]"
    return parse_settings(Predict, "segment predict", usage, __doc__ or "", words)


def run(settings: Predict) -> Path:
    """Segment everything that is there; returns predictions.csv.

    Raises:
        InputError: whatever the user can cure: no checkpoint, nothing to segment, another number of channels ...
    """
    _check(settings)

    from meddiff.files.unpack import unpacked
    from meddiff.hub.place import MASKS, about, folder_of
    from meddiff.jobs.progress import bar
    from meddiff.jobs.segment.predict import Job, inputs_at
    from meddiff.run import RunFolder
    from meddiff.trained import load_segmenter

    console = new_console()
    weights = folder_of(settings.checkpoint or MASKS)
    changed = {"members": settings.members, "steps": settings.steps, "fusion": settings.fusion}
    changed = {name: value for name, value in changed.items() if value is not None}
    model = load_segmenter(weights, model=settings.model, **changed)
    if said := about(weights):
        console.print(f"weights: {weights.name}, {said}", soft_wrap=True)
    if RunFolder(weights).phantom.is_dir():
        console.print("note: this run was trained on drawn images (phantoms); its masks say nothing about patients")
    with unpacked(Path(settings.input).expanduser()) as place:
        inputs = inputs_at(place, settings)
        if not settings.checkpoint and all(one.kind != "picture" for one in inputs):
            raise InputError(
                f"--input {settings.input} holds volumes, and the weights that come with the package ({MASKS}) know "
                "photographs of skin alone: name weights for them with --checkpoint"
            )
        with Job.opened(settings, model, place) as job:
            ledger = job.ledger
            ledger.begin(inputs)
            _tell_before(ledger, console)
            job.segment(bar(console, "segmenting", unit="cases")(ledger.tasks, len(ledger.tasks)))
    _tell_unlike(ledger, console, known=model.likeness is not None)
    return _tell_after(ledger, len(inputs), console)


def _tell_before(ledger: Ledger, console: Console) -> None:
    """Print what stands of a former run, what is done again and why, and whose images are gone."""
    from meddiff.jobs.segment.ledger import CHANGED, MISSING, SETTINGS

    if ledger.kept:
        console.print(f"{len(ledger.kept)} of {len(ledger.kept) + len(ledger.tasks)} were done before")
    for why in (CHANGED, SETTINGS, MISSING):
        if names := [task.name for task in ledger.tasks if task.again == why]:
            console.print(f"segmented again, {why}: {_some(names)}", soft_wrap=True)
    if ledger.gone:
        console.print(f"masks of images that are not among these, left as they are: {_some(ledger.gone)}",
                      soft_wrap=True)  # fmt: skip


def _tell_after(ledger: Ledger, count: int, console: Console) -> Path:
    """Print how many cases were segmented, failed and stood; returns predictions.csv.

    Raises:
        InputError: nothing could be segmented.
    """
    from meddiff.jobs.segment.overlay import OVERVIEW

    problems = [str(line["problem"]) for task in ledger.tasks if (line := ledger.lines[task.name])["problem"]]
    for reason, names in _by_reason(ledger).items():
        console.print(f"failed, {reason}: {_some(names)}", soft_wrap=True)
    if (sheet := ledger.folder / OVERVIEW).is_file():
        console.print(f"masks to look at, the least sure first: {sheet}", soft_wrap=True)
    kept = f", {len(ledger.kept)} kept from before" if ledger.kept else ""
    done = len(ledger.tasks) - len(problems)
    console.print(f"{done} segmented, {len(problems)} failed{kept}: {ledger.table}", soft_wrap=True)
    if len(problems) == count:
        raise InputError(f"nothing could be segmented; the first of {count}: {problems[0]}")
    return ledger.table


def _by_reason(ledger: Ledger) -> dict[str, list[str]]:
    """Gather the names of the cases that failed by what was wrong, whatever the file is called."""
    reasons: dict[str, list[str]] = {}
    for task in ledger.tasks:
        line = ledger.lines[task.name]
        if line["problem"]:
            reason = str(line["problem"]).replace(line["file"], "").partition(". Give a good copy")[0]
            reasons.setdefault(reason.strip(" :"), []).append(task.name)
    return reasons


def _tell_unlike(ledger: Ledger, console: Console, *, known: bool) -> None:
    """Print whose masks no one should rely on, and the reason of the first."""
    from meddiff.jobs.segment.predict import UNLIKE, WHY_UNLIKE

    if not known:
        console.print("whether images are like those of training cannot be said: the run has no likeness.json, which "
                      "`segment train` writes of 20 images and more", soft_wrap=True)  # fmt: skip
    names = [name for name, line in ledger.lines.items() if line.get(UNLIKE) == "yes" and not line.get("stale")]
    if names:
        are = "images are" if len(names) > 1 else "image is"
        console.print(f"warning: {len(names)} {are} unlike those of training, do not rely on the masks: "
                      f"{_some(names)} ({names[0]}: {ledger.lines[names[0]][WHY_UNLIKE]})",
                      style="yellow", soft_wrap=True)  # fmt: skip


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _check(settings: Predict) -> None:
    """Find mistakes that can be seen before torch is imported, which takes seconds."""
    from meddiff.files.bad import exists
    from meddiff.files.writing import output_folder
    from meddiff.manifest.row import on_disk

    if settings.on_bad_file not in ("skip", "stop"):
        raise InputError(f"--on_bad_file {settings.on_bad_file!r} is neither skip nor stop")
    if not exists(on_disk(Path(settings.input).expanduser())):
        raise InputError(f"--input {settings.input}: there is no such file or folder. Correct the path.")
    output_folder(settings.output, [settings.input], option="--output")
