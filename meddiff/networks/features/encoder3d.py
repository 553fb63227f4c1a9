"""Any 3D encoder from a file: a TorchScript program, ``torch.jit.trace(network, example).save("encoder.ts")``.

A file of weights alone does not say what to compute, and a pickled network is Python, so neither is taken. TorchScript
is a program as well: it runs in PyTorch's own interpreter, which knows operations that read and write files
(``torch.from_file``), already while it is loaded. So it is run only for those who say that they trust it
(`build.volume_extractor`); weights of a known architecture need no trust.

It is called with volumes [B, 1, D, H, W] in [-1, 1] and answers with [B, F], or with maps [B, F, ...] whose means are
taken.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import Tensor

from meddiff.errors import InputError
from meddiff.networks.features.network import VolumeNetwork

HOW = 'Write it with torch.jit.trace(network.eval(), example).save("encoder.ts"), where the network is at hand.'


class Encoder3D(VolumeNetwork):
    """``features`` turns volumes into whatever the program makes of them."""

    preprocessing = "as the encoder does it"

    def __init__(self, file: str | Path) -> None:
        super().__init__()
        self.file = Path(file)
        _check_program(self.file)
        try:
            self.program = torch.jit.load(self.file, map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{file} is damaged, or TorchScript of another version ({reason}). {HOW}") from error

    def _of_volume(self, volume: Tensor) -> Tensor:
        try:
            output = self.program(volume)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise InputError(f"{self.file} does not take volumes {tuple(volume.shape)}: {reason}") from error
        if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != len(volume):
            raise InputError(f"{self.file} answers volumes with no tensor [volumes, features, ...]. {HOW}")
        return output.float().flatten(2).mean(2) if output.ndim > 2 else output.float()


def _check_program(file: Path) -> None:
    """Refuse what is no TorchScript before anything opens it."""
    if not file.is_file():
        raise InputError(f"no encoder at {file}: give a TorchScript file with --weights. {HOW}")
    inside = zipfile.ZipFile(file).namelist() if zipfile.is_zipfile(file) else []
    if not any("/code/" in name for name in inside):
        raise InputError(f"{file} holds no TorchScript: pickled networks and files of weights are not run. {HOW}")
