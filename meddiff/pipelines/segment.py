"""Segment images by diffusion: train, predict with an ensemble and its uncertainty, evaluate beside a baseline.

    python -m meddiff.pipelines.segment train --dataset isic --data-root ~/HAM10000
    python -m meddiff.pipelines.segment evaluate --dataset isic --data-root ~/HAM10000    # trains first where need be
    python -m meddiff.pipelines.segment test --checkpoint runs/segment-isic-quick --data_root ~/PH2 --out runs/ph2
    python -m meddiff.pipelines.segment predict --input photo.jpg --output masks    # skin lesions: no training needed
    python -m meddiff.pipelines.segment predict --checkpoint runs/segment-isic-quick --input PATH --output FOLDER

Without --data-root the built-in drawn images are used. evaluate writes report.html with 95% intervals; test judges the
run's networks, as they are, on other images; predict takes a picture, a volume (NIfTI, NRRD, MetaImage), a DICOM
series, or a folder of them. A finished stage is skipped; a killed run goes on where it was. Every setting is listed by
`segment VERB --help`; `segment train --describe` prints how large the networks are and what they cost.
"""

from __future__ import annotations

from meddiff.pipelines.command_line import DESCRIBE, SEGMENT, describe, parse_recipe, parse_settings, verbs_command
from meddiff.recipe.commands import OtherImages


def train(words: list[str], verb: str = "train", until: str = "calibrate") -> None:
    """Train the networks, and calibrate them."""
    plain = [word for word in words if word != DESCRIBE]
    recipe = parse_recipe(f"segment {verb}", __doc__ or "", plain, SEGMENT)
    if len(plain) < len(words):
        describe(recipe)
        return
    from meddiff.jobs import job  # torch and MONAI take seconds to import: not for --help

    job.segment(recipe, until)


def evaluate(words: list[str]) -> None:
    """Run the whole job, up to the report."""
    train(words, "evaluate", until="report")


def test(words: list[str]) -> None:
    """Judge a run's networks on other images."""
    from meddiff.jobs.segment import test as other_images

    usage = "--checkpoint RUN --data_root FOLDER --out FOLDER"
    other_images.run(parse_settings(OtherImages, "segment test", usage, other_images.__doc__ or "", words))


def predict(words: list[str]) -> None:
    """Segment the images of a user."""
    from meddiff.pipelines import predict

    predict.run(predict.parse(words))


main = verbs_command(
    "segment",
    __doc__,
    {"train": train, "evaluate": evaluate, "test": test, "predict": predict},
    example="segment train --dataset isic",
)

if __name__ == "__main__":
    raise SystemExit(main())
