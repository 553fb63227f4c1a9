"""Segment images by diffusion: train, predict with an ensemble and its uncertainty, evaluate beside a baseline.

    python -m meddiff.pipelines.segment train --dataset isic --data-root ~/HAM10000
    python -m meddiff.pipelines.segment evaluate --dataset isic --data-root ~/HAM10000    # trains first where need be
    python -m meddiff.pipelines.segment test --checkpoint runs/segment-isic-quick --data_root ~/PH2 --out runs/ph2
    python -m meddiff.pipelines.segment predict --input photo.jpg --output masks    # skin lesions: no training needed
    python -m meddiff.pipelines.segment predict --checkpoint runs/segment-isic-quick --input PATH --output FOLDER

Without --data-root the built-in drawn images are used. evaluate writes report.html with 95% intervals; test judges the
run's networks, as they are, on other images; predict takes a picture, a volume (NIfTI, NRRD, MetaImage), a DICOM
series, or a folder of them. A finished stage is skipped; a killed run goes on where it was. Every setting is listed by
`segment VERB --help all`; `segment train --describe` prints how large the networks are and what they cost.
"""

from __future__ import annotations

from pathlib import Path

from meddiff.command_line import SEGMENT, do_recipe, parse_settings, refuse_wrong_places, verbs_command
from meddiff.errors import InputError
from meddiff.jobs.progress import new_console
from meddiff.recipe import SegmentRecipe
from meddiff.recipe.commands import OtherImages, Predict

PREDICT = """Segment pictures, volumes and DICOM series with the weights of a run.

    python -m meddiff.pipelines.segment predict --input photo.jpg --output masks     # a skin lesion, no training needed
    python -m meddiff.pipelines.segment predict --checkpoint runs/segment-isic-quick --input photo.jpg --output masks
    python -m meddiff.pipelines.segment predict --checkpoint RUN --input ~/study --output masks --save_maps

A picture gives NAME_mask.png (class indices), a volume or series NAME_mask.nii.gz on its own grid, a DICOM series with
--dicom_seg also NAME_seg.dcm, with --dicom_parametric_map NAME_uncertainty.dcm: these belong into the patient's study,
all else names nobody. predictions.csv has one line per case with its uncertainty (0 to 1, large where failure is
likely), sizes, and why a case failed. A network of pictures or slices goes through a volume slice by slice. A few
pictures, or one volume, are in memory; a killed run goes on where it was. Run again, it segments what is new or has
changed (the table holds the SHA-256 of each image).
"""
"""The words of `segment predict --help`."""
AUGMENT = """Say whether drawn pairs of image and mask help a segmenter, beside the classical augmentation.

    python -m meddiff.pipelines.translate train --dataset isic --translation.known mask --out runs/pairs
    python -m meddiff.pipelines.segment augment --dataset isic --study.pairs runs/pairs

Pairs are drawn of the training masks, as they are and bent. A U-Net is trained with 25, 100 and all real pairs, with
and without them, with and without the classical augmentation, several times each with equal steps; report.html has the
paired differences on the test images. --study.pairs takes a manifest of pairs too (`translate predict` writes one).
"""
"""The words of `segment augment --help`."""


def train(words: list[str], verb: str = "train", until: str = "calibrate") -> None:
    """Train the networks, and calibrate them."""

    def run(recipe: SegmentRecipe) -> None:
        from meddiff.jobs import job  # torch and MONAI take seconds to import: not for --help

        job.run(recipe, until)

    do_recipe(f"segment {verb}", __doc__ or "", words, SEGMENT, run, describes=True)


def evaluate(words: list[str]) -> None:
    """Run the whole job, up to the report."""
    train(words, "evaluate", until="report")


def augment(words: list[str]) -> None:
    """Train segmenters with and without drawn pairs, and say whether these help."""

    def run(recipe: SegmentRecipe) -> None:
        from meddiff.jobs import job

        job.run(recipe, "augmentation", job=job.PAIR_STUDY)

    do_recipe("segment augment", AUGMENT, words, SEGMENT, run)


def test(words: list[str]) -> None:
    """Judge a run's networks on other images."""
    from meddiff.jobs.segment import test as other_images

    usage = "--checkpoint RUN --data_root FOLDER --out FOLDER"
    other_images.run(parse_settings(OtherImages, "segment test", usage, other_images.__doc__ or "", words))


def predict(words: list[str]) -> None:
    """Segment the images of a user."""
    usage = "--input PATH --output FOLDER [--checkpoint RUN] [--<setting> VALUE ...]"
    segment_images(parse_settings(Predict, "segment predict", usage, PREDICT, words))


def segment_images(settings: Predict) -> Path:
    """Segment everything that is there; returns predictions.csv.

    Raises:
        InputError: whatever the user can cure: no checkpoint, nothing to segment, another number of channels ...
    """
    refuse_wrong_places(settings)

    from meddiff.files.unpack import unpacked
    from meddiff.hub.place import MASKS, folder_of
    from meddiff.jobs.apply.work import apply
    from meddiff.jobs.segment.predict import MASK, Masks, inputs_to_segment
    from meddiff.run import RunFolder
    from meddiff.trained import load_segmenter

    console = new_console()
    weights = folder_of(settings.checkpoint or MASKS)
    changed = {"members": settings.members, "steps": settings.steps, "fusion": settings.fusion}
    changed = {name: value for name, value in changed.items() if value is not None}
    model = load_segmenter(weights, model=settings.model, **changed)
    if model.about:
        console.print(f"weights: {weights.name}, {model.about}", soft_wrap=True)
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


main = verbs_command(
    "segment",
    __doc__,
    {"train": train, "evaluate": evaluate, "augment": augment, "test": test, "predict": predict},
    example="segment train --dataset isic",
)

if __name__ == "__main__":
    raise SystemExit(main())
