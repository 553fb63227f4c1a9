"""Addresses of published weights of feature extractors, and how a file comes from there once.

The file name of the FID's Inception ends with the first eight digits of its SHA-256, as its authors' release says; what
is downloaded must begin with them. The others are recorded at the first download and held to (`meddiff.sources.fetch`).
"""

from __future__ import annotations

from pathlib import Path

from meddiff.errors import InputError
from meddiff.files.unpack import Progress
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
    "medicalnet": Archive(
        "medicalnet",
        "https://huggingface.co/TencentMedicalNet/MedicalNet-Resnet18/resolve/main/resnet_18_23dataset.pth",
        "resnet_18_23dataset.pth",
        note="MedicalNet, 3D ResNet18 of 23 data sets",
        license="MIT",
    ),
    "alexnet": Archive(
        "alexnet",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "alexnet-owt-7be5be79.pth",
        note="AlexNet of torchvision, the trunk of LPIPS",
        license="BSD 3-Clause",
    ),
    "lpips": Archive(
        "lpips",
        "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/082bb24f84c091ea94de2867d34c4544f68e0963/"
        "lpips/weights/v0.1/alex.pth",
        "alex.pth",
        note="LPIPS v0.1, the weights of AlexNet's channels",
        license="BSD 2-Clause",
    ),
}
LPIPS_FILES = ("alexnet", "lpips")
"""What the perceptual distance is made of."""
DIGESTS = {"inception": FID_DIGEST, "alexnet": "7be5be79"}
"""How the SHA-256 of a file begins whose authors put that into its name."""


def published_weights(
    name: str,
    folder: Path,
    *,
    option: str = "--weights",
    archives: dict[str, Archive] = WEIGHTS,
    progress: Progress = lambda *_: None,
    patience: Patience | None = None,
) -> Path:
    """Return the weights file of an extractor in ``folder``, downloaded unless it is there; ``option`` is for messages.

    Raises:
        InputError: nobody publishes them for download, they cannot be downloaded, or they are not what they should be.
    """
    if name not in archives:
        raise InputError(
            f"--features {name} needs its weights from a local file: give {option} FILE, or choose features whose "
            f"weights are downloaded ({', '.join(one for one in archives if one not in LPIPS_FILES)})"
        )
    try:
        path = fetch(archives[name], folder, progress=progress, patience=patience)
    except InputError as error:
        raise InputError(f"{error} Or give a local file of these weights with {option}.") from error
    digest = str(read_json(record_file(path)).get("sha256"))
    if not digest.startswith(DIGESTS.get(name, "")):
        path.unlink()
        raise InputError(
            f"{path}: its SHA-256 begins with {digest[:8]}, that of the published file with {DIGESTS[name]}; it was "
            f"removed. Try again, or give a local file with {option}"
        )
    return path
