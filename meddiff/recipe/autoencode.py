"""Every setting of a run that trains an autoencoder, in whose latents diffusion is cheap (``diffusion.latent``).

The parts that a run of any kind has are those of ``meddiff.recipe.parts``, with defaults of their own here;
``pipelines/autoencode/*.yaml`` hold what differs by machine and by data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from meddiff.errors import InputError
from meddiff.recipe import parts
from meddiff.recipe.parts import (
    Count,
    DataRecipe,
    IntervalRecipe,
    RunRecipe,
    Share,
    TrainingRecipe,
    VolumeRecipe,
    Weight,
)


@dataclass(frozen=True)
class CodeRecipe:
    """The network: how an image becomes a code on a coarser grid."""

    regularization: Literal["kl", "vq"] = "kl"
    """What keeps the code simple: a weak pull towards N(0, 1), or rounding to the vectors of a code book."""
    channels: tuple[int, ...] = (64, 128, 128)
    """Feature channels per level, from fine to coarse; each but the first halves the grid."""
    residual_blocks: Count = 2
    """Residual blocks per level."""
    patch_size: Count = 1
    """Pixels per side folded into channels before the first level; 2 makes a step about four times cheaper."""
    latent_channels: Count = 4
    """Numbers of the code at each of its places."""
    codes: Count = 1024
    """Of vq: vectors of the code book."""


@dataclass(frozen=True)
class LossesRecipe:
    """The loss beside the absolute error."""

    kl_weight: Weight = 1e-5
    """Of kl: weight of the divergence from N(0, 1), in nats per number of the image."""
    commitment: Weight = 0.25
    """Of vq: weight of the squared distance to the vectors that the code is rounded to."""
    adversarial: Weight = 0.02
    """Weight of a discriminator of patches, which makes images sharper and PSNR a little worse; 0 trains none."""
    adversary: Literal["hinge", "least_squares"] = "hinge"
    """The loss of the discriminator."""
    adversarial_from: Share = 0.5
    """Share of the steps after which the discriminator begins."""
    discriminator_channels: Count = 32
    """Channels of its first layer."""
    perceptual: str = ""
    """Folder of alexnet-owt-7be5be79.pth and alex.pth (LPIPS), of pictures of 31 px or more; empty uses none."""
    perceptual_weight: Weight = 0.3
    """Weight of the perceptual distance."""


@dataclass(frozen=True)
class AutoencodeRecipe(RunRecipe):
    """All settings of one run that trains an autoencoder."""

    FIRST: ClassVar[tuple[str, ...]] = (
        "dataset", "data_root", "manifest", "preset", "out", "seed", "dimensions", "data.image_size",
        "autoencoder.regularization", "autoencoder.latent_channels", "training.steps",
    )  # fmt: skip
    """Settings that people touch first: --help shows them."""
    MADE_BY = "`autoencode train` or `autoencode evaluate`"
    DOES = "encodes images and draws none"
    BRIEFLY = "encodes"
    MARK = "autoencoder"
    ANSWERS = "evaluation"

    preset: str = "auto"
    """quick or standard; auto is standard where there is a GPU and real data, else quick."""
    out: str = ""
    """Run folder; empty means runs/autoencode-<dataset>-<preset>."""
    dimensions: Literal[2, 3] = 2
    """2 encodes pictures and slices, 3 whole volumes."""
    autoencoder: CodeRecipe = field(default_factory=CodeRecipe)
    losses: LossesRecipe = field(default_factory=LossesRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    volume: VolumeRecipe = field(default_factory=VolumeRecipe)
    training: TrainingRecipe = field(
        default_factory=lambda: TrainingRecipe(
            steps=50_000, batch_size=32, decay="cosine", ema_decay=0.999, class_balance=0.0, sample_every=5000
        )
    )
    evaluation: IntervalRecipe = field(default_factory=IntervalRecipe)

    @property
    def factor(self) -> int:
        """Pixels to a place of the code, along each axis."""
        return self.autoencoder.patch_size * 2 ** (len(self.autoencoder.channels) - 1)

    def refuse_contradictions(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            InputError: the settings, and what to do.
        """
        parts.refuse_contradictions(self)
        sides = (self.data.image_size,) * 2 if self.dimensions == 2 else self.volume.patch_size
        if any(side % self.factor for side in sides):
            raise InputError(
                f"autoencoder.channels and autoencoder.patch_size make a code {self.factor} times coarser, which does "
                f"not divide {' x '.join(map(str, sides))}: use multiples of {self.factor} "
                f"({'--data.image_size' if self.dimensions == 2 else '--volume.patch_size'}), or fewer channels"
            )
        if self.losses.perceptual and (self.dimensions == 3 or self.data.image_size < 31):
            raise InputError("losses.perceptual looks at pictures of 31 pixels or more: leave it out here")
