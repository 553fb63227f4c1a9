"""Images as small codes and back, in which diffusion draws at a fraction of the cost (Rombach et al. 2022).

    python -m meddiff.pipelines.autoencode train --dataset isic --data-root ~/HAM10000
    python -m meddiff.pipelines.autoencode evaluate --dataset isic --data-root ~/HAM10000    # trains first if need be
    python -m meddiff.pipelines.augment --dataset isic --data-root ~/HAM10000 --diffusion.latent runs/autoencode-isic

Without --data-root the built-in drawn images are used. evaluate writes report.html: how well held-out images are
reconstructed, beside bicubic interpolation of a small image that holds as many numbers. A finished stage is skipped; a
killed run goes on where it was. Every setting is listed by `autoencode VERB --help`; `autoencode train --describe`
prints what the network costs. In Python `meddiff.load(RUN)` has `encode` and `decode`.
"""

from __future__ import annotations

from meddiff.command_line import AUTOENCODE, do_recipe, verbs_command
from meddiff.recipe import AutoencodeRecipe


def train(words: list[str], verb: str = "train", until: str = "train") -> None:
    """Train the autoencoder."""

    def run(recipe: AutoencodeRecipe) -> None:
        from meddiff.jobs import job  # torch and MONAI take seconds to import: not for --help

        job.run(recipe, until)

    do_recipe(f"autoencode {verb}", __doc__ or "", words, AUTOENCODE, run, describes=True)


def evaluate(words: list[str]) -> None:
    """Run the whole job, up to the report."""
    train(words, "evaluate", until="report")


main = verbs_command(
    "autoencode", __doc__, {"train": train, "evaluate": evaluate}, example="autoencode train --dataset isic"
)

if __name__ == "__main__":
    raise SystemExit(main())
