"""Where the weights of feature extractors are published, and how a file comes from there once.

The file name of the FID's Inception ends with the first eight digits of its SHA-256, as its authors' release says; what
is downloaded must begin with them. The others are recorded at the first download and held to (`meddiff.sources.fetch`).
"""

from __future__ import annotations

from pathlib import Path

from meddiff.data.unpack import Progress
from meddiff.errors import InputError
from meddiff.sources.checksums import read_json, record_file
from meddiff.sources.fetch import Patience, fetch
from meddiff.sources.source import Archive

FID_DIGEST = "6726825d"
"""First digits of the SHA-256 of the weights that every published FID was made with in PyTorch."""
WEIGHTS: dict[str, Archive] = {
    "inception": Archive(
        "inception",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "pt_inception-2015-12-05-6726825d.pth",
        mirrors=(
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
        ),
        note="Inception v3 of the FID, converted from TensorFlow",
        license="Apache 2.0",
    ),
    "dinov2": Archive(
        "dinov2",
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
        "dinov2_vitl14_pretrain.pth",
        note="DINOv2, ViT-L/14 without registers",
        license="Apache 2.0",
    ),
}
DIGESTS = {"inception": FID_DIGEST}


def published_weights(
    name: str,
    folder: Path,
    *,
    archives: dict[str, Archive] = WEIGHTS,
    progress: Progress = lambda *_: None,
    patience: Patience | None = None,
) -> Path:
    """The weights file of an extractor in ``folder``, downloaded unless it is there.

    Raises:
        InputError: nobody publishes them for download, they cannot be downloaded, or they are not what they should be.
    """
    if name not in archives:
        raise InputError(f"--features {name} needs its weights from a local file: give --weights FILE")
    try:
        path = fetch(archives[name], folder, progress=progress, patience=patience)
    except InputError as error:
        raise InputError(f"{error} Or give a local file of these weights with --weights.") from error
    digest = str(read_json(record_file(path)).get("sha256"))
    if not digest.startswith(DIGESTS.get(name, "")):
        path.unlink()
        raise InputError(
            f"{path}: its SHA-256 begins with {digest[:8]}, that of the published file with {DIGESTS[name]}; it was "
            "removed. Try again, or give a local file with --weights"
        )
    return path
