"""How the networks of a segmentation run were made, in sentences with what they rest on."""

from __future__ import annotations

from collections.abc import Mapping

from meddiff.build import segmentation
from meddiff.build.models import models_of
from meddiff.jobs.segment.calibrate import model_names
from meddiff.recipe.segment import SegmentRecipe
from meddiff.reporting.bibliography import CitedSentence
from meddiff.reporting.methods import SAMPLERS, SCHEDULES, named
from meddiff.run import RunFolder
from meddiff.training import checkpoint

NETWORK_SOURCES = {
    "twin_unet": ("ronneberger2015", "wu2023"),
    "medsegdiff_v1": ("wu2022",),
    "medsegdiff_v2": ("wu2023",),
    "unet": ("ronneberger2015", "cardoso2022"),
}
MASK_SOURCES = {"one_hot": (), "bits": ("chen2023",)}
FUSION_SOURCES = {"staple": ("warfield2004",)}
BASELINE_SOURCES = {
    "unet": ("ronneberger2015", "cardoso2022"),
    "dynunet": ("isensee2021", "cardoso2022"),
    "segresnet": ("myronenko2018", "cardoso2022"),
}


def trained_steps(recipe: SegmentRecipe, run: RunFolder) -> dict[str, int]:
    """Optimizer steps of each model of a run, as its last checkpoint counts them."""
    last = {name: checkpoint.latest(models_of(run, name).checkpoints) for name in model_names(recipe)}
    return {name: checkpoint.read(path).step for name, path in last.items() if path is not None}


def methods(recipe: SegmentRecipe, steps: Mapping[str, int]) -> list[CitedSentence]:
    """How the models were made, for the methods paragraph."""
    draws, diffusion = recipe.inference, recipe.diffusion
    coding = "one channel per class" if recipe.mask.encoding == "one_hot" else "the binary digits of the class"
    sampler, source = named(SAMPLERS, draws.sampler)
    schedule, schedule_source = named(SCHEDULES, diffusion.schedule)
    averaged = ", whose estimates are averaged" if draws.estimate == "path" else ""
    sentences: list[CitedSentence] = [
        (
            f"Masks, coded as {coding} of +-{recipe.mask.scale:g}, were noised and denoised by the network "
            f"{recipe.network.name}, told the image, in {diffusion.timesteps} noise levels (schedule {schedule}, "
            f"prediction {diffusion.prediction}), trained for {steps[segmentation.DIFFUSION]} steps of "
            f"{recipe.training.batch_size} images.",
            ("ho2020", *MASK_SOURCES[recipe.mask.encoding], *schedule_source, *NETWORK_SOURCES[recipe.network.name]),
        ),
        (
            f"Each answer fuses {draws.members} masks by {draws.fusion}, each drawn in {draws.steps} steps of "
            f"{sampler}{averaged}.",
            (*source, *FUSION_SOURCES.get(draws.fusion, ())),
        ),
    ]
    if axis := recipe.data.slice_axis:
        count = recipe.data.neighbors
        beside = f", each told with {count} neighbor{'s' * (count > 1)} to either side" if count else ""
        sentences.append((f"Volumes were segmented by {axis} slices{beside}, and judged as volumes.", ()))
    sentences += [
        (
            f"The deterministic baseline {name} was trained by the same trainer for {steps[name]} steps with Dice and "
            "cross-entropy.",
            BASELINE_SOURCES[name],
        )
        for name in recipe.baseline.names
    ]
    sentences.append(("Of each network the averaged weights of the best validation Dice were used.", ()))
    return sentences
