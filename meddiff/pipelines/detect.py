"""Find anomalies by diffusion: a model of healthy images, heat maps and scores of what is not like them.

    python -m meddiff.pipelines.detect train --dataset brain_tumor --data-root FOLDER --detect.healthy notumor
    python -m meddiff.pipelines.detect evaluate --dataset brain_tumor --data-root FOLDER    # trains first if need be
    python -m meddiff.pipelines.detect predict --checkpoint runs/detect-brain_tumor-quick --input PATH --output FOLDER

Without --data-root the built-in drawn images are used. --detect.healthy names the labels of healthy images; without it
those with an empty mask are healthy. train learns them alone (--detect.learns labels: all, with their labels),
trains an autoencoder beside, and chooses settings and thresholds on validation images. evaluate judges every method
beside what answers without diffusion (autoencoder, plain intensity, features) and writes report.html. predict takes a
picture, a volume (slice by slice), a DICOM series, or a folder of them: NAME_map.png or .nii.gz on their own grid, and
anomalies.csv with a score, and whether it is above the threshold that a stated share of healthy images is above too. A
finished stage is skipped; a killed run goes on where it was. Every setting is listed by `detect VERB --help`.
"""

from __future__ import annotations

from pathlib import Path

from meddiff.command_line import DETECT, do_recipe, parse_settings, refuse_wrong_places, verbs_command
from meddiff.jobs.progress import new_console
from meddiff.recipe import DetectRecipe
from meddiff.recipe.detect import Detect


def train(words: list[str], verb: str = "train", until: str = "choose") -> None:
    """Train the networks, and choose how each detector is set."""

    def run(recipe: DetectRecipe) -> None:
        from meddiff.jobs import job  # torch and MONAI take seconds to import: not for --help

        job.run(recipe, until)

    do_recipe(f"detect {verb}", __doc__ or "", words, DETECT, run, describes=True)


def evaluate(words: list[str]) -> None:
    """Run the whole job, up to the report."""
    train(words, "evaluate", until="report")


def predict(words: list[str]) -> None:
    """Look for anomalies in the images of a user."""
    usage = "--checkpoint RUN --input PATH --output FOLDER [--<setting> VALUE ...]"
    settings = parse_settings(Detect, "detect predict", usage, __doc__ or "", words)
    refuse_wrong_places(settings)

    from meddiff.files.unpack import unpacked
    from meddiff.jobs.apply.work import apply, inputs_at
    from meddiff.jobs.detect.predict import MAP, Maps
    from meddiff.run import RunFolder
    from meddiff.trained import load_detector

    console = new_console()
    model = load_detector(settings.checkpoint, model=settings.model)
    console.print(f"detector: {model.name}", soft_wrap=True)
    if RunFolder(Path(settings.checkpoint)).phantom.is_dir():
        console.print("note: this run was trained on drawn images (phantoms); its maps say nothing about patients")
    with unpacked(Path(settings.input).expanduser()) as place:
        maps = Maps(settings, model)
        apply(maps, place, inputs_at(place, settings, MAP), settings, console, product=MAP, made_by=maps.digest)


main = verbs_command(
    "detect",
    __doc__,
    {"train": train, "evaluate": evaluate, "predict": predict},
    example="detect train --dataset brain_tumor",
)

if __name__ == "__main__":
    raise SystemExit(main())
