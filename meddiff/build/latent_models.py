"""The autoencoder in whose latents diffusion is cheap: the kind of run that trains it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from meddiff.build.features import perceptual
from meddiff.build.kind import Kind, Model, facts_of, models_of
from meddiff.errors import InputError
from meddiff.inference.image_autoencoder import ImageAutoencoder
from meddiff.networks.initialization import seeded
from meddiff.networks.latent_autoencoder import JudgedAutoencoder, LatentAutoencoder
from meddiff.recipe import to_dict
from meddiff.recipe.autoencode import AutoencodeRecipe
from meddiff.run import RunFolder
from meddiff.seeds import child_seed
from meddiff.training import checkpoint
from meddiff.training.compressing import Compressing, Start
from meddiff.training.fabric import prepare_network
from meddiff.training.objectives import Objective

AUTOENCODER = "autoencoder"
"""What folders call the network."""


def _sides(recipe: AutoencodeRecipe) -> tuple[int, ...]:
    return (recipe.data.image_size,) * 2 if recipe.dimensions == 2 else recipe.volume.patch_size


def _judged(recipe: AutoencodeRecipe, channels: int) -> JudgedAutoencoder:
    code, losses = recipe.autoencoder, recipe.losses
    with seeded(child_seed(recipe.seed, AUTOENCODER, "weights")):
        autoencoder = LatentAutoencoder(
            channels, channels=code.channels, latent_channels=code.latent_channels, regularization=code.regularization,
            residual_blocks=code.residual_blocks, patch_size=code.patch_size, codes=code.codes,
            spatial_dims=recipe.dimensions,
        )  # fmt: skip
        width = losses.discriminator_channels if losses.adversarial else 0
        return JudgedAutoencoder(
            autoencoder, channels, side=min(_sides(recipe)), width=width, spatial_dims=recipe.dimensions
        )


def _model(recipe: AutoencodeRecipe, name: str, channels: int, class_names: Sequence[str]) -> Model:
    network, losses = _judged(recipe, channels), recipe.losses
    facts = to_dict(recipe.autoencoder) | {"name": name, "dimensions": recipe.dimensions,
                                           "judged": network.discriminator is not None}  # fmt: skip

    def objective(fabric: Fabric) -> Objective:
        begins = Start(round(losses.adversarial_from * recipe.training.steps)) if losses.adversarial else None
        return Compressing(
            prepare_network(network, fabric), recipe.autoencoder.latent_channels, recipe.factor,
            kl_weight=losses.kl_weight if recipe.autoencoder.regularization == "kl" else 0.0,
            commitment=losses.commitment, adversarial=losses.adversarial, adversary=losses.adversary, history=begins,
            perceptual=_perceptual(losses.perceptual, fabric), perceptual_weight=losses.perceptual_weight,
        )  # fmt: skip

    def ready(averaged: nn.Module, fabric: Fabric) -> ImageAutoencoder:
        autoencoder = averaged.autoencoder
        assert isinstance(autoencoder, LatentAutoencoder)
        return ImageAutoencoder(autoencoder.to(fabric.device).eval(), (channels, *_sides(recipe)), fabric.device)

    return Model(name, network, facts_of(recipe, channels, class_names, facts, None), objective, ready)


def _perceptual(place: str, fabric: Fabric) -> Callable[[Tensor], Tensor] | None:
    return perceptual(place, option="--losses.perceptual").to(fabric.device).embedded if place else None


def _check(recipe: AutoencodeRecipe) -> None:
    _judged(recipe, 1)  # settings that fit together
    if recipe.losses.perceptual:
        perceptual(recipe.losses.perceptual, option="--losses.perceptual")
    if recipe.training.class_balance:
        raise InputError(
            f"training.class_balance is {recipe.training.class_balance}, and images have no classes here: use 0"
        )


def weights_of(folder: RunFolder, _name: str = AUTOENCODER) -> checkpoint.Checkpoint:
    """Read the last weights of the autoencoder of a run.

    Raises:
        InputError: it was not trained.
    """
    return checkpoint.read_latest(models_of(folder, AUTOENCODER).checkpoints)


def _calls(recipe: AutoencodeRecipe) -> str:
    numbers, sides = recipe.autoencoder.latent_channels, [side // recipe.factor for side in _sides(recipe)]
    return f"an image becomes {numbers} x {' x '.join(map(str, sides))} numbers by one call"


def _others(recipe: AutoencodeRecipe) -> dict[str, int]:
    return {AUTOENCODER: recipe.training.steps}


AUTOENCODE: Any = Kind(check=_check, calls=_calls, weights=weights_of, others=_others, other=_model)
