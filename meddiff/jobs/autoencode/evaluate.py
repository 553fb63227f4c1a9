"""Evaluation of an autoencoder: every test image and its reconstruction, beside bicubic interpolation of a small image
that holds as many numbers as the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from meddiff.build.kind import models_of
from meddiff.build.latent_models import AUTOENCODER, weights_of
from meddiff.build.models import of_checkpoint
from meddiff.evaluation.answers import METRICS, scores_of
from meddiff.evaluation.reconstructions import as_few, code_statistics, down_and_up
from meddiff.files.long_tables import read_table, write_table
from meddiff.images.views import tile
from meddiff.inference.image_autoencoder import AT_ONCE, ImageAutoencoder
from meddiff.jobs.autoencode.train import evenly, reconstructed
from meddiff.jobs.describe import images_per_step, shape_of
from meddiff.jobs.progress import bar
from meddiff.jobs.run_facts import group_noun, provenance_of_test, resampling_of, training_seconds
from meddiff.jobs.splits import plain
from meddiff.jobs.stage import Stage, need
from meddiff.recipe import to_dict
from meddiff.recipe.autoencode import AutoencodeRecipe
from meddiff.reports.literature import CitedSentence
from meddiff.reports.tasks.reconstruction import reconstruction_report, reconstruction_results
from meddiff.reports.write import write_report
from meddiff.run import Run, RunFolder, digest

BICUBIC = "bicubic"
SHOWN = 8
"""Test images of the page."""


def latents_file(folder: RunFolder) -> Path:
    """Name the table of the channels of the codes."""
    return folder.path / "latents.csv"


def autoencoder_of(run: Run[AutoencodeRecipe]) -> ImageAutoencoder:
    """Load the autoencoder of a run, once."""
    return run.keep(AUTOENCODER, lambda: of_checkpoint(run.recipe, weights_of(run.folder), AUTOENCODER)[0])


def _inputs(run: Run[AutoencodeRecipe]) -> str:
    return digest(run.folder.manifest, weights_of(run.folder).digest)


def _check(run: Run[AutoencodeRecipe]) -> None:
    need(run, "test", "on which reconstructions are judged")


def _work(run: Run[AutoencodeRecipe]) -> list[Path]:
    images, autoencoder = plain(run, "test"), autoencoder_of(run)
    lines: list[dict] = []
    codes: list[tuple[Tensor, Tensor]] = []
    starts = range(0, len(images), AT_ONCE)
    for start in bar(run.console, "reconstructing test images", unit="batches")(starts, len(starts)):
        positions = range(start, min(start + AT_ONCE, len(images)))
        image = images.batch(positions).image
        codes += autoencoder.distributions(image)
        made = {
            BICUBIC: down_and_up(image, as_few(image.shape[1:], codes[-1][0][0].numel())),
            AUTOENCODER: autoencoder.decode(codes[-1][0]),
        }
        for number, position in enumerate(positions):
            about = {"case": images.rows[position].row_id, "patient": images.rows[position].group}
            lines += [{"model": name} | about | scores_of(own[number][None].numpy(), image[number].numpy())
                      for name, own in made.items()]  # fmt: skip
    write_table(pd.DataFrame(lines), run.folder.cases)
    write_table(code_statistics(codes), latents_file(run.folder))
    return [run.folder.cases, latents_file(run.folder)]


def _report_inputs(run: Run[AutoencodeRecipe]) -> str:
    own = to_dict(run.recipe.evaluation), run.recipe.seed
    return digest(run.folder.cases, latents_file(run.folder), *own)


def _write_report(run: Run[AutoencodeRecipe]) -> list[Path]:
    recipe, folder, console = run.recipe, run.folder, run.console
    results = reconstruction_results(
        cases=read_table(folder.cases, ("model", "case", "patient", *METRICS)), compared=[BICUBIC], main=AUTOENCODER,
        single=AUTOENCODER, resampling=resampling_of(recipe), title=f"Autoencoder of {recipe.dataset}",
        wanted=_size_of_code(recipe), phantom=all(row.source == "phantom" for row in run.of("test")),
        networks=_networks(run), group_noun=group_noun(plain(run, "test")), gallery=list(_gallery(run)),
        methods=_methods(recipe), provenance=provenance_of_test(run),
        latents=read_table(latents_file(folder), ("channel", "mean", "deviation", "noise_share")),
    )  # fmt: skip
    written = write_report(reconstruction_report(results), folder.path)
    write_table(results.means, folder.scores)
    write_table(results.differences, folder.differences)
    console.print(f"{results.headline}\n", style="bold", soft_wrap=True)
    console.print(f"The report: {written[0]}", soft_wrap=True)
    return [folder.scores, folder.differences, *written]


def _size_of_code(recipe: AutoencodeRecipe) -> str:
    shape = shape_of(recipe)
    code = (recipe.autoencoder.latent_channels, *(side // recipe.factor for side in shape[1:]))
    times = f"{np.prod(shape) / np.prod(code):.1f}".removesuffix(".0")
    return f"{' x '.join(map(str, code))} numbers of {' x '.join(map(str, shape))}, {times} times fewer"


def _networks(run: Run[AutoencodeRecipe]) -> pd.DataFrame:
    network = autoencoder_of(run).network
    return pd.DataFrame([{
        "model": AUTOENCODER, "weights": sum(parameter.numel() for parameter in network.parameters()),
        "training_seconds": training_seconds(models_of(run.folder, AUTOENCODER).log, images_per_step(run.recipe)),
        "image_size": " x ".join(map(str, shape_of(run.recipe)[1:])),
    }])  # fmt: skip


def _gallery(run: Run[AutoencodeRecipe]) -> Iterator[tuple[str, list[tuple[str, np.ndarray]]]]:
    """Reconstruct some test images, evenly chosen."""
    images, autoencoder = plain(run, "test"), autoencoder_of(run)
    positions = evenly(len(images), SHOWN)
    for position, (image, made) in zip(positions, reconstructed(autoencoder, images, positions), strict=True):
        few = as_few(image.shape, autoencoder.encode(image[None]).numel())
        shown = {"image": image, AUTOENCODER: made, BICUBIC: down_and_up(image[None], few)[0]}
        pictures = [(what, tile(one.numpy(), images.spacing_mm)) for what, one in shown.items()]
        yield images.rows[position].row_id, pictures


def _methods(recipe: AutoencodeRecipe) -> list[CitedSentence]:
    losses, vq = recipe.losses, recipe.autoencoder.regularization == "vq"
    held = ("rounded to the nearest of its code book's vectors", ("vandenoord2017",)) if vq else (
        f"held near a normal distribution (weight {losses.kl_weight:g})", ("kingma2014", "pinaya2022"))  # fmt: skip
    beside = [f"a discriminator of patches ({losses.adversary.replace('_', ' ')}, weight {losses.adversarial:g})"
              ] * bool(losses.adversarial) + ["a perceptual distance (LPIPS)"] * bool(losses.perceptual)  # fmt: skip
    sentence = (f"An autoencoder was trained for {recipe.training.steps} steps of {recipe.training.batch_size} images "
                f"by the absolute error{''.join(f', {one}' for one in beside)}; its codes are {held[0]}")  # fmt: skip
    citations = ("rombach2022", *held[1], *["isola2017"] * bool(losses.adversarial),
                 *["zhang2018"] * bool(losses.perceptual))  # fmt: skip
    return [(sentence, citations)]


EVALUATE = Stage("evaluate", "reconstructing and measuring every test image", _inputs, _work, _check)
REPORT = Stage("report", "comparing and drawing the report", _report_inputs, _write_report)
