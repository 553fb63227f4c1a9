"""Make images of what is known by diffusion: sharper, without their holes, in another sequence, by a mask (Palette).

    python -m meddiff.pipelines.translate train --dataset isic --data-root ~/HAM10000 --translation.factor 4
    python -m meddiff.pipelines.translate evaluate --dataset isic --data-root ~/HAM10000    # trains first where need be
    python -m meddiff.pipelines.translate predict --checkpoint runs/translate-isic-quick --input PATH --output FOLDER
    python -m meddiff.pipelines.translate evaluate --dataset isic --translation.known mask    # images from label maps

Without --data-root the built-in drawn images are used. evaluate writes report.html: the model beside a regression of as
many weights and steps, and beside what needs no training. A finished stage is skipped; a killed run goes on where it
was. Every setting is listed by `translate VERB --help`; `translate train --describe` prints what the networks cost.
"""

from __future__ import annotations

from pathlib import Path

from meddiff.command_line import TRANSLATE, do_recipe, parse_settings, refuse_wrong_places, verbs_command
from meddiff.recipe import TranslateRecipe
from meddiff.recipe.commands import Translation

PREDICT = """Make images of known ones with the weights of a run.

--input is a picture, a volume (NIfTI, NRRD, MetaImage), a DICOM series, or a folder or zip archive of them. A picture
becomes a PNG, a volume a NIfTI volume; what was sharpened has a finer grid. Each gets the mean of several drawn images,
which has the smallest error, or with --single one of them, which is sharper; a line of predictions.csv says how far
they differ. Run again, it translates what is new or has changed. Of a run that draws by masks --input are label maps,
with the values that its own masks have: each gets --members images, and manifest.csv lists these pairs to train on.

    python -m meddiff.pipelines.translate predict --checkpoint runs/translate-isic-quick --input photos --output sharp
"""


def train(words: list[str], verb: str = "train", until: str = "baselines") -> None:
    """Train the diffusion model, and the regression beside it."""

    def run(recipe: TranslateRecipe) -> None:
        from meddiff.jobs import job  # torch and MONAI take seconds to import: not for --help

        job.run(recipe, until)

    do_recipe(f"translate {verb}", __doc__ or "", words, TRANSLATE, run, describes=True)


def evaluate(words: list[str]) -> None:
    """Run the whole job, up to the report."""
    train(words, "evaluate", until="report")


def predict(words: list[str]) -> None:
    """Translate the images of a user."""
    usage = "--checkpoint RUN --input PATH --output FOLDER [--<setting> VALUE ...]"
    translate_images(parse_settings(Translation, "translate predict", usage, PREDICT, words))


def translate_images(settings: Translation) -> Path:
    """Translate everything that is there; returns predictions.csv, or drawn.csv of label maps.

    Raises:
        InputError: whatever the user can cure: no run, nothing to translate, another number of channels, a mask with
            other classes ...
    """
    refuse_wrong_places(settings)

    from meddiff.files.unpack import unpacked
    from meddiff.jobs.apply.work import apply, inputs_at
    from meddiff.jobs.progress import new_console
    from meddiff.jobs.translate.of_label_maps import maker_of

    console, (made, product) = new_console(), maker_of(settings)
    if made.of_phantoms:
        console.print("note: this run was trained on drawn images (phantoms); its images say nothing about patients")
    with unpacked(Path(settings.input).expanduser()) as place:
        inputs = inputs_at(place, settings, product)
        return apply(made, place, inputs, settings, console, product=product, made_by=made.digest)


main = verbs_command(
    "translate",
    __doc__,
    {"train": train, "evaluate": evaluate, "predict": predict},
    example="translate train --dataset isic",
)

if __name__ == "__main__":
    raise SystemExit(main())
