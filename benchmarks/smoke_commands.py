"""What `gpu_smoke.py` runs: every command that trains, draws or segments, at its smallest, and the data for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

AUGMENT = """
network: {channels: [32, 32], residual_blocks: 1, attention_levels: 1, patch_size: 2}
training: {steps: 2, batch_size: 8, warmup_steps: 1, checkpoint_every: 1, log_every: 1, sample_every: 2}
synthesis: {steps: 2, per_class: 24, batch_size: 16, oversample: 1.2}
filter: {confidence: 0.0, copy_quantile: 0.01}
classifier: {width: 0.125, steps: 2, batch_size: 8, seeds: 1, arms: [real, real_classical, real_synthetic, synthetic]}
evaluation: {resamples: 100}
"""
SEGMENT = """
network: {channels: [8, 16], patch_size: 1}
training: {steps: 2, batch_size: 4, warmup_steps: 1, checkpoint_every: 1, log_every: 1, sample_every: 2}
baseline: {names: [unet], channels: [8, 16, 32]}
inference: {members: 3, steps: 2}
validation: {cases: 2, members: 2}
evaluation: {resamples: 100}
"""
TRANSLATE = """
network: {channels: [32, 32], residual_blocks: 1, attention_levels: 1, patch_size: 2}
training: {steps: 2, batch_size: 4, warmup_steps: 1, checkpoint_every: 1, log_every: 1, sample_every: 2}
inference: {members: 2, steps: 2}
evaluation: {resamples: 100}
"""
DETECT = """
network: {channels: [32, 32], residual_blocks: 1, attention_levels: 1, patch_size: 2}
training: {steps: 2, batch_size: 4, warmup_steps: 1, checkpoint_every: 1, log_every: 1, sample_every: 2}
baseline: {channels: [8, 16], code: 8, steps: 2}
detect: {levels: [0.25], members: [1], steps: 4}
evaluation: {resamples: 100}
"""
AUTOENCODE = """
autoencoder: {channels: [16, 16], residual_blocks: 1, patch_size: 2}
losses: {adversarial: 0.1, adversarial_from: 0.5, discriminator_channels: 4}
training: {steps: 2, batch_size: 4, warmup_steps: 1, checkpoint_every: 1, log_every: 1, sample_every: 2}
evaluation: {resamples: 100}
"""
RECIPES = {"autoencode": AUTOENCODE, "augment": AUGMENT, "segment": SEGMENT, "translate": TRANSLATE, "detect": DETECT}
KINDS = {
    "pictures": "--dataset isic --data.phantom_images 100 --data.image_size 16",
    "slices": "--dataset nifti_folder --data_root data --dimensions 2 --data.slice_axis axial --data.image_size 16",
    "volumes": "--dataset nifti_folder --data_root data --dimensions 3 --volume.patch_size [8,8,8]",
}
"""The settings that say what images a run sees: drawn lesions, slices of drawn volumes, or these whole."""
SEGMENTED = {
    "pictures": "--data.fit stretch",
    "slices": "--classes [background,ball] --data.neighbors 1",
    "volumes": "--classes [background,ball]",
}
"""What a run of masks is told beside them; slices are seen with their neighbors (2.5D)."""
NETWORKS = {"medsegdiff_v1": "[8,16]", "medsegdiff_v2": "[8,16]", "unet": "[32,32]"}
"""Networks of masks and their channels; the fourth, twin_unet, is that of `segment evaluate` below."""
SHAPE = (12, 10, 9)
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Command:
    """One command line, and how to see that it has done its work."""

    name: str
    words: str
    """What is typed after ``python -m meddiff.pipelines.``; paths are below the folder that all commands run in."""
    leaves: str
    """A file that there must be afterwards."""
    after: str = ""
    """The command whose outputs it reads."""
    network: bool = True
    """Whether a network works in it that must lie on the accelerator where there is one."""

    @property
    def verb(self) -> str:
        """``augment``, ``segment predict``: the module, and what it is to do where it does several things."""
        module, *rest = self.words.split()
        return " ".join([module, *rest[:1]]) if rest and not rest[0].startswith("-") else module


def all_commands() -> dict[str, Command]:
    """Name -> command, the longest first, so that none is waited for at the end."""
    made = [*_segmentation(), *_generation(), *_translation(), *_detection(), *_codes(), *_predictions(), *_scores()]
    return {command.name: command for command in made}


def _generation() -> Iterator[Command]:
    for kind in KINDS:
        words = _training("augment", f"augment_{kind}", "augment", KINDS[kind])
        yield Command(f"augment_{kind}", words, f"augment_{kind}/report.json")
    words = _training("synthesize", "pairs_drawn", "augment", f"{KINDS['pictures']} --classes [background,lesion]")
    yield Command("pairs_drawn", words, "pairs_drawn/synthetic_manifest.csv")
    leaves = {"train": "samples", "synthesize": "synthetic_manifest.csv", "classify": "predictions.csv"}
    before = ""
    for verb, file in leaves.items():  # one run, that each goes on with
        yield Command(verb, _training(verb, "by_stages", "augment", KINDS["pictures"]), f"by_stages/{file}", before)
        before = verb


def _translation() -> Iterator[Command]:
    for kind in KINDS:
        name, settings = f"translate_{kind}", f"{KINDS[kind]} --translation.factor 2"
        yield Command(f"{name}_train", _training("translate train", name, "translate", settings), f"{name}/stages.json")
        words = _training("translate evaluate", name, "translate", settings)
        yield Command(name, words, f"{name}/report.json", f"{name}_train")
        name, settings = f"masks_to_{kind}", f"{KINDS[kind]} --translation.known mask"
        words = _training("translate evaluate", name, "translate", settings)
        yield Command(name, words, f"{name}/report.json")


def _detection() -> Iterator[Command]:
    settings = "--dataset brain_tumor --data.phantom_images 200 --data.image_size 16"
    yield Command("detect_train", _training("detect train", "detect", "detect", settings), "detect/stages.json")
    words = _training("detect evaluate", "detect", "detect", settings)
    yield Command("detect", words, "detect/report.json", "detect_train")
    words = "detect predict --checkpoint detect --input data/pictures --output detected"
    yield Command("detect_predict", words, "detected/anomalies.csv", "detect")


def _codes() -> Iterator[Command]:
    for kind, book in {"pictures": "vq", "slices": "kl", "volumes": "kl"}.items():
        name, settings = f"autoencode_{kind}", f"{KINDS[kind]} --autoencoder.regularization {book}"
        words = _training("autoencode train", name, "autoencode", settings)
        yield Command(f"{name}_train", words, f"{name}/stages.json")
        words = _training("autoencode evaluate", name, "autoencode", settings)
        yield Command(name, words, f"{name}/report.json", f"{name}_train")
        words = _training("synthesize", f"latent_{kind}", "augment", f"{KINDS[kind]} --diffusion.latent {name}")
        yield Command(f"latent_{kind}", words, f"latent_{kind}/synthetic_manifest.csv", f"{name}_train")


def _segmentation() -> Iterator[Command]:
    baselines = "--baseline.names [unet,dynunet,segresnet]"
    for kind in KINDS:
        words = f"{KINDS[kind]} {SEGMENTED[kind]} {baselines}"
        name = f"segment_{kind}"
        yield Command(name, _training("segment evaluate", name, "segment", words), f"{name}/report.json")
    for network, channels in NETWORKS.items():
        for kind in KINDS:
            words = f"{KINDS[kind]} {SEGMENTED[kind]} --network.name {network} --network.channels {channels}"
            name = f"{network}_{kind}"
            yield Command(name, _training("segment train", name, "segment", words), f"{name}/temperatures.json")


def _predictions() -> Iterator[Command]:
    keep = "--save_probabilities true --save_maps true --save_members true"
    for kind, more in {"pictures": "", "slices": "--fusion staple", "volumes": ""}.items():
        seen = "data/pictures" if kind == "pictures" else "data/images"
        words = f"segment predict --checkpoint segment_{kind} --input {seen} --output predict_{kind} {keep} {more}"
        yield Command(f"predict_{kind}", words, f"predict_{kind}/predictions.csv", f"segment_{kind}")
    how = "--method inpaint --box 1,1,5,5 --steps 4"
    words = f"edit --checkpoint augment_pictures --input data/pictures --output edit {how}"
    yield Command("edit", words, "edit/edits.csv", "augment_pictures")
    words = "translate predict --checkpoint translate_pictures --input data/pictures --output translated"
    yield Command("translate_predict", words, "translated/predictions.csv", "translate_pictures")
    words = "translate predict --checkpoint masks_to_volumes --input data/masks --output pairs"
    yield Command("masks_to_images", words, "pairs/manifest.csv", "masks_to_volumes")
    words = "likelihood --checkpoint augment_pictures --output bits --levels 4 --images 4 --flow 2 --tolerance 0.1"
    yield Command("likelihood", words, "bits/likelihood.csv", "augment_pictures")
    settings = f"{KINDS['pictures']} --study.pairs masks_to_pictures --study.sizes [0] --study.seeds 1"
    words = _training("segment augment", "joined", "segment", settings)
    yield Command("joined", words, "joined/report.json", "masks_to_pictures")
    words = "segment test --checkpoint segment_pictures --manifest data/pictures.csv --out test_pictures"
    yield Command("test_pictures", words, "test_pictures/report.json", "segment_pictures")


def _scores() -> Iterator[Command]:
    extractor = "--splits 3 --size 16"
    for kind, real in {"pictures": "augment_pictures/manifest.csv", "volumes": "data/images"}.items():
        synthetic = f"augment_{kind}/synthetic_manifest.csv"
        words = f"evaluate images --real {real} --synthetic {synthetic} {extractor} --out images_{kind} --cache cache"
        yield Command(f"images_{kind}", words, f"images_{kind}/report.json", f"augment_{kind}")
    for kind, truth in {"pictures": "data/picture_masks", "volumes": "data/masks"}.items():
        words = f"evaluate masks --truth {truth} --prediction predict_{kind} --resamples 100 --out masks_{kind}"
        yield Command(f"masks_{kind}", words, f"masks_{kind}/cases.csv", f"predict_{kind}", network=False)
    words = "evaluate augmentation --run augment_pictures"  # the features of its distances are computed on the CPU
    yield Command("evaluate_augmentation", words, "augment_pictures/tests.csv", "images_pictures", network=False)


def _training(verb: str, out: str, family: str, settings: str) -> str:
    shared = f"--config {family}.yaml --preset quick --out {out} --data.cache=cache"
    return f"{verb} {shared} {settings}"


def prepare(folder: Path) -> None:
    """Draw volumes with masks and labels, pictures, and the weights of a small extractor; write the recipes."""
    for name, text in RECIPES.items():
        (folder / f"{name}.yaml").write_text(text)
    data = folder / "data"
    for name in ("images", "masks", "pictures", "picture_masks"):
        (data / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    lines = ["case,label,patient"]
    for number in range(24):
        _draw_volume(data, number, generator)
        lines.append(f"case{number:02d},{'large' if number % 2 else 'small'},p{number}")
    (data / "labels.csv").write_text("\n".join(lines))
    _draw_pictures(data, generator)


def _draw_volume(data: Path, number: int, generator: np.random.Generator) -> None:
    """A bright ball in noise, with itself as mask."""
    distance = np.linalg.norm(np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2, axis=-1).T
    mask = distance < 2.5 + number % 2 + 0.02 * number
    image = generator.normal(100, 10, SHAPE) + 80 * mask
    for folder, array in (("images", image.astype(np.float32)), ("masks", mask.astype(np.uint8))):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), data / folder / f"case{number:02d}.nii.gz")


def _draw_pictures(data: Path, generator: np.random.Generator) -> None:
    """Dark discs in noise, with themselves as masks, and a manifest of them."""
    columns = (ROOT / "data_manifest.csv").read_text().partition("\n")[0].split(",")
    lines = [",".join(columns)]
    for number in range(6):
        distance = np.hypot(*(np.indices((40, 30 + number)) - 18).astype(float))
        mask = distance < 6 + number
        image = generator.normal(160, 20, (*mask.shape, 3)) - 80 * mask[..., None]
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(data / "pictures" / f"{number}.png")
        Image.fromarray(mask.astype(np.uint8)).save(data / "picture_masks" / f"{number}.png")
        row = {"row_id": f"p{number}", "dataset": "own", "image_path": f"pictures/{number}.png",
               "mask_path": f"picture_masks/{number}.png", "source": "real"}  # fmt: skip
        lines.append(",".join(row.get(name, "") for name in columns))
    (data / "pictures.csv").write_text("\n".join(lines))
