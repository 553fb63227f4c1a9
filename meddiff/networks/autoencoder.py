"""A convolutional autoencoder: MONAI's `AutoEncoder`, the baseline that finds anomalies without diffusion.

All that it knows of an image passes a code, whose grid is half as wide per level and ``code`` channels deep. Nothing
goes around it, or it would copy anomalies too.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets.autoencoder import AutoEncoder
from torch import Tensor, nn

from meddiff.errors import InputError
from meddiff.networks.folding import pad_to_multiple


class ConvolutionalAutoencoder(nn.Module):
    """``autoencoder(image) -> image``, both [B, C, *S] in [-1, 1], any size.

    Args:
        in_channels: channels C of the image.
        channels: feature channels per level, from fine to coarse; each halves the grid.
        code: channels of the code.
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        InputError: no level.
    """

    def __init__(self, in_channels: int, *, channels: Sequence[int], code: int, spatial_dims: int = 2) -> None:
        super().__init__()
        if not channels or min(*channels, code) < 1:
            raise InputError(f"an autoencoder has one level or more, each with a channel, got {list(channels)}, {code}")
        self.multiple = 2 ** len(channels)
        self.body = AutoEncoder(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            out_channels=in_channels,
            channels=(*channels, code),
            strides=(*(2,) * len(channels), 1),
            num_res_units=1,
            norm=None,  # instance norm would take the brightness away, also from the output
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return what the code keeps of an image [B, C, *S]."""
        padded, window = pad_to_multiple(image, self.multiple)
        return self.body(padded)[window]
