"""Feature extractors by their names, with the weights that they are made from."""

from __future__ import annotations

from pathlib import Path

from meddiff.build.tables import EXTRACTORS, VOLUME_EXTRACTORS, pick
from meddiff.cache.store import default_folder
from meddiff.errors import InputError
from meddiff.files.content import sha256_of
from meddiff.networks.features.encoder3d import Encoder3D
from meddiff.networks.features.lpips import LpipsEmbedding
from meddiff.networks.features.network import FeatureNetwork, PlaneFeatures, VolumeNetwork
from meddiff.recipe import Recipe
from meddiff.sources.published_weights import LPIPS_FILES, WEIGHTS, published_weights


def extractor(recipe: Recipe) -> FeatureNetwork | None:
    """Build the feature extractor of the distances; None where it is the run's own classifier.

    Raises:
        InputError: an unknown name, or a weights file that is missing, not of this network, or of one that has none.
    """
    name, weights = recipe.evaluation.features, recipe.evaluation.weights
    make = pick("evaluation.features", EXTRACTORS, name)
    if make is None:
        return None
    if not make.of_file:
        _refuse_weights("evaluation.features", name, weights, option="--evaluation.weights")
        return make()
    if not weights:
        raise InputError(f"evaluation.features {name} needs its file: --evaluation.weights FILE")
    return make(weights)


def named_extractor(name: str, weights: str | Path) -> tuple[FeatureNetwork, str]:
    """Make an extractor that needs no run, and hash its weights: the file ``weights``, or its authors' download.

    The hash is empty where an extractor has no file.

    Raises:
        InputError: an unknown name, the classifier of a run, a file that is missing or not of this network, or one
            that cannot be downloaded.
    """
    if name in VOLUME_EXTRACTORS:
        raise InputError(f"--features {name} takes volumes (NIfTI, DICOM series ...), and these are pictures")
    made = {key: make for key, make in EXTRACTORS.items() if make is not None}
    make = pick("--features", made, name)
    if not make.of_file:
        _refuse_weights("--features", name, str(weights), option="--weights")
        return make(), ""
    file = _weights_file(name, weights)
    return make(str(file)), sha256_of(file)


def volume_extractor(name: str, weights: str | Path, *, trust_code: bool = False) -> tuple[VolumeNetwork, str]:
    """Make one for volumes in the same way; an extractor of pictures sees slices of three planes.

    Raises:
        InputError: as `named_extractor`; an encoder that is a program, without ``trust_code``.
    """
    if name not in VOLUME_EXTRACTORS:
        network, digest = named_extractor(name, weights)
        return PlaneFeatures(network), digest
    if VOLUME_EXTRACTORS[name] is Encoder3D and not trust_code:
        raise InputError(
            f"--features {name} runs {weights or 'its file'}, a program that can read and write every file that you "
            "can. Add --trust_code if you trust whoever made it; medicalnet, dinov2 and the others take weights alone, "
            "which need no trust"
        )
    file = _weights_file(name, weights)
    return VOLUME_EXTRACTORS[name](str(file)), sha256_of(file)


def perceptual(place: str, *, option: str = "--lpips") -> LpipsEmbedding:
    """Return LPIPS from a folder that holds its two files under their published names; ``download`` fetches them.

    ``option`` is the setting that named the folder.

    Raises:
        InputError: a file is missing, is another one, or cannot be downloaded.
    """
    folder = default_folder() / "weights" if place == "download" else Path(place).expanduser()
    files = [folder / WEIGHTS[name].file_name for name in LPIPS_FILES]
    if place == "download":
        files = [published_weights(name, folder, option=f"{option} FOLDER") for name in LPIPS_FILES]
    if missing := [file.name for file in files if not file.is_file()]:
        raise InputError(
            f"{option} {place}: there is no {' and no '.join(missing)} in it. Put both files there under their names, "
            f"or give {option} download"
        )
    return LpipsEmbedding(*files)


def _refuse_weights(kind: str, name: str, weights: str, *, option: str) -> None:
    if weights:
        raise InputError(f"{kind} {name} has learned nothing and takes no weights: leave {option} out, or name the "
                         f"network that {weights} is of")  # fmt: skip


def _weights_file(name: str, weights: str | Path) -> Path:
    return Path(weights).expanduser() if weights else published_weights(name, default_folder() / "weights")
