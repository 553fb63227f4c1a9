"""A trained autoencoder, and a denoiser of its codes -> what draws images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from meddiff.batches.latents import Scale
from meddiff.build.kind import models_of
from meddiff.build.latent_models import AUTOENCODER, weights_of
from meddiff.build.models import of_checkpoint
from meddiff.errors import InputError
from meddiff.inference.image_autoencoder import ImageAutoencoder
from meddiff.inference.sampling import ImageDenoiser
from meddiff.recipe import AutoencodeRecipe, from_dict
from meddiff.run import RunFolder, refuse_other_kind, settings_in
from meddiff.training import checkpoint
from meddiff.training.facts import Facts


def autoencoder_of(stored: checkpoint.Checkpoint) -> ImageAutoencoder:
    """Load the autoencoder that a checkpoint holds.

    Raises:
        InputError: weights that are damaged.
    """
    return of_checkpoint(from_dict(AutoencodeRecipe, stored.facts.recipe), stored, AUTOENCODER)[0]


def autoencoder_in(place: str | Path) -> checkpoint.Checkpoint:
    """Read the weights of the autoencoder that a run folder, or a checkpoint, holds.

    Raises:
        InputError: there are none, or they are of another kind of run.
    """
    path = Path(place).expanduser()
    if (path / checkpoint.INDEX).is_file():
        stored = checkpoint.read(path)
        refuse_other_kind(stored.facts.recipe, AutoencodeRecipe, place)
        return stored
    refuse_other_kind(settings_in(RunFolder(path), made_by=AutoencodeRecipe.MADE_BY), AutoencodeRecipe, place)
    return weights_of(RunFolder(path))


def autoencoder_at(
    recipe: AutoencodeRecipe, path: Path, stored: checkpoint.Checkpoint | None, model: str
) -> ImageAutoencoder:
    """Load an autoencoder, of a run or a checkpoint of one; there is but one, whatever the model is called.

    Raises:
        InputError: it was not trained, or is damaged.
    """
    return autoencoder_of(stored or weights_of(RunFolder(path)))


def refuse_codes(stored: checkpoint.Checkpoint, place: object) -> None:
    """Refuse a network that draws codes, where something is done to pixels.

    Raises:
        InputError: it does.
    """
    if "latent" in stored.facts.network:
        raise InputError(
            f"{place} draws in the codes of an autoencoder (diffusion.latent), and what is done here is done to "
            "pixels: give a run without diffusion.latent"
        )


def of_codes(drawn: ImageDenoiser, path: Path, known: Facts) -> ImageDenoiser:
    """Let a denoiser of codes draw images, by the autoencoder of the run that lies at a path or around it.

    One of pixels stays as it is; ``known`` are the facts of its weights.

    Raises:
        InputError: the autoencoder is not there, or it is another.
    """
    facts = known.network.get("latent")
    if facts is None:
        return drawn
    places = (models_of(RunFolder(folder), AUTOENCODER).checkpoints for folder in (path, *path.parents))
    newest = next((one for one in map(checkpoint.latest, places) if one), None)
    if newest is None or checkpoint.read(newest).digest != facts["autoencoder"]:
        raise InputError(
            f"{path}: this network draws codes of the autoencoder {facts['autoencoder']}, which is not here"
            f"{'' if newest is None else ' (another is)'}: name its run folder, which holds both"
        )
    autoencoder, scale = autoencoder_of(checkpoint.read(newest)), Scale(tuple(facts["mean"]), tuple(facts["deviation"]))
    shape = (drawn.shape[0], *autoencoder.code_shape(drawn.shape)[1:])
    return replace(drawn, shape=shape, decoded=lambda codes: autoencoder.decode(scale.codes(codes.float())))
