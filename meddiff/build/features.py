"""Feature extractors by their names, with the weights that they are made from."""

from __future__ import annotations

from pathlib import Path

from meddiff.build.tables import EXTRACTORS, VOLUME_EXTRACTORS, pick
from meddiff.cache.pictures import default_folder
from meddiff.errors import InputError
from meddiff.networks.features.lpips import LpipsEmbedding
from meddiff.networks.features.network import FeatureNetwork, PlaneFeatures, VolumeNetwork
from meddiff.recipe import Recipe
from meddiff.sources.weights import LPIPS_FILES, WEIGHTS, published_weights


def extractor(recipe: Recipe) -> FeatureNetwork | None:
    """The feature extractor of the distances; None where it is the run's own classifier.

    Raises:
        InputError: an unknown name, or a weights file that is missing or not of this network.
    """
    make = pick("evaluation.features", EXTRACTORS, recipe.evaluation.features)
    if make is not None and not recipe.evaluation.weights:
        raise InputError(f"evaluation.features {recipe.evaluation.features} needs its file: --evaluation.weights FILE")
    return None if make is None else make(recipe.evaluation.weights)


def named_extractor(name: str, weights: str | Path) -> tuple[FeatureNetwork, Path]:
    """An extractor that needs no run, and the file that it was made from: ``weights``, or its authors' download.

    Raises:
        InputError: an unknown name, the classifier of a run, a file that is missing or not of this network, or one
            that cannot be downloaded.
    """
    if name in VOLUME_EXTRACTORS:
        raise InputError(f"--features {name} takes volumes (NIfTI, DICOM series ...), and these are pictures")
    made = {key: make for key, make in EXTRACTORS.items() if make is not None}
    make = pick("--features", made, name)
    file = _weights_file(name, weights)
    return make(str(file)), file


def volume_extractor(name: str, weights: str | Path) -> tuple[VolumeNetwork, Path]:
    """The same for volumes; an extractor of pictures sees slices of three planes.

    Raises:
        InputError: as `named_extractor`.
    """
    if name not in VOLUME_EXTRACTORS:
        network, file = named_extractor(name, weights)
        return PlaneFeatures(network), file
    file = _weights_file(name, weights)
    return VOLUME_EXTRACTORS[name](str(file)), file


def perceptual(place: str) -> LpipsEmbedding:
    """LPIPS from a folder that holds its two files under their published names; ``download`` fetches them.

    Raises:
        InputError: a file is missing, is another one, or cannot be downloaded.
    """
    folder = default_folder() / "weights" if place == "download" else Path(place).expanduser()
    files = [folder / WEIGHTS[name].file_name for name in LPIPS_FILES]
    if place == "download":
        files = [published_weights(name, folder, option="--lpips FOLDER") for name in LPIPS_FILES]
    if missing := [file.name for file in files if not file.is_file()]:
        raise InputError(
            f"--lpips {place}: there is no {' and no '.join(missing)} in it. Put both files there under their names, "
            "or give --lpips download"
        )
    return LpipsEmbedding(*files)


def _weights_file(name: str, weights: str | Path) -> Path:
    return Path(weights).expanduser() if weights else published_weights(name, default_folder() / "weights")
