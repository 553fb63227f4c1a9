"""Generation in the latents of an autoencoder (``diffusion.latent``): images are encoded once, and drawn ones decoded.

The autoencoder's weights are copied into the run folder before anything is learned, so that the run needs no other. Of
each code the mean is stored, in float32: a drawn code holds noise that no denoiser can foresee, which is a floor of its
loss. Pictures that training turns are encoded turned, as often as `TURNS` says: a turned code is no code of a turned
picture.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from meddiff import build
from meddiff.batches.images import Images
from meddiff.batches.latents import LatentImages, Scale
from meddiff.build.decoding import autoencoder_in, autoencoder_of
from meddiff.build.kind import models_of
from meddiff.build.latent_models import AUTOENCODER
from meddiff.cache.store import build_once, default_folder
from meddiff.errors import InputError
from meddiff.evaluation.reconstructions import code_statistics, noise_share
from meddiff.files.documents import read_json
from meddiff.files.writing import write_folder, write_text
from meddiff.inference.image_autoencoder import AT_ONCE, ImageAutoencoder
from meddiff.jobs.splits import labeled
from meddiff.recipe import Recipe
from meddiff.run import Run
from meddiff.seeds import child_seed
from meddiff.training import checkpoint

SMALLEST = 1e-6
"""Deviation that a channel of codes is scaled by at least: one that says nothing is not blown up."""
TURNS = 8
"""Turns of each picture that are encoded, where training turns pictures at all."""


def learned(run: Run[Recipe]) -> Images:
    """Return the training images as the denoiser sees them: as they are, or as codes.

    Raises:
        InputError: as `autoencoder_of`.
    """
    return run.keep("latents", lambda: _latents(run)) if run.recipe.diffusion.latent else labeled(run, "train")


def autoencoder_digest(run: Run[Recipe]) -> list[str]:
    """Return the short hash of the autoencoder's weights, in a list that is empty where there is none."""
    return [_source(run)[1].digest] if run.recipe.diffusion.latent else []


def check_latent(run: Run[Recipe]) -> None:
    """Refuse an autoencoder that cannot encode the images of a run.

    Raises:
        InputError: what was got, and what to do.
    """
    if not run.recipe.diffusion.latent:
        return
    (autoencoder, _), images = _source(run), labeled(run, "train")
    factor, ours, theirs = autoencoder.network.factor, images.shape, autoencoder.shape
    if (len(ours), ours[0]) != (len(theirs), theirs[0]) or any(side % factor for side in ours[1:]):
        size, wanted = (" x ".join(map(str, shape)) for shape in (ours, theirs))
        raise InputError(
            f"diffusion.latent {run.recipe.diffusion.latent} encodes images like {wanted}, with sides that {factor} "
            f"divides, and those of this run are {size}: give both the same data settings"
        )


def tell(run: Run[Recipe]) -> str:
    """Say how large the codes are, and what of a drawn code would be noise; nothing without an autoencoder."""
    if not run.recipe.diffusion.latent:
        return ""
    images = learned(run)
    assert isinstance(images, LatentImages)
    code, image = (" x ".join(map(str, one.shape)) for one in (images, images.pixels))
    return (f"latents: {code} numbers of {image}; {images.facts['noise_share']:.2%} of the variance of a drawn code "
            "would be noise, so its mean is stored")  # fmt: skip


def _latents(run: Run[Recipe]) -> LatentImages:
    images, (autoencoder, stored) = labeled(run, "train"), _source(run)
    _keep_weights(run, stored)
    codes, statistics = _encoded(run, images, autoencoder, stored.digest)
    scale = Scale(tuple(statistics["mean"]), tuple(statistics["deviation"]))
    facts = {"autoencoder": stored.digest} | asdict(scale) | {"noise_share": statistics["noise_share"]}
    return LatentImages(
        images, codes, scale, lambda scaled: autoencoder.decode(scale.codes(scaled.float())), facts
    )  # fmt: skip


def _source(run: Run[Recipe]) -> tuple[ImageAutoencoder, checkpoint.Checkpoint]:
    """Load the autoencoder: that which the run was begun with, which must be the one that is named where that is there.

    Raises:
        InputError: there is none, it is no autoencoder, or the run was begun with another.
    """

    def load() -> tuple[ImageAutoencoder, checkpoint.Checkpoint]:
        named, own = run.recipe.diffusion.latent, checkpoint.latest(models_of(run.folder, AUTOENCODER).checkpoints)
        stored = autoencoder_in(own or named)
        if own and Path(named).expanduser().exists() and autoencoder_in(named).digest != stored.digest:
            raise InputError(
                f"the run in {run.folder.path} was begun in the latents of another autoencoder than {named}: name "
                "another run folder with --out, or the autoencoder that it was begun with"
            )
        return autoencoder_of(stored), stored

    return run.keep("autoencoder", load)


def _keep_weights(run: Run[Recipe], stored: checkpoint.Checkpoint) -> None:
    """Copy the weights of the autoencoder into the run folder, unless they are there."""
    kept = models_of(run.folder, AUTOENCODER).checkpoints / stored.path.name
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_folder(kept, lambda part: shutil.copytree(stored.path, part, dirs_exist_ok=True))


def _encoded(
    run: Run[Recipe], images: Images, autoencoder: ImageAutoencoder, digest: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the codes [N, V, K, *s] of images, from the cache where they are there, and what is known of them.

    The statistics stay in the run folder: summed by another number of threads they would be others in the last digit.
    """
    turns = TURNS if build.augmentation(run.recipe) else 1
    home = _home(run, images, digest, turns)
    if not (home / "codes.npy").is_file():
        stands = (home / "codes.npy").is_file
        build_once(home, stands, lambda part: _write(part, run, images, autoencoder, turns))
    noted = models_of(run.folder, AUTOENCODER).path / "scale.json"
    if not noted.is_file():
        write_text(noted, (home / "statistics.json").read_text(encoding="utf-8"))
    return np.load(home / "codes.npy", mmap_mode="r", allow_pickle=False), read_json(noted)


def _home(run: Run[Recipe], images: Images, digest: str, turns: int) -> Path:
    """Name the folder of the cache: by the pixels, the autoencoder and the turns."""
    turned = [turns, run.recipe.training.augment, run.recipe.seed] if turns > 1 else []
    text = hashlib.sha256(json.dumps([digest, *turned]).encode())
    for start in range(0, len(images), AT_ONCE):
        text.update(images.batch(range(start, min(start + AT_ONCE, len(images)))).image.numpy().tobytes())
    top = Path(run.recipe.data.cache).expanduser() if run.recipe.data.cache else default_folder()
    return top / text.hexdigest()[:32]


def _write(part: Path, run: Run[Recipe], images: Images, autoencoder: ImageAutoencoder, turns: int) -> None:
    augment = build.augmentation(run.recipe)
    shape = (len(images), turns, *autoencoder.code_shape(images.shape))
    codes = np.lib.format.open_memmap(part / "codes.npy", mode="w+", dtype=np.float32, shape=shape)

    def distributions() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, len(images), AT_ONCE):
            batch = images.batch(range(start, min(start + AT_ONCE, len(images))))
            for turn in range(turns):
                generator = torch.Generator().manual_seed(child_seed(run.recipe.seed, "turn", turn, start))
                shown = augment(batch, generator) if augment and turn else batch
                for mean, deviation in autoencoder.distributions(shown.image):
                    codes[start : start + len(mean), turn] = mean.numpy()
                    yield mean, deviation

    table = code_statistics(distributions())
    codes.flush()
    known: dict[str, Any] = {name: [float(value) for value in table[name]] for name in ("mean", "deviation")}
    known["deviation"] = [max(value, SMALLEST) for value in known["deviation"]]
    (part / "statistics.json").write_text(json.dumps(known | {"noise_share": noise_share(table)}))
