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

from meddiff.errors import InputError
from meddiff.jobs.progress import new_console
from meddiff.pipelines.command_line import parse_settings, refuse_wrong_places
from meddiff.recipe.commands import Predict


def parse(words: Sequence[str]) -> Predict:
    """Parse the settings that the command line asks for (see `command_line.parse_settings`)."""
    usage = "--input PATH --output FOLDER [--checkpoint RUN] [--<setting> VALUE ...]"
    return parse_settings(Predict, "segment predict", usage, __doc__ or "", words)


def run(settings: Predict) -> Path:
    """Segment everything that is there; returns predictions.csv.

    Raises:
        InputError: whatever the user can cure: no checkpoint, nothing to segment, another number of channels ...
    """
    refuse_wrong_places(settings)

    from meddiff.files.unpack import unpacked
    from meddiff.hub.place import MASKS, about, folder_of
    from meddiff.jobs.apply.work import apply
    from meddiff.jobs.segment.predict import MASK, Masks, inputs_to_segment
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
        inputs = inputs_to_segment(place, settings)
        if not settings.checkpoint and all(one.kind != "picture" for one in inputs):
            raise InputError(
                f"--input {settings.input} holds volumes, and the weights that come with the package ({MASKS}) know "
                "photographs of skin alone: name weights for them with --checkpoint"
            )
        masks = Masks.of(settings, model)
        return apply(masks, place, inputs, settings, console, product=MASK, made_by=masks.digest)
