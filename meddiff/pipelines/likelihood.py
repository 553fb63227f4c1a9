"""Ask a trained generator how likely images are, in bits per dimension, noise level by noise level.

    python -m meddiff.pipelines.likelihood --checkpoint runs/isic-phantom-quick --output bits
    python -m meddiff.pipelines.likelihood --checkpoint RUN --output bits --input other-pictures
    python -m meddiff.pipelines.likelihood --checkpoint RUN --output bits --levels 1000 --draws 4 --probes 0

The variational bound is the sum of L_T (what is left of the image at T), L_t (what each step back costs) and L_0 (the
last step, to pixels); the probability flow gives the likelihood itself, of an image with uniform noise of one gray
level, by a random trace whose spread is shown, or by an exact one. The network hears of no class. likelihood.csv has
one line per image, levels.csv L_t with intervals by patient, likelihood.png both. With --input other images stand
beside those of the run; that they take more bits, or fewer, says little about whether they are like them.
"""

from __future__ import annotations

from pathlib import Path

from meddiff.command_line import settings_command
from meddiff.files.writing import output_folder
from meddiff.jobs.progress import new_console
from meddiff.recipe.generators import Likelihood


def run(settings: Likelihood) -> Path:
    """Ask about all images; returns likelihood.csv.

    Raises:
        InputError: whatever the user can cure: no checkpoint, no images, an output folder that is read.
    """
    output_folder(settings.output, [settings.input] if settings.input else [], option="--output")

    from meddiff.jobs.evaluate.likelihood import run as ask
    from meddiff.trained import load_generator

    return ask(settings, load_generator(settings.checkpoint), new_console())


USAGE = "--checkpoint RUN --output FOLDER [--input FOLDER] [--<setting> VALUE ...]"
main = settings_command(Likelihood, "likelihood", USAGE, __doc__, run)

if __name__ == "__main__":
    raise SystemExit(main())
