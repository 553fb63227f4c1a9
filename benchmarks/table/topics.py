"""The topics of the table: each a list of cases, ours first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from benchmarks.table.measure import Case
from benchmarks.table.ours import OurMasks, OurTraining, drawing_cases
from benchmarks.table.peers import PEERS, PeerTraining, Size, flops, why_not
from meddiff.jobs.describe import costs

SIZES = {
    "rehearse": Size((32, 64), 16, 2, attention_levels=1),
    "cpu": Size((32, 64, 128, 128), 64, 4),
    "cuda": Size((64, 128, 256, 256), 64, 64),
    "cuda 256": Size((64, 128, 256, 256), 64, 256),
}
MASKS = {
    "rehearse": Size((32, 64), 16, 2, attention_levels=1),
    "cpu": Size((32, 64, 128, 256), 64, 4),
    "cuda": Size((32, 64, 128, 256), 256, 32),
}
STEPS, GUIDANCE, MEMBERS = 5, 1.5, 25


Trainings = dict[str, OurTraining | PeerTraining]


@dataclass(frozen=True)
class Told:
    """What is measured where."""

    device: torch.device
    size: str
    """Among `SIZES`."""
    say: Callable[[str], None]


def _trainings(told: Told, size: Size, kinds: Sequence[str], networks: Sequence[str] = ("edm2", "unet")) -> Trainings:
    """Build our networks and the peers' in training, by name; a kind is fp32, bf16 or bf16 compiled.

    Compiling takes a minute each, so of the peers MONAI's network alone is: the others are as fast within noise.
    """
    made: Trainings = {f"ours, {network}": OurTraining(size, told.device, network) for network in networks}
    for peer in PEERS:
        if reason := why_not(peer.module):
            told.say(f"{peer.name} {reason}")
            continue
        for kind in kinds:
            compiled = kind.endswith("compiled")
            if not compiled or peer.module == "monai":
                bf16 = kind.startswith("bf16")
                made[f"{peer.name}, {kind}"] = PeerTraining(peer, size, told.device, bf16=bf16, compiled=compiled)
    told.say("guided-diffusion is left out: it is on no package index; its U-Net is as fast as MONAI's within noise")
    return made


def training_step(told: Told) -> list[Case]:
    """Forward, backward, clipping, AdamW and average of a denoiser of images; fp32 is how the peers' examples run."""
    kinds = ("fp32", "bf16", "bf16 compiled") if told.device.type == "cuda" else ("fp32", "bf16")
    return _steps(_trainings(told, SIZES[told.size], kinds))


def training_step_large(told: Told) -> list[Case]:
    """The same with 256 images in a batch, where there is a GPU."""
    if told.device.type != "cuda" or told.size == "rehearse":
        return []
    return _steps(_trainings(told, SIZES["cuda 256"], ("bf16", "bf16 compiled"), ["edm2"]))


def _steps(made: Trainings) -> list[Case]:
    """Return a step of each, with its work: ours by shapes, for a compiled network hides its operations."""
    counted: dict[str, float] = {}
    for name, one in made.items():
        if isinstance(one, OurTraining):
            counted[name] = costs(one.recipe)[0][1].training * one.size.batch
        else:
            plain = name.removesuffix(" compiled")
            counted[name] = counted[plain] if plain != name else flops(one.step)
    return [
        Case(name, one.step, one.size.batch, counted[name], one.weights, ours=isinstance(one, OurTraining))
        for name, one in made.items()
    ]


def sampling(told: Told) -> list[Case]:
    """Images by few steps with guidance: ours by its own default sampler, the peers by DDIM, equal network calls."""
    kinds = ("bf16",) if told.device.type == "cuda" else ("fp32", "bf16")
    return [
        Case(name, lambda one=one: one.draw(STEPS, GUIDANCE), one.size.batch, 0.0, one.weights,
             f"{STEPS} steps, guidance {GUIDANCE}", isinstance(one, OurTraining))
        for name, one in _trainings(told, SIZES[told.size], kinds).items()
    ]  # fmt: skip


def segmentation(told: Told) -> list[Case]:
    """A training step of a denoiser of masks."""
    masks = OurMasks(size := MASKS[told.size], told.device)
    return [Case("ours, twin_unet", masks.step, size.batch, 0.0, masks.weights, ours=True), *_med_seg_diff(told, size)]


def ensemble(told: Told) -> list[Case]:
    """One picture segmented by 25 members; benchmarks/segmentation.py compares it with other packages."""
    masks = OurMasks(size := MASKS[told.size], told.device)
    return [
        Case("ours, 25 members", lambda: masks.ensemble(MEMBERS), 1, 0.0, masks.weights, f"{size.image_size} px", True),
        Case("ours, one member at a time", lambda: [masks.ensemble(1) for _ in range(MEMBERS)], 1, 0.0, masks.weights,
             f"{size.image_size} px", True),
    ]  # fmt: skip


def _med_seg_diff(told: Told, size: Size) -> list[Case]:
    """Return the training step of med-seg-diff-pytorch, where it is installed."""
    if reason := why_not("med_seg_diff_pytorch"):
        told.say(f"med-seg-diff-pytorch {reason}")
        return []
    from med_seg_diff_pytorch import MedSegDiff, Unet

    mults = tuple(width // size.channels[0] for width in size.channels)
    network = Unet(dim=size.channels[0], image_size=size.image_size, mask_channels=1, input_img_channels=3,
                   dim_mults=mults, full_self_attn=(*(False,) * (len(mults) - 1), True))  # fmt: skip
    model = MedSegDiff(network, timesteps=1000).to(told.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    shape = size.batch, 3, size.image_size, size.image_size
    image, mask = torch.rand(shape, device=told.device), torch.rand((size.batch, 1, *shape[2:]), device=told.device)

    def step() -> None:
        model(mask.round(), image).backward()
        optimizer.step()
        optimizer.zero_grad()

    weights = sum(weight.numel() for weight in model.parameters())
    return [Case("med-seg-diff-pytorch, fp32", step, size.batch, 0.0, weights)]


def growth(told: Told) -> list[Case]:
    """Drawing a batch's positions from data sets of 1,000 to 1,000,000 images: time per image should be flat."""
    counts = (10**3, 10**4, 10**5, 10**6) if told.size != "rehearse" else (10**3, 10**5)
    return [
        Case(f"ours, {count:,} images", lambda draw=draw: [draw() for _ in range(200)], 200 * 64, ours=True)
        for count, draw in drawing_cases(counts, 64).items()
    ]


def metrics(told: Told) -> list[Case]:
    """Frechet distance of 512 features of 2,000 images; benchmarks/metrics.py compares all metrics."""
    import numpy as np
    from scipy.linalg import sqrtm

    from meddiff.metrics.images.fidelity import frechet_distance

    count, width = (2000, 512) if told.size != "rehearse" else (200, 32)
    draw = np.random.default_rng(0)
    one, other = (draw.standard_normal((count, width)).astype(np.float32) + shift for shift in (0, 0.1))

    def by_square_root() -> float:
        a, b = (np.cov(part, rowvar=False) for part in (one, other))
        return float(((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real))

    return [Case("ours", lambda: frechet_distance(one, other), count, ours=True),
            Case("matrix square root, as pytorch-fid and clean-fid", by_square_root, count)]  # fmt: skip


TOPICS: dict[str, Callable[[Told], list[Case]]] = {
    "training": training_step,
    "training_256": training_step_large,
    "sampling": sampling,
    "segmentation": segmentation,
    "ensemble": ensemble,
    "metrics": metrics,
    "growth": growth,
}
